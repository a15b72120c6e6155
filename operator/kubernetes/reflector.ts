import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { KubernetesClient } from './client.ts'

/** An object as the API server sends it: what every one has, and the rest unread. */
export interface KubernetesObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid?: string
    readonly resourceVersion?: string
    readonly [field: string]: unknown
  }
  readonly [field: string]: unknown
}

/** The name of an object within its kind. */
export interface ObjectName {
  readonly namespace?: string
  readonly name: string
}

export type ObjectChange<T> =
  | { readonly type: 'set'; readonly name: ObjectName; readonly object: T }
  | { readonly type: 'removed'; readonly name: ObjectName }

/**
 * How a reflector stands.
 *
 * `starting`: nothing is known yet. `synced`: all that was there has been told, and changes follow. `missing`: the API
 * server has no such kind. `forbidden`: the role does not allow it. `failing`: the last attempt failed. A reflector that
 * was synced once `hasSynced` for good: what it told stays as it is in every other standing.
 */
export type ReflectorStanding = 'starting' | 'synced' | 'missing' | 'forbidden' | 'failing'

export interface ReflectorOptions<T> {
  readonly client: KubernetesClient
  /** Paths of the collection; of several (versions of one kind) the first that the API server has. See `resourcePath`. */
  readonly paths: readonly string[]
  readonly labelSelector?: string
  readonly fieldSelector?: string
  /** What is kept of an object; undefined when it is not wanted (it then counts as not there). May not throw. */
  readonly project: (object: KubernetesObject) => T | undefined
  /**
   * Takes changes that came together: a whole list at once, or the events of one chunk of the stream. After a relist,
   * what is gone is told as removed; never from a list that was not read to its end.
   */
  readonly apply: (changes: readonly ObjectChange<T>[]) => void
  readonly onStanding?: (standing: ReflectorStanding, problem?: Error) => void
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly counters?: ReflectorCounters
  /** Objects of one page. Default 500. */
  readonly pageSize?: number
  /** Milliseconds after which the kind is asked for again when the API server does not have it, +-20 %. Default 30,000. */
  readonly missingRetryMs?: number
  readonly signal: AbortSignal
}

export interface Reflector {
  /** Whether all that was there has been told, once. */
  hasSynced(): boolean
  standing(): ReflectorStanding
  /** Objects that are known now. */
  size(): number
  /** Resolves when the signal has ended it; never rejects. */
  readonly done: Promise<void>
}

/** The metrics of all reflectors of a process. */
export interface ReflectorMetrics {
  /** For one kind: the label `kind`. */
  of(kind: string): ReflectorCounters
}

/** What one reflector counts. */
export interface ReflectorCounters {
  list(): void
  watch(): void
  events(count: number): void
  error(reason: string): void
  objects(count: number): void
  synced(nowMs: number): void
}

export declare function createReflectorMetrics(metrics: Metrics): ReflectorMetrics

/**
 * Mirrors a collection of the API server: lists it in pages, then watches from where the list was made, for as long as
 * the signal allows. Level-based: what it tells is the newest state of an object, never what happened in between.
 */
export declare function runReflector<T>(options: ReflectorOptions<T>): Reflector
