import type { HeaderPair } from '../../model/verdict.ts'
import type { ByteStream } from '../upstream/byte-stream.ts'
import type { HttpVersion } from '../upstream/upstream-stream.ts'
import type { Client } from './client.ts'
import type { HeaderLines } from './http1/header-lines.ts'
import type { Problem } from './http1/problem.ts'
import type { ResponseToWrite } from './http1/write-head.ts'
import type { ConnectionRecord } from './observation.ts'
import type { Judged } from './open-tunnels.ts'
import type { HttpSite } from './site.ts'

/**
 * The client's side of one request: a connection while it is at that (HTTP/1.1), or a stream (HTTP/2). What an exchange
 * knows of its client, whatever is spoken there (ADR 60).
 *
 * Slices that are handed in are lent: copied or written before the call returns. Each of the writing calls that returns a boolean
 * says false where the client does not take more: wait for `onDownstreamDrain`.
 */
export interface Downstream {
  readonly client: Client
  readonly site: HttpSite
  readonly version: HttpVersion
  /** A 1xx. One that cannot be written is left out. */
  interim(message: ResponseToWrite): void
  /**
   * The final head and what there is of the body, in one write. `message.framing` is what was received; how the body's end
   * is told here is this side's concern. A problem: it would split, and nothing was written.
   */
  respond(
    message: ResponseToWrite,
    slices: readonly Buffer[],
    done: boolean,
    trailers: HeaderLines | undefined,
  ): boolean | Problem
  respondBody(slices: readonly Buffer[], done: boolean, trailers: HeaderLines | undefined): boolean
  /** A whole response that is made here. What of the request has not come is read past, or never read. */
  respondLocally(response: LocalAnswer): void
  /** Stops handing over the request's body until `resume`. */
  pause(): void
  /** Goes on with it: what waits here first. */
  resume(): void
  /** Calls `onDeadline` after that time. */
  setDeadline(delayMs: number, nowMs?: number): void
  clearDeadline(): void
  /** The response is written to its end, and the transaction is over. `nowMs` is monotonic. */
  finished(nowMs: number): void
  /** The response ends here, and the client must see that it is not whole. */
  abort(): void
  /**
   * Consents to the client's upgrade; from now on bytes pass both ways unread. `early` came behind the upstream's consent.
   * A problem: it would split, and nothing was written.
   */
  tunnel(
    message: ResponseToWrite,
    upstream: ByteStream,
    early: Buffer,
    about: TunnelRecord,
    judged: Judged,
  ): Problem | undefined
}

/** A response that this proxy makes itself. If one of the headers would split it, none of them is sent. */
export interface LocalAnswer {
  readonly status: number
  readonly headers: readonly HeaderPair[]
  readonly body: string | undefined
  /** The rest of the request, if any, cannot be read: nobody knows where it ends, or it did not come in time. */
  readonly isBroken: boolean
  /** Milliseconds since the epoch. */
  readonly nowMs: number
}

/** What is known of a tunnel when it begins. */
export type TunnelRecord = Pick<
  ConnectionRecord,
  'decisionId' | 'upstream' | 'endpoint' | 'rule' | 'wouldDeny' | 'refusal'
>

/** A request in progress, as its client's side drives it. */
export interface Transaction {
  /** Whether `onRequestBody` can take bytes now. */
  readonly wantsBody: boolean
  begin(): void
  /**
   * Some of the body, and whether that is all of it. The slices are lent for the time of the call. Never called for a request
   * whose head says that it has no body.
   */
  onRequestBody(slices: readonly Buffer[], done: boolean, trailers: HeaderLines | undefined): void
  /** The body is none. */
  onRequestProblem(problem: Problem): void
  /** There is nothing more to hand over for now. */
  flush(): void
  onDownstreamDrain(): void
  /** The client will send no more. True: that is the end of the connection. */
  onClientEnd(): boolean
  /** The client is gone: nobody is left to tell. */
  onClientGone(): void
  onDeadline(): void
}
