import type { HeaderFilter } from '../http1/header-filter.ts'
import type { HeaderLines } from '../http1/header-lines.ts'
import type { Problem } from '../http1/problem.ts'
import type { ErrorCode } from './error-code.ts'
import type { Http2Request, Http2Response, Http2StreamUser } from './handler.ts'

/** What a stream asks of its session. */
export interface StreamOwner {
  sendHead(stream: Http2Stream, message: Http2Request | Http2Response, endStream: boolean): Problem | undefined
  sendData(stream: Http2Stream, slices: readonly Buffer[], endStream: boolean): boolean
  sendTrailers(stream: Http2Stream, lines: HeaderLines, drop: HeaderFilter | undefined): void
  consumed(stream: Http2Stream, bytes: number): void
  reset(stream: Http2Stream, code: ErrorCode): void
}

/** One request and its response on a session. Only the session writes to its fields, but for `user`. */
export class Http2Stream {
  /** Client role: 0 until its request is sent. Ids go up in the order in which requests do (RFC 9113, 5.1.1). */
  id: number
  user: Http2StreamUser | undefined
  /** Monotonic milliseconds, as exact as the read that it was opened in. */
  readonly openedMs: number
  /** Whether it is in the session still: false after both sides have ended, and after a reset. */
  isOpen = true
  /** We have sent all that we shall, or hold it until windows let it go. */
  hasSentEnd = false
  /** The peer has. */
  hasReceivedEnd = false
  /** By extended CONNECT: what comes as data is the tunnel's. */
  isTunnel = false

  /** Client role: the response's final head was read. */
  hasHead = false
  /** Client role: it answers HEAD, and has no body. */
  toHead = false
  /** What Content-Length promised; -1 where nothing did. */
  expectedBytes = -1
  receivedBytes = 0

  /** Bytes that the peer takes, and that it may send. */
  sendWindow: number
  receiveWindow: number
  /** Bytes that were lent to the user and not used up yet. */
  unconsumed = 0
  /** Bytes that were used up, of which the peer has not been told. */
  unannounced = 0

  /** What windows or the socket hold back: slices, where in the first of them it starts, and what comes behind. */
  readonly held: Buffer[] = []
  heldStart = 0
  heldBytes = 0
  endsBehindHeld = false
  trailersBehindHeld: HeaderLines | undefined
  trailersDrop: HeaderFilter | undefined

  readonly #owner: StreamOwner

  constructor(owner: StreamOwner, id: number, openedMs: number, sendWindow: number, receiveWindow: number) {
    this.#owner = owner
    this.id = id
    this.openedMs = openedMs
    this.sendWindow = sendWindow
    this.receiveWindow = receiveWindow
  }

  /** False: something is held back, and `onDrain` will be called. */
  get isFlowing(): boolean {
    return this.heldBytes === 0
  }

  /**
   * Client role: once, and first. A problem: it would have split, nothing was sent, and the stream is yours to `reset`.
   */
  sendRequest(message: Http2Request, endStream: boolean): Problem | undefined {
    return this.#owner.sendHead(this, message, endStream)
  }

  /** Server role: any number of interim ones, then the final one. A problem as for requests. */
  sendResponse(message: Http2Response, endStream: boolean): Problem | undefined {
    return this.#owner.sendHead(this, message, endStream)
  }

  /**
   * Copies the slices. False: windows or the socket hold some of it back; wait for `onDrain`. What is sent all the same is
   * held, too, and nothing is lost.
   */
  sendData(slices: readonly Buffer[], endStream: boolean): boolean {
    return this.#owner.sendData(this, slices, endStream)
  }

  /**
   * Ends our side behind what was sent. Fields that a trailer section cannot have (framing, routing, credentials) and those
   * that `drop` matches are left out.
   */
  sendTrailers(lines: HeaderLines, drop?: HeaderFilter): void {
    this.#owner.sendTrailers(this, lines, drop)
  }

  /** That much of what `onData` lent was used up: more may come. */
  consumed(bytes: number): void {
    this.#owner.consumed(this, bytes)
  }

  /** Ends the stream at once; `user` is forgotten. Does nothing to one that is over. */
  reset(code: ErrorCode): void {
    this.#owner.reset(this, code)
  }
}
