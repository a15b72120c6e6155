import { createHash } from 'node:crypto'
import { MESH_ALPN } from '../../contract/alpn.ts'
import type { EndpointsDocument } from '../../contract/endpoints.ts'
import type { WorkloadConfig } from '../../contract/workload-config.ts'
import type { ReplicaShare, SharedQuota } from '../../model/filter.ts'
import type { SpiffeId } from '../../model/spiffe-id.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { IdentityStore } from '../identity/identity-store.ts'
import { clientTlsOptions } from '../identity/tls-options.ts'
import { createSharedQuota } from './leases.ts'
import { createRedisStore, type RedisTarget } from './redis-store.ts'
import { replicaShare } from './replica-share.ts'

export interface SharedQuotaOptions {
  /** `namespace/name`: every workload counts its own. */
  readonly workload: string
  readonly config: () => WorkloadConfig | undefined
  readonly endpoints: () => EndpointsDocument | undefined
  readonly identity: () => IdentityStore | undefined
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly metrics: Metrics
}

/** One worker's part in the limits that replicas share. */
export interface OwnQuota {
  readonly share: ReplicaShare
  readonly quota: SharedQuota
  /** Whether the store answers; undefined: there is none. */
  storeAnswers(): boolean | undefined
  /** The config or the endpoints are others now: the store may be elsewhere, or nowhere. */
  review(): void
  /** The identity is another now: so is the connection. */
  renew(): void
  close(): void
}

/** Counts with the store that the config names. While there is none it does nothing, and loads nothing. */
export function openSharedQuota(options: SharedQuotaOptions): OwnQuota {
  const { workload, config, endpoints, clock, random, log, metrics } = options
  const exchanges = metrics.counter({
    name: 'hauberk_limit_store_questions_total',
    help: 'Clients of shared limits that the store was asked about.',
    labels: ['outcome'],
  })
  const leased = metrics
    .counter({ name: 'hauberk_limit_store_leased_total', help: 'Requests that the store has granted ahead.' })
    .handle()
  const down = metrics
    .gauge({
      name: 'hauberk_limit_store_down',
      help: 'Workers that get no answer from the store of shared limits, and keep to their share.',
    })
    .handle()
  const answered = exchanges.handle({ outcome: 'answered' })
  const failed = exchanges.handle({ outcome: 'failed' })

  const target = (): RedisTarget | undefined => targetOf(options)
  const store = createRedisStore({ target, clock, random, log })
  const share = replicaShare(endpoints)
  const quota = createSharedQuota({
    ...{ store, share, clock },
    idOf: (limit, key) => idOf(workload, limit, key),
    events: {
      exchanged: (clients, outcome) => (outcome === 'answered' ? answered : failed).add(clients),
      granted: (requests) => leased.add(requests),
    },
  })
  const storeAnswers = () => (config()?.limitStore === undefined ? undefined : store.isReady)
  metrics.beforeScrape(() => down.set(storeAnswers() === false ? 1 : 0))
  return {
    share,
    quota,
    storeAnswers,
    review: store.review,
    renew: store.renew,
    close() {
      quota.close()
      store.close()
    },
  }
}

/** A client of a limit, at every replica by the same name, of which nobody learns who it is. */
function idOf(workload: string, limit: string, key: string): string {
  return `hauberk:limit:${createHash('sha256')
    .update(JSON.stringify([workload, limit, key]))
    .digest('base64url')}`
}

/** A store is one Redis: of several endpoints all replicas take the same. */
function targetOf({ config, endpoints, identity, clock }: SharedQuotaOptions): RedisTarget | undefined {
  const { limitStore, upstreams = {} } = config() ?? {}
  const current = identity()?.current()
  if (limitStore === undefined || current === undefined || !Object.hasOwn(upstreams, limitStore.upstream)) return
  const { spiffeIds = [] } = upstreams[limitStore.upstream] ?? {}
  const known = endpoints()?.endpoints ?? {}
  const list = Object.hasOwn(known, limitStore.upstream) ? (known[limitStore.upstream] ?? []) : []
  const [first] = list.toSorted((a, b) => (a.pod < b.pod ? -1 : 1))
  if (first === undefined) return
  // The contract carries identities as plain text; a peer's own is parsed, so a malformed one here equals none.
  const expected = new Set(spiffeIds as SpiffeId[])
  return {
    host: first.address,
    port: first.port,
    tls: clientTlsOptions(current, expected, { alpn: MESH_ALPN.tcp, now: () => clock.now() }),
  }
}
