import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { KubernetesClient } from './client.ts'

/** What an event is about (`core/v1.ObjectReference`). */
export interface ObjectReference {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace?: string
  readonly name: string
  readonly uid?: string
}

/** Something that a user must know. */
export interface EventFields {
  readonly regarding: ObjectReference
  readonly type: 'Normal' | 'Warning'
  /** UpperCamelCase, stable: what one filters by. */
  readonly reason: string
  /** For people; cut at 1,024 characters. */
  readonly note: string
  /** What was being done, UpperCamelCase. Default: `reason`. */
  readonly action?: string
}

export interface EventsOptions {
  readonly client: KubernetesClient
  /** `reportingController`: `hauberk.dev/operator`. */
  readonly component: string
  /** `reportingInstance`: the pod's name. */
  readonly instance: string
  readonly clock: Clock
  readonly log: Log
  readonly metrics?: Metrics
  readonly signal: AbortSignal
}

export interface Events {
  /** Never blocks, never throws. The same event within 10 minutes raises the count of the first; too many are dropped and counted. */
  record(event: EventFields): void
  /** Resolves when all that was recorded so far is written or given up. */
  flush(): Promise<void>
}

/** Events of events.k8s.io/v1. At most 4,096 are remembered for counting, 256 wait to be written, 5 a second are written (25 at once). */
export declare function createEvents(options: EventsOptions): Events
