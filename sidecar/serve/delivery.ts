import type { RetryCondition, Delivery as Said, UpstreamTraffic } from '../../contract/traffic.ts'
import type { RouteAction } from '../../contract/workload-config.ts'

/** How long is waited for a response, and when a request is tried again: what a route and its upstream come to. */
export interface Delivery {
  /** Milliseconds for all tries until a response begins; 0: no limit. */
  readonly requestTimeoutMs: number
  /** Milliseconds for one of them; 0: no limit. */
  readonly tryTimeoutMs: number
  /** Undefined: only where nobody has seen the request, and once. */
  readonly retry: Retry | undefined
}

export interface Retry {
  /** Tries after the first one. */
  readonly attempts: number
  readonly on: ReadonlySet<RetryCondition>
  readonly statuses: ReadonlySet<number>
  readonly methods: ReadonlySet<string>
  readonly backoffMs: number
  readonly maxBackoffMs: number
  readonly maxBodyBytes: number
}

/** What the route says goes before what the upstream's TrafficPolicies say, and that before the default. */
export function settleDelivery(
  action: Extract<RouteAction, { kind: 'forward' }>,
  traffic: UpstreamTraffic | undefined,
): Delivery {
  const ofRoute = action.delivery ?? NOTHING
  const ofUpstream = traffic?.delivery ?? NOTHING
  const retry = ofRoute.retry ?? ofUpstream.retry
  return {
    requestTimeoutMs: ofRoute.requestTimeoutMs ?? ofUpstream.requestTimeoutMs ?? action.requestTimeoutMs,
    tryTimeoutMs: ofRoute.tryTimeoutMs ?? ofUpstream.tryTimeoutMs ?? 0,
    retry: retry && {
      ...retry,
      on: new Set(retry.on),
      statuses: new Set(retry.statuses),
      methods: new Set(retry.methods),
    },
  }
}

const NOTHING: Said = Object.freeze({})
