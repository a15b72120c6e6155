import { fixedRate } from '../load/oha.ts'
import type { Figure, Scenario } from '../scenario.ts'
import { ENVOY, envoyJwt, HAPROXY, HAPROXY_JWT, hauberkIdentity, hauberkJwt } from './rows.ts'

const FIGURES: readonly Figure[] = [
  { key: 'cpuUs', title: 'CPU us/request', unit: 'us', isRatio: true },
  { key: 'p50', title: 'p50 ms', unit: 'ms' },
  { key: 'p99', title: 'p99 ms', unit: 'ms' },
  { key: 'p999', title: 'p99.9 ms', unit: 'ms' },
  { key: 'perSecond', title: 'requests/s', unit: 'count' },
  { key: 'anonymous', title: 'RssAnon', unit: 'MiB' },
  { key: 'resident', title: 'RSS', unit: 'MiB' },
]

const NOTES = `An open loop: latency counts from when a request was due. A proxy that nobody keeps busy must wake for each request, so
CPU per request is higher than under a closed loop, for all of them.`

/** What most sidecars see, and what their memory is for it. */
export const rate1000: Scenario = {
  name: 'rate-1000',
  title: '1,000 requests/s over 32 connections',
  notes: NOTES,
  work: fixedRate({ rate: 1_000, connections: 32, path: '/orders/1', stretch: 2 }),
  figures: FIGURES,
  reference: 'haproxy',
  contestants: [HAPROXY, hauberkIdentity(), hauberkJwt(1), ENVOY, envoyJwt(1)],
  ours: (build) => [hauberkIdentity(build), hauberkJwt(1, build)],
  goals: [{ contestant: 'hauberk-jwt', figure: 'anonymous', needed: 50, goal: 50 }],
}

export const rate4000: Scenario = {
  name: 'rate-4000',
  title: '4,000 requests/s over 32 connections',
  notes: NOTES,
  work: fixedRate({ rate: 4_000, connections: 32, path: '/orders/1' }),
  figures: FIGURES,
  reference: 'haproxy',
  contestants: [HAPROXY, hauberkIdentity(), hauberkJwt(1), ENVOY, envoyJwt(1), HAPROXY_JWT],
  ours: (build) => [hauberkIdentity(build), hauberkJwt(1, build)],
  goals: [
    { contestant: 'hauberk', against: 'haproxy', needed: 1.5, goal: 1.25 },
    { contestant: 'hauberk', against: 'envoy', needed: 0.9, goal: 0.65 },
    { contestant: 'hauberk-jwt', against: 'haproxy-jwt', needed: 0.5, goal: 0.33 },
    { contestant: 'hauberk-jwt', against: 'envoy-jwt', needed: 0.9, goal: 0.65 },
  ],
}
