import type { Clock } from '../../../runtime/clock.ts'
import type { HeaderFilterSource } from '../http1/header-filter.ts'
import type { ErrorCode } from './error-code.ts'
import type { Http2Handler, Http2StreamUser } from './handler.ts'
import type { Http2Limits } from './limits.ts'
import type { Http2Stream } from './stream.ts'

export interface Http2SessionOptions {
  readonly role: 'server' | 'client'
  /** Sends bytes, which are handed over for good. False: nothing more is made until `onWritable`. */
  readonly write: (bytes: Buffer) => boolean
  readonly clock: Pick<Clock, 'monotonic'>
  readonly limits: Http2Limits
  readonly handler: Http2Handler
  /** Names that somebody relies on, as for the HTTP/1.1 parsers: spellings with `_` are refused. */
  readonly trusted?: HeaderFilterSource
}

/**
 * One HTTP/2 connection, either end of it (RFC 9113): frames, fields, windows, and who does too much. No sockets: bytes go in by
 * `receive` and out by `write`, all that was made in one turn of the event loop in one write.
 */
export interface Http2Session {
  readonly isClosed: boolean
  /** Streams open now. */
  readonly streams: number
  /** Client role: how many streams may be opened now. 0 after a GOAWAY. */
  readonly room: number
  /** Client role: the peer has said that it takes extended CONNECT. */
  readonly takesExtendedConnect: boolean
  /** Client role: the next stream, undefined without `room`. Its `sendRequest` comes next, in the same turn. */
  open(user: Http2StreamUser): Http2Stream | undefined
  /** Reads `chunk[start, end)`, which is lent. After a close it is ignored. */
  receive(chunk: Buffer, start?: number, end?: number): void
  /** The socket has drained after `write` returned false. */
  onWritable(): void
  /** Has what was made so far go out now and not at the end of the turn. */
  flush(): void
  /**
   * Takes no new streams and ends with the last one: `onClose` with `drained`. A server says so first and refuses none that was
   * on its way (RFC 9113, 6.8); a second call stops waiting for those.
   */
  goaway(): void
  /** Ends everything now: GOAWAY, `onReset` for each stream, `onClose`. Default NO_ERROR. */
  close(code?: ErrorCode): void
  /** The socket is gone: `onReset` for each stream, `onClose` with `disconnected`. */
  disconnected(): void
}
