import { ERROR_CODE, type ErrorCode } from '../serve/http2/error-code.ts'
import type { Http2StreamUser } from '../serve/http2/handler.ts'
import type { Http2Stream } from '../serve/http2/stream.ts'
import type { ByteStream, ByteStreamUser } from './byte-stream.ts'

/** A stream that an extended CONNECT made a tunnel of (RFC 8441, 5): its DATA is bytes. */
export class StreamBytes implements ByteStream, Http2StreamUser {
  user: ByteStreamUser | undefined
  readonly lends = false
  isClosed = false
  readonly #stream: Http2Stream
  /** What came while nobody wanted it: no more than the stream's window. */
  readonly #waiting: Buffer[] = []
  #isPaused = false
  #hasEnded = false
  #hasToldEnd = false
  #whenSent: (() => void) | undefined
  readonly #giveUp: (stream: Http2Stream) => void

  /** `giveUp` ends the stream before its end: whoever shares its connection with others bounds how many are reset young. */
  constructor(stream: Http2Stream, giveUp: (stream: Http2Stream) => void = cancel) {
    this.#stream = stream
    this.#giveUp = giveUp
    stream.user = this
  }

  write(bytes: Buffer): boolean {
    return this.#stream.hasSentEnd || this.#stream.sendData([bytes], false)
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      this.#pass(next)
      if (this.#isPaused) return
    }
    this.#tellEnd()
  }

  end(sent?: () => void): void {
    if (this.#stream.hasSentEnd || this.isClosed) return
    const isFlowing = this.#stream.sendData([], true)
    if (isFlowing) sent?.()
    else this.#whenSent = sent
    this.#closeIfOver()
  }

  destroy(): void {
    const stream = this.#stream
    if (stream.isOpen && !this.isClosed) {
      stream.user = undefined
      this.#giveUp(stream)
    }
    this.#close(undefined)
  }

  onHead(): void {}

  onData(chunk: Buffer, start: number, end: number): void {
    // What comes is lent: of an upstream's connection it is read over with the next read of any of them.
    const slice = Buffer.from(chunk.subarray(start, end))
    if (this.#isPaused || this.user === undefined) this.#waiting.push(slice)
    else this.#pass(slice)
  }

  onTrailers(): void {}

  onEnd(): void {
    this.#hasEnded = true
    if (!this.#isPaused) this.#tellEnd()
  }

  onReset(code: ErrorCode): void {
    this.#close(
      code === ERROR_CODE.CANCEL || code === ERROR_CODE.NO_ERROR ? undefined : new Error(`reset with ${code}`),
    )
  }

  onDrain(): void {
    const sent = this.#whenSent
    this.#whenSent = undefined
    sent?.()
    this.user?.onDrain()
  }

  #pass(slice: Buffer): void {
    this.user?.onBytes(slice, slice.length)
    if (!this.isClosed) this.#stream.consumed(slice.length)
  }

  #tellEnd(): void {
    if (!this.#hasEnded || this.#hasToldEnd || this.#waiting.length > 0) return
    this.#hasToldEnd = true
    this.user?.onEnd()
    this.#closeIfOver()
  }

  #closeIfOver(): void {
    if (this.#hasToldEnd && this.#stream.hasSentEnd && this.#whenSent === undefined) this.#close(undefined)
  }

  /** As a socket's: its user is told later, and once. */
  #close(error: Error | undefined): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#waiting.length = 0
    process.nextTick(() => this.user?.onClose(error))
  }
}

/** CANCEL is to HTTP/2 what RST is to TCP (RFC 8441, 5). */
function cancel(stream: Http2Stream): void {
  stream.reset(ERROR_CODE.CANCEL)
}
