import type { Metrics } from '../../runtime/metrics.ts'
import type { UpstreamEvents } from '../upstream/upstream-events.ts'

/**
 * What is counted of upstreams that do not do as they should. Names of upstreams come with the configuration, not from clients; of
 * those beyond what a metric may have the sum is told. `ejected` says how many endpoints of each are put aside.
 */
export function createUpstreamMetrics(metrics: Metrics, ejected: () => ReadonlyMap<string, number>): UpstreamEvents {
  const retries = metrics.counter({
    name: 'hauberk_upstream_retries_total',
    help: 'Requests that were made once more, by why.',
    labels: ['upstream', 'reason'],
  })
  const retryOverflow = metrics.counter({
    name: 'hauberk_upstream_retry_overflow_total',
    help: 'Requests that were not made once more because the retry budget was spent.',
    labels: ['upstream'],
  })
  const overflow = metrics.counter({
    name: 'hauberk_upstream_overflow_total',
    help: 'Requests and connections that a circuit breaker refused, by what there was too much of.',
    labels: ['upstream', 'bound'],
  })
  const ejections = metrics.counter({
    name: 'hauberk_outlier_ejections_total',
    help: 'How often an endpoint was put aside.',
    labels: ['upstream'],
  })
  const mirrors = metrics.counter({
    name: 'hauberk_mirrored_requests_total',
    help: 'Copies of requests, by whether they were sent.',
    labels: ['upstream', 'outcome'],
  })
  const calls = metrics.counter({
    name: 'hauberk_backend_calls_total',
    help: 'Calls by which policies asked another service, by what became of them.',
    labels: ['upstream', 'outcome'],
  })
  const aside = metrics.gauge({
    name: 'hauberk_outlier_ejected_endpoints',
    help: 'Endpoints that are put aside now.',
    labels: ['upstream'],
    // Each worker has its own opinion of an endpoint.
    together: 'max',
  })
  let shown = new Set<string>()
  metrics.beforeScrape(() => {
    const now = new Set<string>()
    for (const [upstream, count] of ejected()) {
      if (count === 0) continue
      now.add(upstream)
      aside.handle({ upstream }).set(count)
    }
    for (const upstream of shown) if (!now.has(upstream)) aside.remove({ upstream })
    shown = now
  })
  return {
    retried: (upstream, reason) => retries.handle({ upstream, reason }).add(),
    retryRefused: (upstream) => retryOverflow.handle({ upstream }).add(),
    overflowed: (upstream, bound) => overflow.handle({ upstream, bound }).add(),
    ejected: (upstream) => ejections.handle({ upstream }).add(),
    mirrored: (upstream, outcome) => mirrors.handle({ upstream, outcome }).add(),
    called: (upstream, outcome) => calls.handle({ upstream, outcome }).add(),
  }
}
