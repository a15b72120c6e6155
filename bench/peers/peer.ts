import type { World } from '../world/world.ts'

/** A proxy that can be measured. */
export interface Peer {
  /** Programs that it needs, as they are called on PATH. */
  readonly programs: readonly string[]
  /** Starts it on its core in front of the backend; it answers when this resolves. `directory` is its own. */
  start(world: World, directory: string): Promise<RunningPeer>
}

export interface RunningPeer {
  /** Root of the process tree that is measured. */
  readonly pid: number
  /** On 127.0.0.1. */
  readonly port: number
  /** Ends it and waits for that. */
  stop(): Promise<void>
}
