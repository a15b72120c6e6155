import type { Program } from '../scenario.ts'
import type { World } from '../world/world.ts'

/** A proxy that can be measured. */
export interface Peer {
  /** Programs that it needs. */
  readonly programs: readonly Program[]
  /** Starts it on its core in front of the backend; it answers when this resolves. `directory` is its own. */
  start(world: World, directory: string): Promise<RunningPeer>
}

export interface RunningPeer {
  /** Roots of the process trees that are measured. */
  readonly pids: readonly number[]
  /** On 127.0.0.1. */
  readonly port: number
  /** Ends it and waits for that. */
  stop(): Promise<void>
}
