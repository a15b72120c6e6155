import type { RouteConfig, Upstream, WorkloadConfig } from '../../contract/workload-config.ts'
import { settleDelivery } from '../../sidecar/serve/delivery.ts'
import { DEFAULT_LIMITS } from '../../sidecar/serve/limits.ts'
import { DEFAULT_EJECTION } from '../../sidecar/upstream/health.ts'
import { DEFAULT_RETRY_BUDGET } from '../../sidecar/upstream/retry-budget.ts'

/** How requests are sent on to one of the backends of a route. */
export interface BackendTraffic {
  /** `namespace/service:port`; absent: a reference that does not resolve. */
  readonly upstream?: string
  /** Of the requests of the route. */
  readonly percent: number
  /** Who must be there: SPIFFE IDs, or nobody in particular where it is called in plaintext. */
  readonly spiffeIds: readonly string[]
  readonly settings: readonly TrafficSetting[]
}

export interface TrafficSetting {
  readonly name: string
  readonly value: string
  /** The route or the TrafficPolicies that say it; absent: nobody did, and it is the default. */
  readonly by?: string
}

/** What the route and the TrafficPolicies of its backends come to. Nothing where a route forwards nothing. */
export function trafficOf({ upstreams }: WorkloadConfig, { id, action }: RouteConfig): readonly BackendTraffic[] {
  if (action.kind !== 'forward') return []
  const total = action.backends.reduce((sum, { weight }) => sum + weight, 0)
  return action.backends
    .filter(({ weight }) => weight > 0)
    .map(({ upstream: name, weight }): BackendTraffic => {
      const upstream = upstreams[name]
      const percent = Math.round((weight / total) * 10_000) / 100
      if (upstream === undefined) return { percent, spiffeIds: [], settings: [] }
      const settings = [...requestSettings(id, action, upstream), ...upstreamSettings(upstream)]
      return { upstream: name, percent, spiffeIds: upstream.spiffeIds, settings }
    })
}

/** The same for a port of opaque TCP. */
export function tcpTrafficOf({ upstreams }: WorkloadConfig, name: string): readonly BackendTraffic[] {
  const upstream = upstreams[name]
  if (upstream === undefined) return []
  return [{ upstream: name, percent: 100, spiffeIds: upstream.spiffeIds, settings: upstreamSettings(upstream) }]
}

function requestSettings(
  id: string,
  action: Extract<RouteConfig['action'], { kind: 'forward' }>,
  { traffic }: Upstream,
): readonly TrafficSetting[] {
  const { requestTimeoutMs, tryTimeoutMs, retry } = settleDelivery(action, traffic)
  const saidBy = (field: 'requestTimeoutMs' | 'tryTimeoutMs' | 'retry') =>
    action.delivery?.[field] !== undefined
      ? { by: id }
      : traffic?.delivery?.[field] !== undefined
        ? policiesOf(traffic)
        : {}
  const { mirrors = [], session } = action
  const budget = traffic?.retryBudget ?? DEFAULT_RETRY_BUDGET
  return [
    { name: 'request', value: limit(requestTimeoutMs), ...saidBy('requestTimeoutMs') },
    { name: 'try', value: limit(tryTimeoutMs), ...saidBy('tryTimeoutMs') },
    {
      name: 'retry',
      value:
        retry === undefined
          ? 'once elsewhere, where nobody has seen the request'
          : retry.attempts === 0
            ? 'never'
            : `${retry.attempts} more on ${[...retry.on, ...retry.statuses].join(', ') || 'nothing'}; ${[...retry.methods].join(', ')}`,
      ...saidBy('retry'),
    },
    ...(retry === undefined || retry.attempts === 0
      ? []
      : [
          { name: 'pause', value: `${time(retry.backoffMs)} to ${time(retry.maxBackoffMs)}`, ...saidBy('retry') },
          {
            name: 'budget',
            value: `${budget.percent} % of the requests, and ${budget.minPerSecond} a second`,
            ...(traffic?.retryBudget !== undefined && policiesOf(traffic)),
          },
        ]),
    ...mirrors.map(({ upstream, numerator, denominator }) => ({
      name: 'copies',
      value: `${Math.round((numerator / denominator) * 10_000) / 100} % to ${upstream}`,
      by: id,
    })),
    ...(session === undefined ? [] : [{ name: 'session', value: `by ${session.by} ${session.name}`, by: id }]),
  ]
}

function upstreamSettings({ traffic, protocol }: Upstream): readonly TrafficSetting[] {
  const by = traffic === undefined ? {} : policiesOf(traffic)
  const { connectTimeoutMs, circuitBreaker, outlier, hash, warmUpMs, zone } = traffic ?? {}
  const ejection = outlier ?? DEFAULT_EJECTION
  return [
    {
      name: 'connect',
      value: time(connectTimeoutMs ?? DEFAULT_LIMITS.connectMs),
      ...(connectTimeoutMs !== undefined && by),
    },
    ...(circuitBreaker === undefined ? [] : [{ name: 'breaker', value: breakerText(circuitBreaker), ...by }]),
    {
      name: 'outlier',
      value: `put aside for ${time(ejection.ejectionMs)} to ${time(ejection.maxEjectionMs)} after ${failuresText(ejection)}${outlier === undefined ? '' : `, ${outlier.maxPercent} % at most`}`,
      ...(outlier !== undefined && by),
    },
    ...(protocol === 'tcp'
      ? []
      : [
          {
            name: 'endpoint',
            value: hash === undefined ? 'the cheaper of two' : `by ${hash.from} ${hash.name}`,
            ...(hash !== undefined && by),
          },
        ]),
    ...(warmUpMs === undefined ? [] : [{ name: 'warm-up', value: time(warmUpMs), ...by }]),
    ...(zone === undefined
      ? []
      : [{ name: 'zone', value: `its own, up to ${zone.spillOverPercent} % of the load`, ...by }]),
  ]
}

function policiesOf({ origins }: NonNullable<Upstream['traffic']>): { readonly by: string } {
  return { by: origins.join(', ') }
}

function breakerText({
  maxConnections,
  maxInFlight,
  maxPending,
}: NonNullable<NonNullable<Upstream['traffic']>['circuitBreaker']>): string {
  return [
    ...(maxConnections === undefined ? [] : [`${maxConnections} connections`]),
    ...(maxInFlight === undefined ? [] : [`${maxInFlight} in flight`]),
    `${maxPending} waiting`,
  ].join(', ')
}

function failuresText({
  failures,
  serverErrors,
}: {
  readonly failures: number
  readonly serverErrors: number
}): string {
  const counted = [
    ...(failures === 0 ? [] : [`${failures} tries without a response`]),
    ...(serverErrors === 0 ? [] : [`${serverErrors} responses 5xx`]),
  ]
  return counted.length === 0 ? 'nothing' : counted.join(' or ')
}

function limit(ms: number): string {
  return ms === 0 ? 'no limit' : time(ms)
}

function time(ms: number): string {
  return ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`
}
