import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { KubernetesClient } from './client.ts'

/** Who leads, as the Lease says. */
export interface LeaseHolder {
  readonly identity: string
  /** The annotations of the Lease: the holder's own words, such as its address. */
  readonly annotations: Readonly<Record<string, string>>
}

/** What leading means while it lasts. */
export interface Leadership {
  /** Aborts at the renew deadline, which is before the lease can end, and when the election ends. All work must stop then. */
  readonly signal: AbortSignal
  /** Whether the lease is surely still ours, by monotonic time. True also for a process that was frozen only if it may still act. */
  isHeld(): boolean
}

export interface LeaderElectionOptions {
  readonly client: KubernetesClient
  readonly namespace: string
  /** Of the Lease. */
  readonly name: string
  /** Of this candidate; unique (a pod's name and uid). */
  readonly identity: string
  /** Written to the Lease by whoever leads; a key that a former holder wrote and this one does not is taken out. */
  readonly annotations?: Readonly<Record<string, string>>
  /** Runs while this candidate leads. When it ends by itself, or rejects, the lease is given up and contended for again. */
  readonly onLeading: (leadership: Leadership) => Promise<void>
  /** Called with each change of holder that is seen (undefined: nobody), also when it is this candidate. */
  readonly onObserved?: (holder: LeaseHolder | undefined) => void
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly metrics?: Metrics
  /** How long others leave the lease alone after a renewal, in milliseconds; whole seconds. Default 15,000. */
  readonly leaseDurationMs?: number
  /** How long after its last renewal a leader works on, in milliseconds. Default 10,000. */
  readonly renewDeadlineMs?: number
  /** Between two looks or renewals, in milliseconds. Default 2,000. */
  readonly retryMs?: number
  /** Ends it: the work is stopped, then the lease is given back, so that another one takes it at once. */
  readonly signal: AbortSignal
}

/**
 * Leads when nobody else does, by a Lease (coordination.k8s.io/v1). Resolves when the signal has ended it and the lease is
 * given back; never rejects for what the API server does.
 *
 * Clocks of candidates need not agree: a lease has ended when its record has not changed for its duration by the local
 * monotonic time.
 */
export declare function runLeaderElection(options: LeaderElectionOptions): Promise<void>
