import { compileHeaderFilter, PROTECTED } from './header-filter.ts'
import type { BodyReader, BodySink } from './message.ts'
import { COLON, CR, FIELD_VALUE, FOLDED_TOKEN, HEX_VALUE, HTAB, LF, SEMICOLON, SP, UNDERSCORE } from './octets.ts'
import { type Problem, type ProblemReason, problem, type Sender } from './problem.ts'
import { OWN_ROOM, type Room } from './room.ts'

/** Digits of one chunk size, leading zeros included. */
const MAX_SIZE_DIGITS = 16

/** Bytes of the extensions of one chunk, and of all chunks of one body. Nothing is ever done with them. */
const MAX_EXTENSION_BYTES = 256
const MAX_EXTENSIONS_BYTES = 8_192

/** Bytes of the trailer section, and its lines. */
const MAX_TRAILERS_BYTES = 4_096
const MAX_TRAILERS = 32

/** What ends a chunked body of which everything has been written. */
export const LAST_CHUNK: Buffer = Buffer.from('0\r\n\r\n', 'latin1')

/**
 * The slices as one chunk, in one Buffer, and the end of the body too if it is `done`. Without any octet and not done it is
 * empty: a chunk of no length would be the last one.
 */
export function encodeChunk(slices: readonly Buffer[], done: boolean, room: Room = OWN_ROOM): Buffer {
  const out = room.take(chunkLength(slices, done))
  writeChunk(out, 0, slices, done)
  return out
}

/** Bytes that {@link writeChunk} will write. */
export function chunkLength(slices: readonly Buffer[], done: boolean): number {
  const size = totalLength(slices)
  return (size === 0 ? 0 : sizeDigits(size) + size + 4) + (done ? LAST_CHUNK.length : 0)
}

/** Writes what {@link encodeChunk} makes into `out` at `at`; returns where it ended. */
export function writeChunk(out: Buffer, at: number, slices: readonly Buffer[], done: boolean): number {
  const size = totalLength(slices)
  let end = at
  if (size > 0) {
    end = writeSize(out, at, size)
    for (const slice of slices) end += slice.copy(out, end)
    out[end++] = CR
    out[end++] = LF
  }
  return done ? end + LAST_CHUNK.copy(out, end) : end
}

export function totalLength(slices: readonly Buffer[]): number {
  let length = 0
  for (const slice of slices) length += slice.length
  return length
}

function sizeDigits(size: number): number {
  let digits = 1
  for (let rest = Math.floor(size / 16); rest > 0; rest = Math.floor(rest / 16)) digits++
  return digits
}

function writeSize(out: Buffer, at: number, size: number): number {
  const end = at + sizeDigits(size)
  let rest = size
  for (let place = end - 1; place >= at; place--) {
    out[place] = HEX_DIGITS.charCodeAt(rest % 16)
    rest = Math.floor(rest / 16)
  }
  out[end] = CR
  out[end + 1] = LF
  return end + 2
}

const HEX_DIGITS = '0123456789abcdef'

/**
 * RFC 9112, 7.1, without the white space that it tolerates around extensions. Extensions are read past and trailers are
 * judged and dropped: neither is ever passed on.
 */
export class ChunkedReader implements BodyReader {
  readonly #sender: Sender
  #state = SIZE
  #size = 0
  #sizeDigits = 0
  #left = 0
  #extensionBytes = 0
  #extensionsBytes = 0
  #trailerBytes = 0
  #trailers = 0
  #isEmpty = true
  #trailerName = ''
  #hasUnderscore = false
  #problem: Problem | undefined

  constructor(sender: Sender) {
    this.#sender = sender
  }

  get done(): boolean {
    return this.#state === DONE
  }

  read(chunk: Buffer, start: number, end: number, sink: BodySink): number | Problem {
    if (this.#problem !== undefined) return this.#problem
    let at = start
    while (at < end && this.#state !== DONE) {
      if (this.#state === DATA) {
        const taken = Math.min(end - at, this.#left)
        this.#left -= taken
        if (this.#left === 0) this.#state = DATA_CR
        sink.onBody(chunk, at, at + taken)
        at += taken
        continue
      }
      const reason = this.#step(chunk[at]!)
      if (reason !== undefined) {
        this.#problem = problem(this.#sender, reason)
        return this.#problem
      }
      at++
    }
    return at
  }

  close(): Problem | undefined {
    return this.#problem ?? (this.done ? undefined : problem(this.#sender, 'truncated-body'))
  }

  #step(octet: number): ProblemReason | undefined {
    const state = this.#state
    if (state === SIZE) return this.#inSize(octet)
    if (state >= EXTENSION_NAME && state <= AFTER_QUOTED) return this.#inExtension(octet)
    if (state >= TRAILER_START) return this.#inTrailers(octet)
    switch (state) {
      case SIZE_LF:
        if (octet !== LF) return 'bare-cr'
        this.#endSizeLine()
        return undefined
      case DATA_CR:
        this.#state = DATA_LF
        return octet === CR ? undefined : 'bad-chunk-end'
      default:
        this.#state = SIZE
        return octet === LF ? undefined : 'bad-chunk-end'
    }
  }

  #inSize(octet: number): ProblemReason | undefined {
    const digit = HEX_VALUE[octet]!
    if (digit < 16) {
      this.#size = this.#size * 16 + digit
      return ++this.#sizeDigits > MAX_SIZE_DIGITS || this.#size > Number.MAX_SAFE_INTEGER ? 'chunk-too-big' : undefined
    }
    if (octet === LF) return 'bare-lf'
    if (this.#sizeDigits === 0) return 'bad-chunk-size'
    if (octet === CR) this.#state = SIZE_LF
    else if (octet === SEMICOLON) this.#startExtension()
    else return 'bad-chunk-size'
    return undefined
  }

  #endSizeLine(): void {
    this.#left = this.#size
    this.#state = this.#size === 0 ? TRAILER_START : DATA
    this.#size = 0
    this.#sizeDigits = 0
    this.#extensionBytes = 0
  }

  #startExtension(): void {
    this.#state = EXTENSION_NAME
    this.#isEmpty = true
  }

  #inExtension(octet: number): ProblemReason | undefined {
    this.#extensionBytes++
    this.#extensionsBytes++
    if (this.#extensionBytes > MAX_EXTENSION_BYTES || this.#extensionsBytes > MAX_EXTENSIONS_BYTES) {
      return 'chunk-extension-too-long'
    }
    if (octet === LF) return 'bare-lf'
    switch (this.#state) {
      case EXTENSION_NAME:
      case EXTENSION_VALUE:
        if (FOLDED_TOKEN[octet] !== 0) {
          this.#isEmpty = false
          return undefined
        }
        if (octet === QUOTE && this.#isEmpty && this.#state === EXTENSION_VALUE) {
          this.#state = QUOTED
          return undefined
        }
        if (this.#isEmpty) return 'bad-chunk-extension'
        if (octet === EQUALS && this.#state === EXTENSION_NAME) {
          this.#state = EXTENSION_VALUE
          this.#isEmpty = true
          return undefined
        }
        return this.#endExtension(octet)
      case QUOTED:
        if (octet === QUOTE) this.#state = AFTER_QUOTED
        else if (octet === BACKSLASH) this.#state = QUOTED_PAIR
        return FIELD_VALUE[octet] === 1 ? undefined : 'bad-chunk-extension'
      case QUOTED_PAIR:
        this.#state = QUOTED
        return FIELD_VALUE[octet] === 1 ? undefined : 'bad-chunk-extension'
      default:
        return this.#endExtension(octet)
    }
  }

  #endExtension(octet: number): ProblemReason | undefined {
    if (octet === SEMICOLON) this.#startExtension()
    else if (octet === CR) this.#state = SIZE_LF
    else return 'bad-chunk-extension'
    return undefined
  }

  #inTrailers(octet: number): ProblemReason | undefined {
    if (++this.#trailerBytes > MAX_TRAILERS_BYTES) return 'trailers-too-long'
    switch (this.#state) {
      case TRAILER_START:
        if (octet === CR) {
          this.#state = LAST_LF
          return undefined
        }
        if (octet === SP || octet === HTAB) return 'folded-header'
        if (++this.#trailers > MAX_TRAILERS) return 'trailers-too-long'
        this.#trailerName = ''
        this.#hasUnderscore = false
        this.#state = TRAILER_NAME
        return this.#inTrailerName(octet)
      case TRAILER_NAME:
        return this.#inTrailerName(octet)
      case TRAILER_VALUE:
        if (FIELD_VALUE[octet] === 1) return undefined
        if (octet !== CR) return octet === LF ? 'bare-lf' : 'bad-trailer'
        this.#state = TRAILER_LF
        return undefined
      default:
        if (octet !== LF) return 'bare-cr'
        this.#state = this.#state === LAST_LF ? DONE : TRAILER_START
        return undefined
    }
  }

  #inTrailerName(octet: number): ProblemReason | undefined {
    const folded = FOLDED_TOKEN[octet]!
    if (folded !== 0) {
      this.#trailerName += String.fromCharCode(folded)
      if (octet === UNDERSCORE) this.#hasUnderscore = true
      return undefined
    }
    if (octet === LF) return 'bare-lf'
    if (octet !== COLON || this.#trailerName === '') return 'bad-trailer'
    if (this.#hasUnderscore && PROTECTED_NAMES.matchesName(this.#trailerName)) return 'underscore-header'
    if (FORBIDDEN_TRAILERS.matchesName(this.#trailerName)) return 'forbidden-trailer'
    this.#state = TRAILER_VALUE
    return undefined
  }
}

const QUOTE = 0x22
const EQUALS = 0x3d
const BACKSLASH = 0x5c

const SIZE = 0
const SIZE_LF = 1
const DATA = 2
const DATA_CR = 3
const DATA_LF = 4
const DONE = 5
const EXTENSION_NAME = 6
const EXTENSION_VALUE = 7
const QUOTED = 8
const QUOTED_PAIR = 9
const AFTER_QUOTED = 10
const TRAILER_START = 11
const TRAILER_NAME = 12
const TRAILER_VALUE = 13
const TRAILER_LF = 14
const LAST_LF = 15

const PROTECTED_NAMES = compileHeaderFilter(PROTECTED)

/** What a sender must not put there (RFC 9110, 6.5.1): framing, routing, modifiers, credentials, content format. */
const FORBIDDEN_TRAILERS = compileHeaderFilter({
  names: [
    'authorization',
    'connection',
    'content-encoding',
    'content-length',
    'content-range',
    'content-type',
    'cookie',
    'expect',
    'host',
    'keep-alive',
    'proxy-authorization',
    'range',
    'set-cookie',
    'te',
    'trailer',
    'transfer-encoding',
    'upgrade',
    'www-authenticate',
  ],
})
