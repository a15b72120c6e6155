import type { PodName } from './world.ts'

/** How some simulated sidecars are started. */
export interface FleetSettings {
  readonly pods: readonly PodName[]
  readonly operator: { readonly port: number; readonly spiffeId: string }
  /** The operator's, with the CA that their first certificates are minted from. */
  readonly stateDirectory: string
}

/** What the bench asks of a process with sidecars. */
export type FleetAsk =
  /** Mints the certificates. */
  | { readonly type: 'prepare'; readonly settings: FleetSettings }
  /** Connects them, so many at a time; resolves when all have been sent everything. */
  | { readonly type: 'connect'; readonly atOnce: number }
  /** From now on another config counts. */
  | { readonly type: 'mark' }
  | { readonly type: 'progress' }
  | { readonly type: 'receipts' }
  /** The first `count` begin to renew at `atMs`, with so much of their certificates' life left. */
  | { readonly type: 'renew'; readonly count: number; readonly atMs: number; readonly leftMs: number }

export type FleetAnswer =
  | { readonly type: 'prepared' }
  | { readonly type: 'connected' }
  | { readonly type: 'marked' }
  | { readonly type: 'progress'; readonly progress: FleetProgress }
  | { readonly type: 'receipts'; readonly receipts: readonly Receipt[] }
  | { readonly type: 'renewed'; readonly renewals: readonly Renewal[] }

export interface FleetProgress {
  readonly connected: number
  /** Sidecars that acknowledged another config since the mark. */
  readonly current: number
  /** Documents that came since the mark. */
  readonly documents: number
  /** Documents that were refused: none should be. */
  readonly refused: number
  /** Microseconds that the sidecars' processes were on a CPU since their start. */
  readonly cpuUs: number
}

/** What one sidecar saw since the mark. Milliseconds since the epoch. */
export interface Receipt {
  readonly workload: string
  /** When it acknowledged the first config that came. */
  readonly acknowledgedAtMs?: number
  /** When its session was last opened, if it was. */
  readonly openedAtMs?: number
  readonly documents: number
  /** Sessions that were lost, and attempts that came to nothing. */
  readonly lost: number
}

/** How one sidecar got its next certificate. */
export interface Renewal {
  readonly tookMs: number
  readonly attempts: number
  /** Answers of 429, and of those the ones with a Retry-After. */
  readonly sentAway: number
  readonly sentAwayWithTime: number
  readonly unreachable: number
  readonly refused: number
  /** The former one ended before the next one came. */
  readonly hasExpired: boolean
}
