import type { HeaderLines } from '../http1/header-lines.ts'
import type { Problem } from '../http1/problem.ts'
import type { ErrorCode } from './error-code.ts'
import type { Http2Request, Http2Response, Http2StreamUser } from './handler.ts'

/** One request and its response on a session. */
export interface Http2Stream {
  readonly id: number
  user: Http2StreamUser | undefined
  /** Whether it is in the session still: false after both sides have ended, and after a reset. */
  readonly isOpen: boolean
  /** We have sent all that we shall. */
  readonly hasSentEnd: boolean
  /** The peer has. */
  readonly hasReceivedEnd: boolean
  /** By extended CONNECT: what comes as data is the tunnel's. */
  readonly isTunnel: boolean
  /** False: wait for `onDrain` before sending more. */
  readonly isFlowing: boolean
  /** Client role, once. A problem: the head would have split, nothing was sent, and the stream is yours to `reset`. */
  sendRequest(message: Http2Request, endStream: boolean): Problem | undefined
  /** Server role: any number of interim ones, then the final one. */
  sendResponse(message: Http2Response, endStream: boolean): Problem | undefined
  /**
   * Copies the slices. False: windows or the socket hold some of it back; wait for `onDrain`. What is sent all the same is
   * held, too, and nothing is lost.
   */
  sendData(slices: readonly Buffer[], endStream: boolean): boolean
  /** Ends our side behind what was sent. Names that a trailer section cannot have (framing, routing) are left out. */
  sendTrailers(lines: HeaderLines): void
  /** That much of what `onData` lent was used up: more may come. */
  consumed(bytes: number): void
  /** Ends the stream at once; `user` is forgotten. Does nothing to one that is over. */
  reset(code: ErrorCode): void
}
