import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import type { ReflectorMetrics } from '../kubernetes/reflector-metrics.ts'
import { createKubernetesSource, type KubernetesSource } from '../sources/kubernetes.ts'
import { createNamedSecrets } from '../sources/named-secrets.ts'
import { createStore, type Store } from '../store/store.ts'
import { secretRefs } from '../translate/secret-refs.ts'

/** Everything that is read from the API server. */
export interface ClusterResources {
  readonly store: Store
  readonly source: KubernetesSource
  /** Resolves when the signal has ended it. */
  readonly done: Promise<void>
}

export interface ClusterResourcesOptions {
  readonly client: KubernetesClient
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly metrics: Metrics
  readonly reflectorMetrics: ReflectorMetrics
  readonly signal: AbortSignal
}

/**
 * Reads every kind, and of the Secrets those that resources name. The store is synced when the kinds were read to the end
 * and each Secret that they name was asked for.
 */
export function readClusterResources(options: ClusterResourcesOptions): ClusterResources {
  const { client, clock, random, log, metrics, reflectorMetrics, signal } = options
  const store = createStore(2)
  const source = createKubernetesSource({ client, clock, random, log, metrics: reflectorMetrics })
  const secrets = createNamedSecrets({ client, clock, random, log, metrics, reflectorMetrics })
  const followSecrets = () => {
    try {
      secrets.follow(secretRefs(store.snapshot()))
    } catch (err) {
      // Tenants write what is looked at here: whatever it is, it ends no operator. Those that are followed already stay.
      log.error('the Secrets that resources name could not be followed', { err })
    }
  }
  const reading = source.run(
    {
      apply: (changes) => store.apply(changes),
      synced() {
        followSecrets()
        store.synced()
      },
    },
    signal,
  )
  const stop = store.onChange(followSecrets)
  signal.addEventListener('abort', stop, { once: true })
  return { store, source, done: Promise.all([reading, secrets.run(store, signal)]).then(() => undefined) }
}
