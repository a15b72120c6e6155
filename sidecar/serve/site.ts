import type { Deny } from '../../model/verdict.ts'
import type { CompiledRoute, Pipeline } from '../compile/pipeline.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { EndpointPool } from '../upstream/pool.ts'
import type { Client } from './client.ts'
import type { Engine } from './engine.ts'
import type { RequestHead } from './http1/message.ts'
import type { ConnectionRecord, Direction } from './observation.ts'
import type { Judged } from './open-tunnels.ts'
import type { HttpRequestView } from './request-view.ts'

/**
 * What a connection was accepted for: the seam between where things are bound and what the config says of them.
 *
 * On a laptop a bound port tells it, in a pod the original destination of a captured connection does.
 */
export interface HttpSite {
  readonly direction: Direction
  /** For records: the container port, the Gateway's listener, or `proxy`. */
  listener(host: string): string
  /** `RequestView.port`. */
  port(pipeline: Pipeline): number
  /** The route, or why there is none. */
  resolve(pipeline: Pipeline, request: HttpRequestView, head: RequestHead, client: Client): CompiledRoute | Deny
  /** Takes a request out of the usual course: CONNECT, where it is a method. Undefined leaves it there. */
  transaction?(engine: Engine, downstream: Downstream, head: RequestHead): Transaction | undefined
  /** Where `action: app` leads. */
  readonly app?: EndpointPool
  /** Where the client dialled a pod by itself: the one endpoint of `upstream` that requests go to, while it is there. */
  endpoint?(upstream: string): EndpointPool | undefined
  /** The port that clients dial for a port of the config, for `Location`. */
  visiblePort?(configured: number): number
}

export function isDeny(resolved: CompiledRoute | Deny): resolved is Deny {
  return 'kind' in resolved
}

/** The connection that a request came on, as whoever answers the request uses it. */
export interface Downstream {
  readonly client: Client
  readonly site: HttpSite
  /** False: wait for `onDownstreamDrain` before writing more. */
  write(bytes: Buffer): boolean
  /** Stops reading the client until `resume`. */
  pause(): void
  /** Reads on: what waits here first, then the socket. */
  resume(): void
  /** Calls `onDeadline` after that time. */
  setDeadline(delayMs: number, nowMs?: number): void
  clearDeadline(): void
  /** The response is written and the request read, or never will be: then `keepAlive` is false. `nowMs` is monotonic. */
  finished(keepAlive: boolean, nowMs: number): void
  /** The response ends here, and the client must see that it is not whole. */
  abort(): void
  /** Whether no request after this one is wanted. */
  isClosing(): boolean
  /** From now on bytes pass both ways unread. `early` came behind the upstream's consent. */
  tunnel(upstream: UpstreamConnection, early: Buffer, about: TunnelRecord, judged: Judged): void
  /** What follows on this connection is HTTP for another site: after a CONNECT. */
  enter(site: HttpSite): void
}

/** What is known of a tunnel when it begins. */
export type TunnelRecord = Pick<
  ConnectionRecord,
  'decisionId' | 'upstream' | 'endpoint' | 'rule' | 'wouldDeny' | 'refusal'
>

/** A request in progress, as its connection drives it. */
export interface Transaction {
  /** Whether `consume` can take bytes of the body now. */
  readonly wantsBody: boolean
  begin(): void
  /** Reads bytes of the body; returns where it stopped. */
  consume(chunk: Buffer, start: number, end: number): number
  /** There is nothing more to consume for now. */
  flush(): void
  onDownstreamDrain(): void
  /** The client will send no more. True: that is the end of the connection. */
  onClientEnd(): boolean
  /** The client is gone: nobody is left to tell. */
  onClientGone(): void
  onDeadline(): void
}
