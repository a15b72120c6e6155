import type { Scenario, Step } from '../scenarios/scenario.ts'
import type { ClusterWorld } from './cluster-world.ts'

/** One behaviour that only a cluster has. */
export interface ClusterScenario {
  /** Kebab-case, as in the file's name. */
  readonly name: string
  /** A sentence; before it, and a colon, the rows of docs/security.md that it shows: `T07: ...`. */
  readonly title: string
  /** True: part of the set that runs by default. */
  readonly core?: true
  /** `two-nodes`: not shown on a cluster of one node, or of one address family. `kind`: its nodes are containers of this machine. */
  readonly needs?: 'two-nodes' | 'kind'
  run(world: ClusterWorld): AsyncIterable<Step>
}

export type { Scenario, Step }
