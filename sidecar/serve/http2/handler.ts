import type { HeaderLines } from '../http1/header-lines.ts'
import type { RequestHead, ResponseHead } from '../http1/message.ts'
import type { Problem } from '../http1/problem.ts'
import type { RequestToWrite, ResponseToWrite } from '../http1/write-head.ts'
import type { ErrorCode } from './error-code.ts'
import type { FloodKind } from './flood-guard.ts'
import type { Http2Stream } from './stream.ts'

/** Whoever owns a session, told of what concerns all its streams. No call comes after `onClose`. */
export interface Http2Handler {
  /**
   * Server role: a request begins. Set `stream.user` before returning. A head that is unambiguous HTTP/2 but no request that
   * we take is a problem: answer with its status. `hasEnded`: nothing follows, and `onEnd` is not called.
   */
  onStream(stream: Http2Stream, head: RequestHead | Problem, hasEnded: boolean): void
  /** The peer takes no stream after `lastStreamId`; those beyond it were told `onReset` with `isRefused` already. */
  onGoaway(lastStreamId: number, code: ErrorCode): void
  /** The last stream has ended. */
  onIdle(): void
  /** The peer has changed how many streams it takes (client role), or a place for another came free. */
  onRoom?(): void
  /** A message that HTTP/2 forbids was reset before anybody saw it: for counters. */
  onMalformed?(reason: MalformedReason): void
  /** It is over, and everything was handed to `write`: end the socket, or destroy it if it cannot take that in time. */
  onClose(end: SessionEnd): void
}

/** Why a session is over. */
export interface SessionEnd {
  /**
   * `drained`: after a GOAWAY of either side the last stream has ended. `protocol`: the peer broke a rule. `flood`: it did
   * too much of what is allowed. `local`: by our own `close`. `disconnected`: the socket went first.
   */
  readonly kind: 'drained' | 'protocol' | 'flood' | 'local' | 'disconnected'
  readonly code: ErrorCode
  /** A constant text for logs: the rule, or the name of the flood. */
  readonly reason: string
  readonly flood?: FloodKind
}

/** Why a message was reset (RFC 9113, 8.1.1): stable words for metrics. */
export type MalformedReason =
  | 'bad-field-name'
  | 'bad-field-value'
  | 'connection-specific-field'
  | 'bad-te'
  | 'bad-pseudo-field'
  | 'missing-pseudo-field'
  | 'content-length-mismatch'
  | 'bad-content-length'
  | 'bad-status'
  | 'bad-trailer'
  | 'head-too-long'

/** Whoever a stream works for. */
export interface Http2StreamUser {
  /** Client role: any number of interim responses (`head.interim`), then the final one. How many are too many, the user says. */
  onHead(head: ResponseHead, hasEnded: boolean): void
  /**
   * `chunk[start, end)` is body, lent for the time of the call. Call `stream.consumed` with as many bytes once they have gone
   * on: that is what lets the peer send more.
   */
  onData(chunk: Buffer, start: number, end: number): void
  /** The lines own their bytes. `onEnd` follows. */
  onTrailers(lines: HeaderLines): void
  /** The peer's side of the message is whole. Not called when `hasEnded` was said with the head. */
  onEnd(): void
  /**
   * The stream is gone, by the peer, with the connection, or because of what the peer sent on it. `isRefused`: the peer has
   * done nothing with it, and it may be sent again whatever it was (RFC 9113, 8.7). Not called after our own `reset`.
   */
  onReset(code: ErrorCode, isRefused: boolean): void
  /** What `sendData` held back has gone on. */
  onDrain(): void
}

/** A request's head to send. `framing`: `length` is sent as content-length, every other kind as none. `close` has no meaning here. */
export interface Http2Request extends RequestToWrite {
  readonly scheme: 'http' | 'https'
  /** Sends `te: trailers`: the one who asks understands them (gRPC demands it). */
  readonly trailers?: boolean
  /** An extended CONNECT (RFC 8441) in place of `method`; only where `session.takesExtendedConnect`. */
  readonly protocol?: 'websocket'
}

/** A response's head to send: interim while `status` is 1xx. `framing` as for {@link Http2Request}; `upgrade` has no meaning here. */
export type Http2Response = ResponseToWrite
