import type { Clock } from '../../runtime/clock.ts'
import type { Exit, Running } from './child-process.ts'
import type { Decision } from './decision.ts'
import type { LogFile } from './log-file.ts'
import type { StateDirectory } from './state.ts'
import type { WarmUp } from './warm-up.ts'

/** What every part of a running mesh is handed. */
export interface MeshContext {
  readonly state: StateDirectory
  readonly clock: Clock
  readonly random: () => number
  /** The argv that stands for `hauberk`. */
  readonly program: readonly [string, ...string[]]
  /** Of our own processes. */
  readonly environment: Readonly<Record<string, string>>
  readonly warmUp: WarmUp
  /** The log of a part, opened when it is first written to. */
  log(name: string): LogFile
  onDecision(decision: Decision, line: string): void
  /** A process was started: it is to end with this one. */
  onStarted(name: string, running: Running, signal: NodeJS.Signals): void
  /** A process ended without being asked to, and is started again in `waitMs`. */
  onEnded(name: string, how: Exit | Error, waitMs: number): void
}

/** Milliseconds that a part has to end in order. Longer than what it gives its own requests. */
export const STOP_MS = 12_000

/** Milliseconds that sidecars and gateways give requests in flight at their end. */
export const DRAIN_MS = 10_000
