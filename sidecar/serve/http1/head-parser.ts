import type { FieldTable } from './field-table.ts'
import { compileHeaderFilter, type HeaderFilter, HOP_BY_HOP } from './header-filter.ts'
import { HeaderLines, MARKS_PER_LINE } from './header-lines.ts'
import { DEFAULT_HEAD_LIMITS, type HeadLimits, type HeadParser } from './message.ts'
import {
  COLON,
  COMMA,
  CR,
  DELETE,
  FOLDED_TOKEN,
  foldsTo,
  HASH_START,
  HTAB,
  LF,
  latin1,
  NOT_VALUE,
  nextHash,
  SP,
  UNDERSCORE,
} from './octets.ts'
import { type Problem, type ProblemReason, problem, type Sender } from './problem.ts'

/** What a scan came to: everything there, or not yet, or never. */
export type Scanned = typeof COMPLETE | typeof INCOMPLETE | ProblemReason

export const COMPLETE = 1
export const INCOMPLETE = 0

/** States of a scan. A start line has those between START and FIELD_START for itself. */
export const START = 0
export const FIELD_START = 16
const FIELD_NAME = 17
const BEFORE_VALUE = 18
const IN_VALUE = 19
const LINE_LF = 20
const LAST_LF = 21

/**
 * What requests and responses have in common: a start line, field lines, an empty line, in whatever chunks they come.
 *
 * It is one pass over the octets. When a chunk ends inside a head, what was read of it is copied and the scan goes on
 * where it stopped, so that a head sent octet by octet costs no more than its length, and what is decided depends on the
 * octets and never on how they were cut.
 */
export abstract class HeadScanner<Head extends object> implements HeadParser<Head> {
  /** Where in the last chunk the head ended. */
  offset = 0

  protected readonly limits: HeadLimits
  /** What is being scanned: the caller's chunk, or the copy of a head that came in pieces. */
  protected bytes: Buffer = NO_BYTES
  /** Where the head starts in `bytes`. */
  protected base = 0
  /** The next octet to look at, and where what can be looked at ends. */
  protected at = 0
  protected limit = 0
  /** Where the current token or line started. */
  protected mark = 0
  protected state = START
  protected fieldsStart = 0

  /** -1 without Content-Length. */
  protected contentLength = -1
  protected isChunked = false
  protected saysClose = false
  protected saysUpgrade = false
  protected upgradesToWebSocket = false
  protected connectionNames: readonly string[] = NO_NAMES

  readonly #sender: Sender
  /** Whether the lines of a head are of use only until the next chunk is read, and need not be copied. */
  readonly #lends: boolean
  readonly #fields: FieldTable
  readonly #protected: HeaderFilter
  /** As in {@link HeaderLines}, but counted from the start of the head. */
  readonly #marks: number[] = []
  #lines = 0
  #hash = HASH_START
  #nameEnd = 0
  #valueStart = 0
  #hasUnderscore = false
  /** Octets of this head that were copied from earlier chunks. */
  #held = 0
  #problem: Problem | undefined

  constructor(sender: Sender, fields: FieldTable, protectedNames: HeaderFilter, limits: Partial<HeadLimits> = {}) {
    this.limits = { ...DEFAULT_HEAD_LIMITS, ...limits }
    this.#sender = sender
    this.#lends = sender === 'upstream'
    this.#fields = fields
    this.#protected = protectedNames
  }

  get idle(): boolean {
    return this.#held === 0 && this.#problem === undefined
  }

  parse(chunk: Buffer, start = 0, end = chunk.length): Head | Problem | undefined {
    if (this.#problem !== undefined) return this.#problem
    if (start >= end) return undefined
    const held = this.#held
    const room = this.limits.maxHeadBytes - held
    const taken = Math.min(end - start, room)
    if (held === 0) this.#scanInPlace(chunk, start, taken)
    else this.#scanAppended(chunk, start, taken)

    const outcome = this.#scan()
    if (outcome === INCOMPLETE) {
      if (taken === room) return this.#refuse('head-too-long')
      if (held === 0) this.#hold(chunk, start, taken)
      this.#held = held + taken
      return undefined
    }
    if (outcome !== COMPLETE) return this.#refuse(outcome)

    const headers = this.#takeLines()
    const head = this.finish(headers)
    this.offset = start + (this.at - this.base - held)
    if (typeof head === 'string') return this.#refuse(head)
    this.#reset()
    return head
  }

  /** The peer closed its side: undefined between two messages, else `truncated-head`. */
  close(): Problem | undefined {
    if (this.#problem !== undefined) return this.#problem
    return this.#held === 0 ? undefined : problem(this.#sender, 'truncated-head')
  }

  /** Reads the start line from `at` on. Sets `state` to FIELD_START, and `fieldsStart`, when it is complete. */
  protected abstract scanStartLine(): Scanned

  /** Told of each line whose name is in the field table, unless every message has use for it; the value is `bytes[start, end)`. */
  protected abstract onField(id: number, start: number, end: number): ProblemReason | undefined

  /** All lines are there: the head, or why there is none. */
  protected abstract finish(headers: HeaderLines): Head | ProblemReason

  /** Forgets the last message. */
  protected forget(): void {
    this.contentLength = -1
    this.isChunked = false
    this.saysClose = false
    this.saysUpgrade = false
    this.upgradesToWebSocket = false
    this.connectionNames = NO_NAMES
  }

  #takeLines(): HeaderLines {
    const { bytes, fieldsStart } = this
    const marks = this.#marks.slice(0, this.#lines * MARKS_PER_LINE)
    // A copy of a head in pieces is ours alone already.
    if (this.#lends || this.#held > 0) return new HeaderLines(bytes, fieldsStart, marks)
    const block = Buffer.allocUnsafe(this.at - fieldsStart)
    bytes.copy(block, 0, fieldsStart, this.at)
    return new HeaderLines(block, 0, marks)
  }

  #refuse(reason: ProblemReason): Problem {
    this.#problem = problem(this.#sender, reason)
    this.bytes = NO_BYTES
    return this.#problem
  }

  #reset(): void {
    this.bytes = NO_BYTES
    this.state = START
    this.#lines = 0
    this.#held = 0
    this.forget()
  }

  #scanInPlace(chunk: Buffer, start: number, taken: number): void {
    this.bytes = chunk
    this.base = start
    this.at = start
    this.limit = start + taken
  }

  #scanAppended(chunk: Buffer, start: number, taken: number): void {
    const size = this.#held + taken
    if (size > this.bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(this.limits.maxHeadBytes, Math.max(size, this.bytes.length * 2)))
      this.bytes.copy(grown, 0, 0, this.#held)
      this.bytes = grown
    }
    chunk.copy(this.bytes, this.#held, start, start + taken)
    this.limit = size
  }

  /** The chunk ends inside the head: keeps what there is, and moves every position to where the copy starts. */
  #hold(chunk: Buffer, start: number, taken: number): void {
    this.bytes = Buffer.allocUnsafeSlow(Math.min(this.limits.maxHeadBytes, Math.max(taken * 2, SMALLEST_COPY)))
    chunk.copy(this.bytes, 0, start, start + taken)
    this.base = 0
    this.at -= start
    this.mark -= start
    this.fieldsStart -= start
    this.#nameEnd -= start
    this.#valueStart -= start
  }

  #scan(): Scanned {
    if (this.state < FIELD_START) {
      const outcome = this.scanStartLine()
      if (outcome !== COMPLETE) return outcome
    }
    return this.#scanFields()
  }

  #scanFields(): Scanned {
    const { bytes, limit } = this
    const { maxHeaders } = this.limits
    let at = this.at
    let state = this.state
    for (;;) {
      if (at >= limit) break
      if (state === FIELD_START) {
        const octet = bytes[at]!
        if (octet === CR) {
          at++
          state = LAST_LF
          continue
        }
        if (octet === SP || octet === HTAB) return 'folded-header'
        if (octet === LF) return 'bare-lf'
        if (this.#lines === maxHeaders) return 'too-many-headers'
        this.mark = at
        this.#hash = HASH_START
        this.#hasUnderscore = false
        state = FIELD_NAME
      }
      if (state === FIELD_NAME) {
        let hash = this.#hash
        while (at < limit) {
          const octet = bytes[at]!
          const folded = FOLDED_TOKEN[octet]!
          if (folded === 0) break
          if (octet === UNDERSCORE) this.#hasUnderscore = true
          hash = nextHash(hash, folded)
          at++
        }
        this.#hash = hash
        if (at === limit) break
        if (bytes[at] !== COLON) return badName(bytes[at]!)
        if (at === this.mark) return 'bad-header-name'
        this.#nameEnd = at
        at++
        state = BEFORE_VALUE
      }
      if (state === BEFORE_VALUE) {
        while (at < limit && (bytes[at] === SP || bytes[at] === HTAB)) at++
        if (at === limit) break
        this.#valueStart = at
        state = IN_VALUE
      }
      if (state === IN_VALUE) {
        let octet = CR
        // RFC 9110, 5.5: four octets by table while all of them are plain, then one by one in comparisons. Most octets of a
        // head are looked at here; of a value of 500 this takes half the time of comparisons alone.
        for (const last = limit - 4; at <= last; at += 4) {
          const notPlain =
            NOT_VALUE[bytes[at]!]! |
            NOT_VALUE[bytes[at + 1]!]! |
            NOT_VALUE[bytes[at + 2]!]! |
            NOT_VALUE[bytes[at + 3]!]!
          if (notPlain !== 0) break
        }
        for (; at < limit; at++) {
          octet = bytes[at]!
          if (octet >= SP) {
            if (octet === DELETE) break
          } else if (octet !== HTAB) break
        }
        if (at === limit) break
        if (octet !== CR) return octet === LF ? 'bare-lf' : 'bad-header-value'
        at++
        state = LINE_LF
        if (at === limit) break
      }
      if (state === LINE_LF) {
        if (bytes[at] !== LF) return 'bare-cr'
        const reason = this.#endLine(bytes, at - 1)
        if (reason !== undefined) return reason
        at++
        state = FIELD_START
        continue
      }
      if (state === LAST_LF) {
        if (bytes[at] !== LF) return 'bare-cr'
        this.at = at + 1
        return COMPLETE
      }
    }
    this.at = at
    this.state = state
    return INCOMPLETE
  }

  #endLine(bytes: Buffer, cr: number): ProblemReason | undefined {
    const nameStart = this.mark
    const nameEnd = this.#nameEnd
    const start = this.#valueStart
    const end = skipSpaceBack(bytes, start, cr)
    const hash = this.#hash
    if (this.#hasUnderscore) {
      if (this.#protected.matches(hash, bytes, nameStart, nameEnd)) return 'underscore-header'
    } else {
      const id = this.#fields.idOf(hash, bytes, nameStart, nameEnd)
      if (id !== 0) {
        if (id === TRANSFER_ENCODING && hasTab(bytes, end, cr)) return badFraming(id)
        const reason = id <= LAST_COMMON_FIELD ? this.#onCommonField(id, start, end) : this.onField(id, start, end)
        if (reason !== undefined) return reason
      }
    }
    const marks = this.#marks
    const origin = this.fieldsStart
    const mark = this.#lines * MARKS_PER_LINE
    marks[mark] = hash
    marks[mark + 1] = nameStart - origin
    marks[mark + 2] = nameEnd - origin
    marks[mark + 3] = start - origin
    marks[mark + 4] = end - origin
    this.#lines++
    return undefined
  }

  #onCommonField(id: number, start: number, end: number): ProblemReason | undefined {
    switch (id) {
      case CONTENT_LENGTH:
        if (this.contentLength !== -1) return 'duplicate-content-length'
        this.contentLength = this.#readLength(start, end)
        return this.contentLength === -1 ? badFraming(id) : undefined
      case TRANSFER_ENCODING:
        if (this.isChunked) return 'duplicate-transfer-encoding'
        this.isChunked = true
        return foldsTo(this.bytes, start, end, 'chunked') ? undefined : badFraming(id)
      case CONNECTION:
        return this.#readConnection(start, end)
      default:
        this.#readUpgrade(start, end)
        return undefined
    }
  }

  /** RFC 9110, 7.6.1. Empty elements are nothing (5.6.1.2). */
  #readConnection(start: number, end: number): ProblemReason | undefined {
    const { bytes } = this
    for (let from = start, comma = start; from < end; from = comma + 1) {
      comma = elementEnd(bytes, from, end)
      const first = skipSpace(bytes, from, comma)
      const last = skipSpaceBack(bytes, first, comma)
      if (first === last || foldsTo(bytes, first, last, 'keep-alive')) continue
      if (foldsTo(bytes, first, last, 'close')) this.saysClose = true
      else if (foldsTo(bytes, first, last, 'upgrade')) this.saysUpgrade = true
      else if (!isToken(bytes, first, last)) return 'bad-connection-header'
      else {
        const name = latin1(bytes, first, last).toLowerCase()
        if (this.#protected.matchesName(name)) return 'connection-names-protected-header'
        if (STANDARD_HOP_BY_HOP.matchesName(name)) continue
        if (this.connectionNames.length === MAX_CONNECTION_NAMES) return 'bad-connection-header'
        this.connectionNames = [...this.connectionNames, name]
      }
    }
    return undefined
  }

  /** RFC 9110, 7.8. Only one protocol is of interest; the others are neither understood nor passed on. */
  #readUpgrade(start: number, end: number): void {
    const { bytes } = this
    for (let from = start, comma = start; from < end; from = comma + 1) {
      comma = elementEnd(bytes, from, end)
      const first = skipSpace(bytes, from, comma)
      if (foldsTo(bytes, first, skipSpaceBack(bytes, first, comma), 'websocket')) this.upgradesToWebSocket = true
    }
  }

  /** Digits alone, no leading zero, at most 2^53-1; else -1. */
  #readLength(start: number, end: number): number {
    const { bytes } = this
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
}

const NO_BYTES = Buffer.alloc(0)
const NO_NAMES: readonly string[] = Object.freeze([])

/** Names that `Connection` may list beyond the standard ones: each is held against each line. Honest peers list one or two. */
const MAX_CONNECTION_NAMES = 16

/** Bytes. Most heads that come in pieces fit. */
const SMALLEST_COPY = 1_024

/** 2^53-1 has sixteen. */
const MAX_LENGTH_DIGITS = 16
const DIGIT_ZERO = 0x30

const STANDARD_HOP_BY_HOP = compileHeaderFilter(HOP_BY_HOP)

const CONTENT_LENGTH = 1
const TRANSFER_ENCODING = 2
const CONNECTION = 3
const LAST_COMMON_FIELD = 4

/** The fields that every message has use for, with the ids 1 to 4. Put these first into a field table. */
export const COMMON_FIELDS = ['content-length', 'transfer-encoding', 'connection', 'upgrade'] as const

function badName(octet: number): ProblemReason {
  if (octet === SP || octet === HTAB) return 'space-before-colon'
  return octet === LF ? 'bare-lf' : 'bad-header-name'
}

function badFraming(id: number): ProblemReason {
  return id === CONTENT_LENGTH ? 'bad-content-length' : 'bad-transfer-encoding'
}

/** A tab behind a coding is how readers are set apart: some trim it, as they should (RFC 9110, 5.5), and llhttp does not. */
function hasTab(bytes: Uint8Array, from: number, end: number): boolean {
  for (let at = from; at < end; at++) if (bytes[at] === HTAB) return true
  return false
}

function elementEnd(bytes: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end && bytes[at] !== COMMA) at++
  return at
}

function skipSpace(bytes: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at++
  return at
}

function skipSpaceBack(bytes: Uint8Array, from: number, end: number): number {
  let at = end
  while (at > from && (bytes[at - 1] === SP || bytes[at - 1] === HTAB)) at--
  return at
}

function isToken(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start
  while (at < end && FOLDED_TOKEN[bytes[at]!] !== 0) at++
  return at === end && start < end
}
