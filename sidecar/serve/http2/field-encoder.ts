import { FieldTable } from '../http1/field-table.ts'
import { compileHeaderFilter, type HeaderFilter, HOP_BY_HOP } from '../http1/header-filter.ts'
import { type HeaderLines, MARKS_PER_LINE } from '../http1/header-lines.ts'
import {
  COLON,
  CR,
  FOLDED_TOKEN,
  HASH_START,
  hashOfName,
  nextHash,
  UNDERSCORE,
  VISIBLE,
  writeLatin1,
} from '../http1/octets.ts'
import { type Problem, UNWRITABLE } from '../http1/problem.ts'
import { type HeaderEdits, isFieldValue, isMadeOf, LeftOut, writableNames } from '../http1/write-head.ts'
import { ByteRing, copyBytes } from './byte-ring.ts'
import { ENTRY_OVERHEAD, TABLE_BYTES } from './decoder-table.ts'
import { EncodedLines } from './encoded-lines.ts'
import type { Http2Request, Http2Response } from './handler.ts'
import { STATIC_TABLE } from './static-table.ts'

/** Octets of a field beside its name and value: a size update, an index, two lengths. */
const MAX_FIELD_OVERHEAD = 16

/** Bytes of a value beyond which nobody looks whether it was sent before. */
const MAX_INDEXED_VALUE = 512

/** Fields of which it is remembered that they were sent once: what comes again within so many is worth an entry. */
const REMEMBERED = 256

const MAX_ENTRIES = TABLE_BYTES / ENTRY_OVERHEAD

/** By hash; two that meet cost a literal now and then. */
const SLOTS = 512

/**
 * Encodes the field sections of one connection (RFC 7541) from the lines that were received and what is done to them on the
 * way, as `writeRequestHead` and `writeResponseHead` do it for HTTP/1.1; the last gate, as they are.
 *
 * A field is added to the dynamic table when it comes for the second time: ids of requests, paths and dates that never come
 * again push out nothing, and cost the reader no entry. Credentials and cookies are never indexed. No Huffman codes: they
 * would save a tenth of few bytes for more than the rest of the work takes.
 */
export class FieldEncoder {
  #ring: ByteRing | undefined
  /** Of each entry, by insertion, around and around. */
  readonly #hashes = new Int32Array(MAX_ENTRIES)
  readonly #places = new Int32Array(MAX_ENTRIES)
  readonly #nameLengths = new Int32Array(MAX_ENTRIES)
  readonly #valueLengths = new Int32Array(MAX_ENTRIES)
  /** By hash: one more than how many were inserted before the entry. */
  readonly #slots = new Int32Array(SLOTS)
  readonly #remembered = new Int32Array(REMEMBERED)
  #inserted = 0
  #count = 0
  #bytes = 0
  #maxBytes = TABLE_BYTES
  /** Changes with whatever an index means. */
  #generation = 0
  /** Fields that were new to the table, or to what is remembered. */
  #news = 0
  readonly #received = new EncodedLines()
  readonly #checked = new EncodedLines()
  readonly #trailers = new EncodedLines()
  /** The smallest size since the last section, and that it has to be told (RFC 7541, 4.2). */
  #smallest = TABLE_BYTES
  #hasResized = false

  #out: Buffer = NO_BYTES
  #at = 0

  get tableEntries(): number {
    return this.#count
  }

  /** The peer keeps no more than this: its SETTINGS_HEADER_TABLE_SIZE. */
  resize(peerBytes: number): void {
    const maxBytes = Math.min(peerBytes, TABLE_BYTES)
    if (maxBytes === this.#maxBytes) return
    this.#maxBytes = maxBytes
    this.#smallest = this.#hasResized ? Math.min(this.#smallest, maxBytes) : maxBytes
    this.#hasResized = true
    this.#generation += 1
    this.#evictUntil(maxBytes)
  }

  /**
   * Writes a request's section into `out` at `at`; returns where it ended, or a problem, and then nothing has happened. There
   * is room for {@link boundOf} it.
   */
  writeRequest(out: Buffer, at: number, message: Http2Request): number | Problem {
    const { method, target, host, scheme, protocol, trailers } = message
    if (!isMadeOf(method, FOLDED_TOKEN) || !isMadeOf(target, VISIBLE) || !isMadeOf(host, VISIBLE)) return UNWRITABLE
    const left = leftOut(message)
    if (left === undefined) return UNWRITABLE
    this.#begin(out, at)
    if (protocol !== undefined) {
      this.#literalPair(METHOD_INDEX, 'CONNECT')
      this.#own(OWN_PROTOCOL, protocol)
    } else if (method === 'GET') out[this.#at++] = 0x80 | METHOD_INDEX
    else if (method === 'POST') out[this.#at++] = 0x80 | (METHOD_INDEX + 1)
    else this.#literalPair(METHOD_INDEX, method)
    out[this.#at++] = 0x80 | (scheme === 'http' ? SCHEME_INDEX : SCHEME_INDEX + 1)
    this.#own(OWN_AUTHORITY, host)
    if (target === '/') out[this.#at++] = 0x80 | PATH_INDEX
    else this.#own(OWN_PATH, target)
    this.#message(message, left)
    if (trailers === true) this.#own(OWN_TE, 'trailers')
    return this.#end()
  }

  /** The same for a response. */
  writeResponse(out: Buffer, at: number, message: Http2Response): number | Problem {
    const { status } = message
    if (!Number.isInteger(status) || status < 100 || status > 599 || status === 101) return UNWRITABLE
    const left = leftOut(message)
    if (left === undefined) return UNWRITABLE
    this.#begin(out, at)
    const index = STATUS_INDEXES.get(status)
    if (index !== undefined) out[this.#at++] = 0x80 | index
    else this.#literalPair(STATUS_INDEX, String(status))
    this.#message(message, left)
    return this.#end()
  }

  /** The same for trailers, without the lines that `drop` matches. */
  writeTrailers(out: Buffer, at: number, lines: HeaderLines, drop: HeaderFilter | undefined): number {
    this.#begin(out, at)
    if (this.#again(this.#trailers, lines, drop)) return this.#end()
    const start = this.#at
    const news = this.#news
    const { block, origin, marks } = lines
    for (let mark = 0; mark < marks.length; mark += MARKS_PER_LINE) {
      const nameStart = origin + marks[mark + 1]!
      const nameEnd = origin + marks[mark + 2]!
      if (FORBIDDEN_TRAILERS.matches(marks[mark]!, block, nameStart, nameEnd)) continue
      if (drop?.matches(marks[mark]!, block, nameStart, nameEnd)) continue
      this.#line(block, nameStart, nameEnd, origin + marks[mark + 3]!, origin + marks[mark + 4]!, marks[mark]!, false)
    }
    if (this.#news === news) this.#trailers.keep(lines, drop, this.#generation, out, start, this.#at)
    return this.#end()
  }

  #begin(out: Buffer, at: number): void {
    this.#out = out
    this.#at = at
    if (!this.#hasResized) return
    if (this.#smallest < this.#maxBytes) this.#integer(0x20, 0x1f, this.#smallest)
    this.#integer(0x20, 0x1f, this.#maxBytes)
    this.#smallest = this.#maxBytes
    this.#hasResized = false
  }

  #end(): number {
    this.#out = NO_BYTES
    return this.#at
  }

  #message(message: Http2Request | Http2Response, left: LeftOut): void {
    const { headers, edits, framing } = message
    const length = framing.kind === 'length' ? framing.bytes : declaredLengthOf(message)
    if (length !== undefined) this.#own(OWN_CONTENT_LENGTH, String(length))
    if (edits?.requestId !== undefined) this.#own(OWN_REQUEST_ID, edits.requestId)
    const set = edits?.set
    if (set !== undefined) {
      for (let index = 0; index < set.length; index++) {
        const name = set[index]![0]
        this.#pair(name, set[index]![1], writableNames.hashOf(name)!)
      }
    }
    if (edits?.lines !== undefined) this.#checkedLines(edits.lines)
    this.#receivedLines(headers, left)
  }

  /** Writes the lines as they were written before. False: they are not known. */
  #again(known: EncodedLines, lines: object, filter: object | undefined): boolean {
    const end = known.write(lines, filter, this.#generation, this.#out, this.#at)
    if (end === -1) return false
    this.#at = end
    return true
  }

  #receivedLines(headers: HeaderLines, left: LeftOut): void {
    const filter = left.filterAlone
    if (filter !== undefined && this.#again(this.#received, headers, filter)) return
    const start = this.#at
    const news = this.#news
    const { block, origin, marks, neverIndexed } = headers
    for (let mark = 0; mark < marks.length; mark += MARKS_PER_LINE) {
      if (left.has(headers, mark)) continue
      const isNever = neverIndexed?.includes(mark / MARKS_PER_LINE) === true
      this.#line(
        block,
        origin + marks[mark + 1]!,
        origin + marks[mark + 2]!,
        origin + marks[mark + 3]!,
        origin + marks[mark + 4]!,
        marks[mark]!,
        isNever,
      )
    }
    if (filter !== undefined && this.#news === news)
      this.#received.keep(headers, filter, this.#generation, this.#out, start, this.#at)
  }

  /** They were written by `checkLines`: `name: value` and CRLF each. */
  #checkedLines(lines: Buffer): void {
    if (this.#again(this.#checked, lines, undefined)) return
    const begin = this.#at
    const news = this.#news
    for (let at = 0; at < lines.length; ) {
      const start = at
      let hash = HASH_START
      for (; lines[at] !== COLON; at++) hash = nextHash(hash, FOLDED_TOKEN[lines[at]!]!)
      const nameEnd = at
      at += 2
      while (lines[at] !== CR) at++
      this.#line(lines, start, nameEnd, nameEnd + 2, at, hash, false)
      at += 2
    }
    if (this.#news === news) this.#checked.keep(lines, undefined, this.#generation, this.#out, begin, this.#at)
  }

  #own({ name, index, hash }: OwnField, value: string): void {
    if (value.length > MAX_INDEXED_VALUE) {
      this.#integer(0, 0x0f, index)
      if (index === 0) this.#text(name)
      return this.#text(value)
    }
    const nameEnd = writeLatin1(PAIR, name, 0)
    this.#field(index, PAIR, 0, nameEnd, nameEnd, writeLatin1(PAIR, value, nameEnd), hash, false)
  }

  /** A name and a value that are texts. */
  #pair(name: string, value: string, hash: number): void {
    if (name.length + value.length > PAIR_BYTES) {
      this.#out[this.#at++] = 0
      this.#text(name.toLowerCase())
      return this.#text(value)
    }
    const nameEnd = writeLatin1(PAIR, name, 0)
    this.#line(PAIR, 0, nameEnd, nameEnd, writeLatin1(PAIR, value, nameEnd), hash, false)
  }

  #line(
    bytes: Buffer,
    nameStart: number,
    nameEnd: number,
    valueStart: number,
    valueEnd: number,
    nameHash: number,
    isNever: boolean,
  ): void {
    const staticIndex = staticNameOf(nameHash, bytes, nameStart, nameEnd)
    const isSecret = isNever || isSensitive(staticIndex, nameHash, bytes, nameStart, nameEnd)
    this.#field(staticIndex, bytes, nameStart, nameEnd, valueStart, valueEnd, nameHash, isSecret)
  }

  /** By the table if it is in there, else as a literal. */
  #field(
    staticIndex: number,
    bytes: Buffer,
    nameStart: number,
    nameEnd: number,
    valueStart: number,
    valueEnd: number,
    nameHash: number,
    isSecret: boolean,
  ): void {
    if (isSecret) {
      return this.#literal(0x10, 0x0f, staticIndex, bytes, nameStart, nameEnd, valueStart, valueEnd)
    }
    const size = nameEnd - nameStart + valueEnd - valueStart + ENTRY_OVERHEAD
    if (valueEnd - valueStart > MAX_INDEXED_VALUE || size > this.#maxBytes) {
      return this.#literal(0, 0x0f, staticIndex, bytes, nameStart, nameEnd, valueStart, valueEnd)
    }
    let hash = nameHash
    for (let at = valueStart; at < valueEnd; at++) hash = (Math.imul(hash, 31) + bytes[at]!) | 0
    // The low bits of such a hash are those of the last octets.
    hash ^= hash >>> 15
    const known = this.#slots[hash & (SLOTS - 1)]!
    if (known > this.#inserted - this.#count) {
      const entry = (known - 1) % MAX_ENTRIES
      if (this.#hashes[entry] === hash && this.#isEntry(entry, bytes, nameStart, nameEnd, valueStart, valueEnd)) {
        return this.#integer(0x80, 0x7f, FIRST_DYNAMIC + this.#inserted - known)
      }
    }
    this.#news += 1
    if (this.#remembered[hash & (REMEMBERED - 1)] !== hash) {
      this.#remembered[hash & (REMEMBERED - 1)] = hash
      return this.#literal(0, 0x0f, staticIndex, bytes, nameStart, nameEnd, valueStart, valueEnd)
    }
    this.#literal(0x40, 0x3f, staticIndex, bytes, nameStart, nameEnd, valueStart, valueEnd)
    this.#insert(hash, bytes, nameStart, nameEnd, valueStart, valueEnd)
  }

  #literal(
    kind: number,
    mask: number,
    staticIndex: number,
    bytes: Buffer,
    nameStart: number,
    nameEnd: number,
    valueStart: number,
    valueEnd: number,
  ): void {
    this.#integer(kind, mask, staticIndex)
    if (staticIndex === 0) {
      this.#integer(0, 0x7f, nameEnd - nameStart)
      this.#at = copyLower(bytes, nameStart, nameEnd, this.#out, this.#at)
    }
    this.#integer(0, 0x7f, valueEnd - valueStart)
    this.#at = copyBytes(bytes, valueStart, valueEnd, this.#out, this.#at)
  }

  /** Without a look into the table. */
  #literalPair(staticIndex: number, value: string): void {
    this.#integer(0, 0x0f, staticIndex)
    this.#text(value)
  }

  #text(value: string): void {
    this.#integer(0, 0x7f, value.length)
    this.#at = writeLatin1(this.#out, value, this.#at)
  }

  /** RFC 7541, 5.1. */
  #integer(kind: number, mask: number, value: number): void {
    const out = this.#out
    if (value < mask) {
      out[this.#at++] = kind | value
      return
    }
    out[this.#at++] = kind | mask
    let rest = value - mask
    for (; rest >= 0x80; rest >>>= 7) out[this.#at++] = (rest & 0x7f) | 0x80
    out[this.#at++] = rest
  }

  #isEntry(
    entry: number,
    bytes: Buffer,
    nameStart: number,
    nameEnd: number,
    valueStart: number,
    valueEnd: number,
  ): boolean {
    const nameLength = nameEnd - nameStart
    const valueLength = valueEnd - valueStart
    if (this.#nameLengths[entry] !== nameLength || this.#valueLengths[entry] !== valueLength) return false
    const kept = this.#ring!.bytes
    const place = this.#places[entry]!
    for (let at = 0; at < nameLength; at++) if (kept[place + at] !== LOWER[bytes[nameStart + at]!]) return false
    const valuePlace = place + nameLength
    for (let at = 0; at < valueLength; at++) if (kept[valuePlace + at] !== bytes[valueStart + at]) return false
    return true
  }

  #insert(hash: number, bytes: Buffer, nameStart: number, nameEnd: number, valueStart: number, valueEnd: number): void {
    const nameLength = nameEnd - nameStart
    const valueLength = valueEnd - valueStart
    const size = nameLength + valueLength + ENTRY_OVERHEAD
    this.#generation += 1
    this.#evictUntil(this.#maxBytes - size)
    this.#ring ??= new ByteRing(TABLE_BYTES)
    const place = this.#ring.place(nameLength + valueLength)
    const kept = this.#ring.bytes
    copyBytes(bytes, valueStart, valueEnd, kept, copyLower(bytes, nameStart, nameEnd, kept, place))
    const entry = this.#inserted % MAX_ENTRIES
    this.#hashes[entry] = hash
    this.#places[entry] = place
    this.#nameLengths[entry] = nameLength
    this.#valueLengths[entry] = valueLength
    this.#inserted += 1
    this.#slots[hash & (SLOTS - 1)] = this.#inserted
    this.#count += 1
    this.#bytes += size
  }

  #evictUntil(maxBytes: number): void {
    while (this.#bytes > maxBytes && this.#count > 0) {
      const oldest = (this.#inserted - this.#count) % MAX_ENTRIES
      this.#bytes -= this.#nameLengths[oldest]! + this.#valueLengths[oldest]! + ENTRY_OVERHEAD
      this.#count -= 1
    }
  }
}

/** Octets that the section of a message takes at most. */
export function boundOf(message: Http2Request | Http2Response): number {
  const { headers, edits } = message
  let bound = boundOfLines(headers) + 256
  if ('target' in message) bound += message.target.length + message.host.length + message.method.length
  if (edits?.lines !== undefined) bound += edits.lines.length * 2
  if (edits?.requestId !== undefined) bound += edits.requestId.length + MAX_FIELD_OVERHEAD
  if (edits?.set !== undefined) {
    for (const [name, value] of edits.set) bound += name.length + value.length + MAX_FIELD_OVERHEAD
  }
  return bound
}

export function boundOfLines({ marks }: HeaderLines): number {
  const { length } = marks
  return length === 0 ? MAX_FIELD_OVERHEAD : marks[length - 1]! + (length / MARKS_PER_LINE + 1) * MAX_FIELD_OVERHEAD
}

/** What of the message is left out; undefined where it would split, or says a name that is not for it to say. */
function leftOut({ edits, connectionNames }: MessageParts): LeftOut | undefined {
  const left = new LeftOut(edits, connectionNames)
  const requestId = edits?.requestId
  if (requestId !== undefined && !isFieldValue(requestId)) return undefined
  const set = edits?.set
  if (set !== undefined) {
    for (let index = 0; index < set.length; index++) {
      const name = set[index]![0]
      const hash = writableNames.hashOf(name)
      if (hash === undefined || !isFieldValue(set[index]![1])) return undefined
      left.add(name, hash)
    }
  }
  return left
}

interface MessageParts {
  readonly edits?: HeaderEdits
  readonly connectionNames?: readonly string[]
}

function declaredLengthOf(message: Http2Request | Http2Response): number | undefined {
  return 'status' in message && message.framing.kind === 'none' && message.status >= 200 && message.status !== 204
    ? message.declaredLength
    : undefined
}

/** In lower case, as RFC 9113, 8.2.1 demands; every other octet as it is. */
const LOWER = Uint8Array.from({ length: 256 }, (_, octet) => (octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet))

function copyLower(from: Buffer, start: number, end: number, to: Buffer, at: number): number {
  let out = at
  for (let index = start; index < end; index++) to[out++] = LOWER[from[index]!]!
  return out
}

/** Where pairs of texts become octets: one for all. */
const PAIR_BYTES = 4_096
const PAIR = Buffer.allocUnsafeSlow(PAIR_BYTES)

const NO_BYTES = Buffer.alloc(0)

const FIRST_DYNAMIC = STATIC_TABLE.length + 1
const METHOD_INDEX = 2
const PATH_INDEX = 4
const SCHEME_INDEX = 6
const STATUS_INDEX = 8
const STATUS_INDEXES: ReadonlyMap<number, number> = new Map(
  STATIC_TABLE.flatMap(([name, value], at) => (name === ':status' ? [[Number(value), at + 1]] : [])),
)

/** The regular names of the static table. */
const STATIC_NAMES = [...new Set(STATIC_TABLE.map(([name]) => name).filter((name) => !name.startsWith(':')))]
const STATIC_FIELDS = new FieldTable(STATIC_NAMES)
const STATIC_INDEXES = Uint8Array.from([
  0,
  ...STATIC_NAMES.map((name) => STATIC_TABLE.findIndex(([known]) => known === name) + 1),
])

/** 0: not in the static table. */
function staticNameOf(hash: number, bytes: Buffer, start: number, end: number): number {
  const id = STATIC_FIELDS.idOf(hash, bytes, start, end)
  if (id === 0) return 0
  // The folded form cannot tell `_` from `-`, and here it is about the name to the letter.
  for (let at = start; at < end; at++) if (bytes[at] === UNDERSCORE) return 0
  return STATIC_INDEXES[id]!
}

function indexOfName(name: string): number {
  return STATIC_TABLE.findIndex(([known]) => known === name) + 1
}

const SENSITIVE_INDEXES = ['authorization', 'cookie', 'proxy-authorization', 'set-cookie'].map(indexOfName)
const IS_SENSITIVE = Uint8Array.from({ length: FIRST_DYNAMIC }, (_, index) =>
  SENSITIVE_INDEXES.includes(index) ? 1 : 0,
)
const OTHER_SENSITIVE = new FieldTable(['x-api-key', 'x-auth-token', 'x-csrf-token', 'x-amz-security-token'])

/** What somebody could guess at by watching the lengths of what is sent beside it (RFC 7541, 7.1). */
function isSensitive(staticIndex: number, hash: number, bytes: Buffer, start: number, end: number): boolean {
  if (staticIndex !== 0) return IS_SENSITIVE[staticIndex] === 1
  return OTHER_SENSITIVE.idOf(hash, bytes, start, end) !== 0
}

/** A field that we write ourselves: its name, its index in the static table, and what its hash starts from. */
interface OwnField {
  readonly name: string
  readonly index: number
  readonly hash: number
}

function ownField(name: string): OwnField {
  return { name, index: indexOfName(name), hash: hashOfName(name) }
}

const OWN_AUTHORITY = ownField(':authority')
const OWN_PATH = ownField(':path')
const OWN_PROTOCOL = ownField(':protocol')
const OWN_CONTENT_LENGTH = ownField('content-length')
const OWN_REQUEST_ID = ownField('x-request-id')
const OWN_TE = ownField('te')

/** What a trailer section cannot have (RFC 9110, 6.5.1). */
const FORBIDDEN_TRAILERS = compileHeaderFilter(HOP_BY_HOP, {
  names: [
    'authorization',
    'content-encoding',
    'content-range',
    'content-type',
    'cookie',
    'expect',
    'host',
    'range',
    'set-cookie',
    'www-authenticate',
  ],
})
