import { FieldTable } from '../http1/field-table.ts'
import { type HeaderFilter, type HeaderFilterSource, protectedNames } from '../http1/header-filter.ts'
import { HeaderLines, MARKS_PER_LINE } from '../http1/header-lines.ts'
import { CR, foldsTo, HTAB, hashOfName, LF, latin1, NOT_VALUE, SP } from '../http1/octets.ts'
import type { ProblemReason } from '../http1/problem.ts'
import { isContinue } from '../http1/request-head.ts'
import { copyBytes } from './byte-ring.ts'
import { DecoderTable } from './decoder-table.ts'
import type { MalformedReason } from './handler.ts'
import { decodeHuffman } from './huffman.ts'
import {
  AUTHORITY,
  BAD_NAME,
  BAD_VALUE,
  type FieldName,
  METHOD,
  PATH,
  PROTOCOL,
  REGULAR,
  readName,
  SCHEME,
  SOUND,
  STATUS,
  staticFields,
  type TableField,
  UNDERSCORED,
  UNKNOWN_PSEUDO,
} from './table-field.ts'

/** What a section is part of: it decides which fields may be there. */
export type SectionKind = 'request' | 'response' | 'trailers'

/** `broken`: not HPACK, and nobody knows what the next section means. `bomb`: far more than any message has. */
export type Decoded = 'ok' | 'broken' | 'bomb'

/** Bounds of a section. */
export interface SectionLimits {
  readonly maxHeadBytes: number
  readonly maxHeaders: number
}

/** As many times what a message may have, once decoded, is a bomb. */
const BOMB_FACTOR = 16

/** As many times what a message may have is the most that is decoded at all, in the form sent. */
export const MAX_BLOCK_FACTOR = 4

/** Huffman codes have five bits at least. */
const MAX_EXPANSION = 8 / 5

/** A larger entry empties the table and is never copied. */
const MAX_ENTRY_LINE = 4_096 + 4

/**
 * Decodes the field sections of one connection (RFC 7541) straight into the lines that HTTP/1.1 has, and finds what is wrong
 * with them on the way: what a name means is found out once for each entry of a table.
 *
 * A section that is refused is decoded to its end all the same, for what it does to the table; it is not kept meanwhile.
 */
export class FieldDecoder {
  /** What the last section held, until the next one. */
  lines: HeaderLines | undefined
  authority: string | undefined
  method: string | undefined
  path: string | undefined
  scheme: string | undefined
  status: string | undefined
  protocol: string | undefined
  /** The value of Host, where there is one. */
  host: string | undefined
  /** -1 without Content-Length. */
  contentLength = -1
  expectsContinue = false
  /** It is no message of HTTP/2 (RFC 9113, 8.1.1). */
  malformed: MalformedReason | undefined
  /** It is one, but none that we take. */
  problem: ProblemReason | undefined

  readonly #limits: SectionLimits
  readonly #protected: HeaderFilter
  readonly #table = new DecoderTable()
  readonly #marks: number[] = []
  readonly #name: FieldName = { hash: 0, id: 0, pseudo: REGULAR, flaw: SOUND }
  readonly #scratch: Buffer

  #kind: SectionKind = 'request'
  #at = 0
  #to = 0
  #lines = 0
  #fields = 0
  #decodedBytes = 0
  #seen = 0
  #seenPseudo = 0
  #neverIndexed: number[] | undefined
  #isFull = false
  #cookie: string | undefined
  #hasCookieLine = false

  constructor(limits: SectionLimits, trusted?: HeaderFilterSource) {
    this.#limits = limits
    this.#protected = protectedNames(trusted)
    this.#scratch = scratchFor(limits)
  }

  /** Entries of the dynamic table, and its bytes as RFC 7541 counts them. */
  get tableEntries(): number {
    return this.#table.count
  }

  get tableBytes(): number {
    return this.#table.bytes
  }

  /** Changes with whatever a section changes for those after it. */
  get generation(): number {
    return this.#table.generation
  }

  decode(bytes: Buffer, start: number, end: number, kind: SectionKind): Decoded {
    this.#begin(kind)
    const { maxHeadBytes } = this.#limits
    const maxDecoded = maxHeadBytes * BOMB_FACTOR
    this.#at = start
    while (this.#at < end) {
      const octet = bytes[this.#at]!
      if (octet >= 0x80) {
        const field = this.#fieldAt(this.#readInteger(bytes, end, 0x7f))
        if (field === undefined) return 'broken'
        this.#addIndexed(field)
      } else if (octet >= 0x40) {
        if (!this.#readLiteral(bytes, end, this.#readInteger(bytes, end, 0x3f), true, false)) return 'broken'
      } else if (octet >= 0x20) {
        // RFC 7541, 4.2: before the first field.
        const size = this.#readInteger(bytes, end, 0x1f)
        if (size === -1 || this.#fields > 0 || !this.#table.resize(size)) return 'broken'
      } else if (!this.#readLiteral(bytes, end, this.#readInteger(bytes, end, 0x0f), false, octet >= 0x10)) {
        return 'broken'
      }
      if (this.#decodedBytes > maxDecoded) return 'bomb'
    }
    this.#finish()
    return 'ok'
  }

  #begin(kind: SectionKind): void {
    this.#kind = kind
    this.lines = undefined
    this.authority = undefined
    this.method = undefined
    this.path = undefined
    this.scheme = undefined
    this.status = undefined
    this.protocol = undefined
    this.host = undefined
    this.contentLength = -1
    this.expectsContinue = false
    this.malformed = undefined
    this.problem = undefined
    this.#to = 0
    this.#lines = 0
    this.#fields = 0
    this.#decodedBytes = 0
    this.#seen = 0
    this.#seenPseudo = 0
    this.#neverIndexed = undefined
    this.#isFull = false
    this.#cookie = undefined
    this.#hasCookieLine = false
  }

  #finish(): void {
    if (this.malformed !== undefined || this.problem !== undefined) return
    if (this.#cookie !== undefined) this.#addCookie(this.#cookie)
    const length = this.#to
    const block = Buffer.allocUnsafe(length)
    this.#scratch.copy(block, 0, 0, length)
    this.lines = new HeaderLines(block, 0, this.#marks.slice(0, this.#lines * MARKS_PER_LINE), this.#neverIndexed)
  }

  /** RFC 7541, 5.1, of the prefix that `mask` leaves; -1 when it is cut off, or no number that a field could need. */
  #readInteger(bytes: Buffer, end: number, mask: number): number {
    let value = bytes[this.#at++]! & mask
    if (value < mask) return value
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= end) return -1
      const octet = bytes[this.#at++]!
      value += (octet & 0x7f) << shift
      if (octet < 0x80) return value
    }
    return -1
  }

  #fieldAt(index: number): TableField | undefined {
    if (index <= 0) return undefined
    return index < STATIC_FIELDS.length ? STATIC_FIELDS[index] : this.#table.at(index - STATIC_FIELDS.length)
  }

  /** False: no HPACK. */
  #readLiteral(bytes: Buffer, end: number, nameIndex: number, isIndexed: boolean, isNever: boolean): boolean {
    if (nameIndex === -1) return false
    const scratch = this.#scratch
    if (this.#isFull) this.#to = 0
    const start = this.#to
    let name: FieldName
    let nameEnd: number
    if (nameIndex === 0) {
      nameEnd = this.#readString(bytes, end, start)
      if (nameEnd === -1) return false
      name = this.#name
      readName(scratch, start, nameEnd, FIELDS, this.#protected, name)
    } else {
      const field = this.#fieldAt(nameIndex)
      if (field === undefined) return false
      nameEnd = copyBytes(field.bytes, field.start, field.start + field.nameLength, scratch, start)
      name = this.#name
      name.hash = field.hash
      name.id = field.id
      name.pseudo = field.pseudo
      // A flaw of that field's value is not this one's.
      name.flaw = field.flaw === BAD_VALUE ? SOUND : field.flaw
    }
    scratch[nameEnd] = COLON
    scratch[nameEnd + 1] = SP
    const valueStart = nameEnd + 2
    const valueEnd = this.#readString(bytes, end, valueStart)
    if (valueEnd === -1) return false
    if (name.flaw === SOUND && !isValue(scratch, valueStart, valueEnd)) name.flaw = BAD_VALUE
    scratch[valueEnd] = CR
    scratch[valueEnd + 1] = LF
    if (isIndexed) this.#table.add(scratch, start, nameEnd - start, valueEnd - valueStart, name)
    if (name.pseudo === REGULAR) this.#addLine(name, start, nameEnd, valueEnd, isNever)
    else this.#addPseudo(name, latin1(scratch, valueStart, valueEnd), valueEnd - start)
    return true
  }

  /** RFC 7541, 5.2, into the scratch at `to`. Returns where it ended there; -1: no string. */
  #readString(bytes: Buffer, end: number, to: number): number {
    if (this.#at >= end) return -1
    const isCoded = bytes[this.#at]! >= 0x80
    const length = this.#readInteger(bytes, end, 0x7f)
    const start = this.#at
    if (length === -1 || length > end - start) return -1
    this.#at = start + length
    return isCoded
      ? decodeHuffman(bytes, start, start + length, this.#scratch, to)
      : copyBytes(bytes, start, start + length, this.#scratch, to)
  }

  #addIndexed(field: TableField): void {
    if (field.pseudo !== REGULAR) return this.#addPseudo(field, field.text, field.nameLength + field.valueLength)
    const { start, nameLength, valueLength } = field
    const to = this.#isFull ? 0 : this.#to
    const length = nameLength + valueLength + 4
    if (!this.#isFull) copyBytes(field.bytes, start, start + length, this.#scratch, to)
    this.#addLine(field, to, to + nameLength, to + length - 2, false)
  }

  #addPseudo(name: FieldName, text: string, length: number): void {
    this.#count(length)
    if (name.flaw === BAD_VALUE) return this.#refuse('bad-field-value')
    const { pseudo } = name
    const bit = 1 << pseudo
    // RFC 9113, 8.3: before the others, once each, and those of this kind of message alone.
    if (this.#lines > 0 || this.#hasCookieLine || (this.#seenPseudo & bit) !== 0)
      return this.#refuse('bad-pseudo-field')
    this.#seenPseudo |= bit
    const isOfResponse = pseudo === STATUS
    if (pseudo === UNKNOWN_PSEUDO || this.#kind === 'trailers' || isOfResponse !== (this.#kind === 'response'))
      return this.#refuse('bad-pseudo-field')
    switch (pseudo) {
      case AUTHORITY:
        this.authority = text
        break
      case METHOD:
        this.method = text
        break
      case PATH:
        this.path = text
        break
      case SCHEME:
        this.scheme = text
        break
      case STATUS:
        this.status = text
        break
      case PROTOCOL:
        this.protocol = text
        break
    }
  }

  /** The line is in the scratch at `start`; it stays there if it is to. */
  #addLine(name: FieldName, start: number, nameEnd: number, valueEnd: number, isNever: boolean): void {
    this.#count(valueEnd - start)
    const valueStart = nameEnd + 2
    if (name.flaw !== SOUND) {
      if (name.flaw === UNDERSCORED) this.#object('underscore-header')
      else this.#refuse(name.flaw === BAD_NAME ? 'bad-field-name' : 'bad-field-value')
    }
    if (name.id !== 0 && !this.#onField(name.id, valueStart, valueEnd)) return
    if (this.#isFull) return
    const { maxHeaders, maxHeadBytes } = this.#limits
    if (this.#lines === maxHeaders) {
      this.#isFull = true
      return this.#object('too-many-headers')
    }
    const to = valueEnd + 2
    if (to > maxHeadBytes) {
      this.#isFull = true
      return this.#object('head-too-long')
    }
    if (isNever) {
      this.#neverIndexed ??= []
      this.#neverIndexed.push(this.#lines)
    }
    const marks = this.#marks
    const mark = this.#lines * MARKS_PER_LINE
    marks[mark] = name.hash
    marks[mark + 1] = start
    marks[mark + 2] = nameEnd
    marks[mark + 3] = valueStart
    marks[mark + 4] = valueEnd
    this.#lines += 1
    this.#to = to
  }

  /** A field of the table whose value is `scratch[start, end)`. False: it is no line of its own. */
  #onField(id: number, start: number, end: number): boolean {
    const scratch = this.#scratch
    if (id <= LAST_CONNECTION_SPECIFIC) {
      this.#refuse('connection-specific-field')
      return true
    }
    if (this.#isFull) return true
    if (this.#kind === 'trailers') {
      if (id <= LAST_FORBIDDEN_TRAILER) this.#refuse('bad-trailer')
      return true
    }
    switch (id) {
      case TE:
        if (!foldsTo(scratch, start, end, 'trailers')) this.#refuse('bad-te')
        return true
      case CONTENT_LENGTH: {
        const length = this.contentLength === -1 ? readLength(scratch, start, end) : -1
        if (length === -1) this.#refuse('bad-content-length')
        else this.contentLength = length
        return true
      }
    }
    if (this.#kind === 'response') return true
    if (id === COOKIE) return this.#onCookie(start, end)
    const bit = 1 << id
    if ((this.#seen & SINGLE & bit) !== 0) {
      if (id === HOST) this.#object('duplicate-host')
      else if (id === AUTHORIZATION || id === PROXY_AUTHORIZATION) this.#object('duplicate-authorization')
      else this.#object('duplicate-header')
    }
    this.#seen |= bit
    if (id === HOST) {
      this.host = latin1(scratch, start, end)
    } else if (id === EXPECT) {
      this.expectsContinue = true
      if (!isContinue(scratch, start, end)) this.#object('unknown-expectation')
    }
    return true
  }

  /** RFC 9113, 8.2.3: what came in pieces is one line for everybody else. */
  #onCookie(start: number, end: number): boolean {
    const crumb = latin1(this.#scratch, start, end)
    this.#hasCookieLine = true
    if (this.#cookie === undefined || this.#cookie === '') {
      this.#cookie = crumb
    } else if (crumb === '') {
      // The space behind its `; ` would end the line, and the next hop would refuse that.
      return false
    } else if (this.#cookie.length + crumb.length + 2 > this.#limits.maxHeadBytes) {
      this.#isFull = true
      this.#object('head-too-long')
    } else {
      this.#cookie += `; ${crumb}`
    }
    return false
  }

  #addCookie(cookie: string): void {
    const start = this.#to
    const length = 'cookie: '.length + cookie.length
    this.#scratch.write(`cookie: ${cookie}\r\n`, start, 'latin1')
    this.#addLine(COOKIE_LINE, start, start + 'cookie'.length, start + length, true)
  }

  #count(length: number): void {
    this.#fields += 1
    // So that fields of no length are no way around it.
    this.#decodedBytes += length + FIELD_OVERHEAD
  }

  #refuse(reason: MalformedReason): void {
    this.malformed ??= reason
  }

  #object(reason: ProblemReason): void {
    this.problem ??= reason
  }
}

/** RFC 9110, 5.5, and RFC 9113, 8.2.1: no white space at the ends. */
function isValue(bytes: Buffer, start: number, end: number): boolean {
  if (start === end) return true
  const first = bytes[start]!
  const last = bytes[end - 1]!
  if (first === SP || first === HTAB || last === SP || last === HTAB) return false
  let at = start
  // As in heads of HTTP/1.1: four by table while all of them are plain.
  for (const four = end - 4; at <= four; at += 4) {
    const notPlain =
      NOT_VALUE[bytes[at]!]! | NOT_VALUE[bytes[at + 1]!]! | NOT_VALUE[bytes[at + 2]!]! | NOT_VALUE[bytes[at + 3]!]!
    if (notPlain !== 0) return false
  }
  for (; at < end; at++) if (NOT_VALUE[bytes[at]!] !== 0) return false
  return true
}

/** Digits alone, no leading zero, at most 2^53-1; else -1. */
function readLength(bytes: Buffer, start: number, end: number): number {
  if (start === end || end - start > MAX_LENGTH_DIGITS) return -1
  if (bytes[start] === DIGIT_ZERO && end - start > 1) return -1
  let value = 0
  for (let at = start; at < end; at++) {
    const digit = bytes[at]! - DIGIT_ZERO
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return Number.isSafeInteger(value) ? value : -1
}

const COLON = 0x3a
const DIGIT_ZERO = 0x30
const MAX_LENGTH_DIGITS = 16
const FIELD_OVERHEAD = 32

/** Those that are acted upon, in the order that the tests of an id rely on. */
const FIELD_NAMES = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'te',
  'content-length',
  'host',
  'expect',
  'authorization',
  'proxy-authorization',
  'content-type',
  'cookie',
  'content-encoding',
  'content-range',
  'range',
  'set-cookie',
  'trailer',
  'www-authenticate',
  'origin',
  'access-control-request-method',
  'sec-websocket-key',
  'sec-websocket-version',
] as const

function idOf(name: (typeof FIELD_NAMES)[number]): number {
  return FIELD_NAMES.indexOf(name) + 1
}

const FIELDS = new FieldTable(FIELD_NAMES)
const LAST_CONNECTION_SPECIFIC = idOf('upgrade')
const TE = idOf('te')
const CONTENT_LENGTH = idOf('content-length')
const HOST = idOf('host')
const EXPECT = idOf('expect')
const AUTHORIZATION = idOf('authorization')
const PROXY_AUTHORIZATION = idOf('proxy-authorization')
const COOKIE = idOf('cookie')
const LAST_FORBIDDEN_TRAILER = idOf('www-authenticate')

/** What a decision may hang on comes once; by bit. */
const SINGLE = (
  [
    'host',
    'expect',
    'authorization',
    'proxy-authorization',
    'content-type',
    'origin',
    'access-control-request-method',
    'sec-websocket-key',
    'sec-websocket-version',
  ] as const
).reduce((bits, name) => bits | (1 << idOf(name)), 0)

const STATIC_FIELDS = staticFields(FIELDS)

const COOKIE_LINE: FieldName = Object.freeze({
  hash: hashOfName('cookie'),
  id: 0,
  pseudo: REGULAR,
  flaw: SOUND,
})

/** One for all: a section is decoded in one go. */
let scratch = Buffer.alloc(0)

function scratchFor({ maxHeadBytes }: SectionLimits): Buffer {
  const size = Math.ceil(maxHeadBytes * (1 + MAX_BLOCK_FACTOR * MAX_EXPANSION)) + MAX_ENTRY_LINE
  if (scratch.length < size) scratch = Buffer.allocUnsafeSlow(size)
  return scratch
}
