import type { LeasedRate } from '../../model/filter.ts'

/** What one worker tells a store of one client of a limit, and asks of it. */
export interface QuotaExchange {
  /** The client of the limit: a hash, the same at every replica. */
  readonly id: string
  readonly rate: LeasedRate
  /** Requests that were let through and not granted; less than 0: grants that come back unused. */
  readonly owed: number
  /** Requests that are wanted ahead. */
  readonly wanted: number
  /** What this replica believes was counted; it holds where the store knows nothing. */
  readonly believed: number
}

export interface QuotaAnswer {
  readonly granted: number
  /** Requests that are counted by now, of all replicas, what was granted among them. */
  readonly counted: number
}

/** Counts for all replicas. */
export interface QuotaStore {
  /** False while nobody would answer: then nobody asks. */
  readonly isReady: boolean
  /**
   * False for some time after it began to answer: what replicas have let through without it is yet to be told by all of them.
   * Until then nobody believes that less was counted than he knows of.
   */
  readonly isSettled: boolean
  /** One answer for each, in order. Rejects when there is none in time; then nobody knows what was counted. */
  exchange(asked: readonly QuotaExchange[]): Promise<readonly QuotaAnswer[]>
}
