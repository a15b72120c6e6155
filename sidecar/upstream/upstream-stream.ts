import type { HeaderLines } from '../serve/http1/header-lines.ts'
import type { ResponseHead } from '../serve/http1/message.ts'
import type { Problem } from '../serve/http1/problem.ts'
import type { RequestToWrite } from '../serve/http1/write-head.ts'
import type { ByteStream } from './byte-stream.ts'

/** What a request is written in. */
export type HttpVersion = 'http1' | 'http2'

/**
 * One request on its way to one endpoint, and the response to it: an HTTP/1.1 connection for as long as it is at that, or
 * a stream of a session that others share. What an exchange knows of its upstream, whatever is spoken there (ADR 60).
 *
 * Slices are lent for the time of the call, those that are handed in and those that are handed out: copied or written before
 * it returns. Nothing is called on it after `release` or `drop`, and it calls nobody from then on.
 */
export interface UpstreamStream {
  /** Whom it tells what comes back. Set by whoever is given the stream, at once; gone after `release` and `drop`. */
  user: UpstreamStreamUser | undefined
  /** What the other side proved to be; undefined where it proved nothing. */
  readonly peerSpiffeId: string | undefined
  readonly version: HttpVersion
  /** Whether the other side can be asked for a WebSocket on it: in HTTP/2 not everybody knows how (RFC 8441). */
  readonly takesWebSocket: boolean
  /**
   * Sends the head and what there is of the body, in one write. Once, and first. False: wait for `onUpstreamDrain` before
   * sending more. A problem: it would split, and nothing was sent.
   */
  sendHead(
    message: RequestToWrite,
    slices: readonly Buffer[],
    done: boolean,
    trailers: HeaderLines | undefined,
  ): boolean | Problem
  /** `done` with the last of it, also where nothing but the end (or the trailers) is left to send. */
  sendBody(slices: readonly Buffer[], done: boolean, trailers: HeaderLines | undefined): boolean
  /** The response is not taken: nothing more of it is to come until `resume`, but for what was read already. */
  pause(): void
  resume(): void
  /** The response has been taken to its end. What may serve another request is kept for it. `nowMs` is monotonic. */
  release(nowMs: number): void
  /** Gives it up, wherever it stands. */
  drop(): void
}

/** Whoever has sent a request, and waits for its response. */
export interface UpstreamStreamUser {
  /** A 1xx that is followed by more. How many are too many, the user says. */
  onInterim(head: ResponseHead): void
  /** The final head; its lines are lent. `onResponseBody` follows before the next bytes are read, with whatever there is. */
  onResponseHead(head: ResponseHead): void
  /** `done` once, with the last of the body, which may be nothing. */
  onResponseBody(slices: readonly Buffer[], done: boolean, trailers: HeaderLines | undefined): void
  /** The other side agreed to the upgrade and has proven it: no HTTP any more. `early` came behind its consent. */
  onSwitched(head: ResponseHead, bytes: ByteStream, early: Buffer): void
  /** It failed; the stream is dropped already. */
  onUpstreamBroken(failure: UpstreamFailure): void
  /** What was sent has gone out, after `sendHead` or `sendBody` returned false. */
  onUpstreamDrain(): void
  /** A mistake of ours on the way: it ends this request and no other. */
  onFault(error: unknown): void
}

/** Why there is no response, or not the whole of it. */
export interface UpstreamFailure {
  /** `protocol`: what it sent is no response. `reset`: it broke off. */
  readonly kind: 'protocol' | 'reset'
  /** For the record. */
  readonly detail: string
  /**
   * What making the request again could do. `unseen`: nothing, the other side has not looked at it (no byte was written,
   * REFUSED_STREAM, or beyond the last stream of a GOAWAY). `closed`: it met the end of a kept connection, so that it was most
   * likely not looked at (RFC 9112, 9.3.1). `seen`: harm.
   */
  readonly request: 'unseen' | 'closed' | 'seen'
}
