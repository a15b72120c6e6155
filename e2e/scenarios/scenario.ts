import type { World } from '../world/world.ts'

/** Something that was done, and what came of it. It came out as written, or there would be none. */
export interface Step {
  readonly sent: string
  readonly got: string
  /** The policy and rule that said so, or the part of the mesh. */
  readonly said?: string
}

/** One behaviour of the mesh. */
export interface Scenario {
  /** Kebab-case, as in the file's name. */
  readonly name: string
  /** A sentence; before it, and a colon, the rows of docs/security.md that it shows on a whole mesh: `T21, T23: ...`. */
  readonly title: string
  /** True: it changes policies, keys or processes, so it is for a mesh that runs for the scenarios alone. */
  readonly needsOwn?: true
  /** Tells of each step as it is done; throws when one does not come out as written. */
  run(world: World): AsyncIterable<Step>
}
