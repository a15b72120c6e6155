import type { Resource } from '../../model/resource.ts'
import type { WorldSize } from './world.ts'

/** How an operator is started. */
export interface OperatorSettings {
  readonly size: WorldSize
  /** Holds the CA: another operator of the same mesh finds it again. */
  readonly stateDirectory: string
  readonly port: number
  /** Told at the start instead of what the world has under these names. */
  readonly edited: readonly Resource[]
}

/** What the bench asks of the operator's process. */
export type OperatorAsk =
  | { readonly type: 'start'; readonly settings: OperatorSettings }
  /** What an API server would have told: this resource is now so. */
  | { readonly type: 'edit'; readonly resource: Resource }
  /** `collect`: after a full garbage collection. */
  | { readonly type: 'usage'; readonly collect: boolean }
  /** Answered with `programmed` once every sidecar that the resource selects has acknowledged this generation. */
  | { readonly type: 'await-programmed'; readonly key: string; readonly generation: number }

export type OperatorAnswer =
  | { readonly type: 'started'; readonly spiffeId: string; readonly issues: readonly string[] }
  | { readonly type: 'edited'; readonly atMs: number }
  | { readonly type: 'usage'; readonly usage: OperatorUsage }
  | { readonly type: 'programmed'; readonly atMs: number; readonly summary: string }

/** What the process has used. */
export interface OperatorUsage {
  /** Bytes resident, and the most that ever were. */
  readonly rss: number
  readonly peakRss: number
  readonly heapUsed: number
  /** Bytes that V8 keeps for young objects. It takes more after a busy time, up to a bound, and does not give them back. */
  readonly youngSpace: number
  /** Bytes of buffers and C++ objects that V8 knows of. */
  readonly external: number
  /** Microseconds on a CPU since the start, all threads. */
  readonly cpuUs: number
  readonly sessions: number
}
