import type { Metrics } from '../../runtime/metrics.ts'
import type { IssuerState } from './issuer-keys.ts'

/** How fresh the keys of each token issuer are, and whether they could be fetched the last time. */
export function addIssuerMetrics(metrics: Metrics, states: () => readonly IssuerState[]): void {
  const fetched = metrics.gauge({
    name: 'hauberk_issuer_keys_fetched_seconds',
    help: 'When the keys of a token issuer were fetched, in seconds since the epoch.',
    labels: ['issuer'],
  })
  const failing = metrics.gauge({
    name: 'hauberk_issuer_keys_failing',
    help: '1 while the keys of a token issuer cannot be fetched.',
    labels: ['issuer'],
  })
  let shown = new Set<string>()
  metrics.beforeScrape(() => {
    const now = new Set<string>()
    for (const { name, fetchedAt, failure } of states()) {
      now.add(name)
      failing.handle({ issuer: name }).set(failure === undefined ? 0 : 1)
      if (fetchedAt === undefined) fetched.remove({ issuer: name })
      else fetched.handle({ issuer: name }).set(fetchedAt / 1_000)
    }
    for (const issuer of shown) {
      if (now.has(issuer)) continue
      fetched.remove({ issuer })
      failing.remove({ issuer })
    }
    shown = now
  })
}
