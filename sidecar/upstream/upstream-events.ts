import type { RetryCondition } from '../../contract/traffic.ts'
import type { CallFailureReason } from '../../model/backend-calls.ts'

/** Why a request is made again. `status`: the response had one of those that are named for it; the rest is {@link RetryCondition}. */
export type RetryReason = RetryCondition | 'status' | 'stale-connection' | 'unreachable'

/**
 * Is told of what is done about upstreams that do not do as they should, when it is done. `upstream` is its name, or `app`. Must
 * not throw and must not block: it is called on the request path.
 */
export interface UpstreamEvents {
  /** A request is made once more. */
  retried(upstream: string, because: RetryReason): void
  /** A request would have been made once more, and the budget for that is spent. */
  retryRefused(upstream: string): void
  /** A circuit breaker refuses a request. */
  overflowed(upstream: string, bound: 'requests' | 'connections'): void
  /** An endpoint is put aside. */
  ejected(upstream: string): void
  /** A copy of a request is sent, or is not: there are too many, its body is too long, or nobody is there to take it. */
  mirrored(upstream: string, outcome: 'sent' | 'dropped'): void
  /** A filter's call is over. */
  called(upstream: string, outcome: 'answered' | CallFailureReason): void
}

/** For whoever does not want to know. */
export const NO_UPSTREAM_EVENTS: UpstreamEvents = Object.freeze({
  retried() {},
  retryRefused() {},
  overflowed() {},
  ejected() {},
  mirrored() {},
  called() {},
})
