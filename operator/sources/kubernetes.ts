import type { Resource } from '../../model/resource.ts'
import type { Section } from '../../model/section.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import type { ReflectorStanding } from '../kubernetes/reflector.ts'
import type { Source } from './source.ts'

export interface KubernetesSourceOptions {
  readonly client: KubernetesClient
  readonly sections: readonly Section[]
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly metrics: Metrics
}

/** How one kind stands. */
export interface KindStanding {
  readonly kind: string
  readonly standing: ReflectorStanding
  /** What is wrong, when something is. */
  readonly problem?: string
  readonly objects: number
}

/** What the store is not told, because it would make every status that is written a change of what is enforced. */
export interface ObservedObject {
  readonly uid: string
  readonly resourceVersion: string
  readonly status: unknown
}

/** Every kind of `KINDS` but Secret, from the API server. It is synced when each kind either is, or is not there at all. */
export interface KubernetesSource extends Source {
  /** In the order of `KINDS`. */
  standings(): readonly KindStanding[]
  /** The newest status that was seen of a resource whose status we write: ours, GatewayClass, Gateway and HTTPRoute. */
  observed(kind: string, namespace: string | undefined, name: string): ObservedObject | undefined
  /** Calls `listener` after each change of what `observed` says; several at once may come. Returns how to stop. */
  onObserved(listener: (resource: Pick<Resource, 'kind' | 'metadata'>) => void): () => void
}

export declare function createKubernetesSource(options: KubernetesSourceOptions): KubernetesSource
