import type { Deny } from '../../model/verdict.ts'
import type { CompiledRoute, Pipeline } from '../compile/pipeline.ts'
import type { EndpointPool } from '../upstream/pool.ts'
import type { Client } from './client.ts'
import type { Transaction } from './downstream.ts'
import type { Engine } from './engine.ts'
import type { RequestHead } from './http1/message.ts'
import type { Http1Wire } from './http1-downstream.ts'
import type { Direction } from './observation.ts'
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
  transaction?(engine: Engine, wire: Http1Wire, head: RequestHead): Transaction | undefined
  /** Whether a client may begin with HTTP/2's preface, without having agreed on it in TLS. */
  readonly takesPreface?: boolean
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
