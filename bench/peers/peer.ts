import type { Program } from '../scenario.ts'
import type { World } from '../world/world.ts'

/** A proxy that can be measured. */
export interface Peer {
  /** Programs that it needs. */
  readonly programs: readonly Program[]
  /** Writes what it finds at its start, and resolves with what starts it: for whoever measures the start alone. */
  prepare?(world: World, directory: string): Promise<() => Promise<RunningPeer>>
  /** Starts it on its core in front of the backend; it answers when this resolves. `directory` is its own. */
  start(world: World, directory: string): Promise<RunningPeer>
}

export interface RunningPeer {
  /** Roots of the process trees that are measured. */
  readonly pids: readonly number[]
  /** On 127.0.0.1. */
  readonly port: number
  /** Of what was prepared and started and may not listen yet. */
  readonly untilListening?: () => Promise<void>
  /** Ends it and waits for that. */
  stop(): Promise<void>
}
