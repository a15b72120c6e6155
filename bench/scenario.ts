import type { Tools } from './load/tools.ts'
import type { Peer, RunningPeer } from './peers/peer.ts'
import type { World } from './world/world.ts'

/** One load, and the proxies that it is put on in turn. */
export interface Scenario {
  /** For the command line. */
  readonly name: string
  readonly title: string
  /** What a reader has to know besides the table. */
  readonly notes?: string
  readonly contestants: readonly Contestant[]
  /** Name of the contestant that ratios are to; absent: there is nothing to compare with. */
  readonly reference?: string
  /** The columns of its table. Those with `isRatio` are shown as a ratio to the reference too. */
  readonly figures: readonly Figure[]
  readonly goals: readonly Goal[]
  readonly work: Work
  /** Rounds at most, whatever the command line says: for what is the same each time and takes long. */
  readonly mostRounds?: number
  /** Our rows once more, of another bundle. */
  readonly ours?: (build: Build) => readonly Contestant[]
}

/** A bundle of hauberk, and what to call it. */
export interface Build {
  readonly name: string
  readonly directory: string
}

/** A proxy as one row of the table. */
export interface Contestant {
  readonly name: string
  readonly title: string
  readonly peer: Peer
  /** How many different tokens the requests have, in turn; 0: no token at all. */
  readonly tokens: number
  /** What it must refuse, shown before and after each round: a proxy that lets it pass is not measured. */
  readonly refuses: readonly Refusal[]
}

export type Refusal =
  /** No client certificate: the handshake, or the first read after it, fails. */
  | 'no-certificate'
  /** A certificate of another CA: the same. */
  | 'foreign-certificate'
  /** A certificate of the mesh whose identity no rule allows: 403. */
  | 'other-identity'
  /** No token: 401. */
  | 'no-token'
  /** A token that ends differently: 401. */
  | 'altered-token'
  /** A token of yesterday: 401. */
  | 'expired-token'
  /** A token for somebody else: 401, or 403 as Envoy has it. */
  | 'other-audience'
  /** A second request to a path that takes one in an hour: 429. */
  | 'over-limit'

/** How a scenario is made: how answers are checked, and what one measurement is. */
export interface Work {
  /** Programs that it needs besides the peers'. */
  readonly programs: readonly Program[]
  /** Seconds of load that come before the first round, for each contestant; 0: none. Default: what the command line says. */
  readonly warmUpSeconds?: number
  /** Whether contestants are started and stopped by each measurement. Default: once, before the first round. */
  readonly startsPeers?: boolean
  /**
   * Holds a contestant to its work, before the first round and after each measurement. Throws a `WrongAnswerError`, or a
   * `NotThereError` when the contestant does not have what is measured at all. Resolves with protocol, cipher and group
   * where those of all contestants are to be the same.
   */
  check(stage: Stage): Promise<string | undefined>
  /** One contestant in one round. Throws a `VoidRound` when it does not count. */
  measure(stage: Stage, seconds: number): Promise<Figures>
}

export interface Stage {
  readonly world: World
  readonly tools: Tools
  readonly contestant: Contestant
  /** Of this contestant. */
  readonly directory: string
  /** Not there when measurements start it: see `startsPeers`. */
  readonly peer: RunningPeer
}

/** What was measured, by key of the scenario's figures. */
export type Figures = Readonly<Record<string, number>>

/** One column. */
export interface Figure {
  readonly key: string
  readonly title: string
  /** Of the number itself. `bytes` is shown as MiB or KiB, `share` (0..1) in percent. */
  readonly unit: 'us' | 'ms' | 'count' | 'share' | 'MiB' | 'KiB'
  /** Shown with its extremes, and as a ratio to the reference in the same round. */
  readonly isRatio?: boolean
}

/** What is aimed at: a ratio to another contestant in the same rounds, or a bound where `against` is absent. */
export interface Goal {
  readonly contestant: string
  readonly against?: string
  /** Key of the figure. Default: `cpuUs`. */
  readonly figure?: string
  readonly needed: number
  readonly goal: number
}

/** A program that is not on every machine. */
export type Program = 'haproxy' | 'nginx' | 'wrk' | 'gcc' | 'taskset' | 'h2load' | 'envoy' | 'oha'

/** A contestant does not do what it is measured for. */
export class WrongAnswerError extends Error {
  override readonly name = 'WrongAnswerError'
}

/** A contestant does not have what is measured: it is left out, and the report says so. */
export class NotThereError extends Error {
  override readonly name = 'NotThereError'
}

/** A measurement, and with it its round, does not count. */
export class VoidRound extends Error {
  override readonly name = 'VoidRound'
}
