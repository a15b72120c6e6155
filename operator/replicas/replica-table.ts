import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { createStandingIndex, type SidecarStanding, type StandingIndex } from '../push/acknowledgements.ts'
import type { DryRunCounts } from '../status/conditions.ts'
import type { ReplicaSelf, ReplicaUpdate } from './messages.ts'

/** What the operators that do not lead told this one. Empty while it does not lead itself. */
export interface ReplicaTable {
  /** A replica began to tell. What it told before counts until it has told everything anew. */
  begin(replica: string, release: string): ReplicaStream
  /** Sidecars of one workload, of all replicas. */
  of(workload: string): readonly SidecarStanding[]
  all(): readonly SidecarStanding[]
  /** What replicas counted for this very generation of a policy. */
  dryRunsOf(policy: string, generation: number): readonly DryRunCounts[]
  replicas(): readonly ReplicaState[]
  /** Called after each change, at once. */
  onChange(listener: () => void): () => void
  /** Forgets everything: whoever leads now is told instead. */
  clear(): void
}

/** One connection of a replica. Only the newest of a replica counts. */
export interface ReplicaStream {
  /** False when it told of more than is taken; the connection is to be ended. */
  update(update: ReplicaUpdate): boolean
  self(self: ReplicaSelf): void
  whole(): void
  /** The connection is gone. What it told counts for a while still: the replica is likely to come back. */
  end(): void
}

export interface ReplicaState {
  readonly replica: string
  readonly release: string
  readonly connected: boolean
  readonly sidecars: number
  /** Undefined until it has said so. */
  readonly self?: ReplicaSelf
}

export interface ReplicaTableOptions {
  readonly clock: Pick<Clock, 'setTimer'>
  readonly log: Log
  /** Milliseconds that what a replica told counts after its connection broke. Default 15,000: the time of a reconnect. */
  readonly graceMs?: number
  /** Sidecars of one replica. Default 20,000: the sessions that an operator takes. */
  readonly maxSidecars?: number
}

/** Replicas that are remembered at once. */
export const MAX_REPLICAS = 16

/** Policies of one replica that counts are kept for. */
const MAX_POLICIES = 10_000

interface Told {
  readonly sidecars: StandingIndex
  readonly dryRuns: Map<string, { readonly generation: number; readonly counts: DryRunCounts }>
}

interface Replica {
  readonly name: string
  release: string
  /** The one stream that may tell; undefined while none is connected. */
  stream: ReplicaStream | undefined
  told: Told
  self: ReplicaSelf | undefined
  cancel: () => void
}

export function createReplicaTable(options: ReplicaTableOptions): ReplicaTable {
  const { clock, log, graceMs = 15_000, maxSidecars = 20_000 } = options
  const replicas = new Map<string, Replica>()
  const listeners = new Set<() => void>()
  const changed = () => {
    for (const listener of listeners) listener()
  }
  const nothing = (): Told => ({ sidecars: createStandingIndex(), dryRuns: new Map() })

  const replicaOf = (name: string, release: string): Replica | undefined => {
    const known = replicas.get(name)
    if (known !== undefined) return known
    if (replicas.size >= MAX_REPLICAS) return undefined
    const made: Replica = { name, release, stream: undefined, told: nothing(), self: undefined, cancel: () => {} }
    replicas.set(name, made)
    return made
  }

  return {
    begin(name, release) {
      const replica = replicaOf(name, release)
      if (replica === undefined) {
        log.warn('more operators than are counted', { 'hauberk.replica': name })
        return { update: () => false, self() {}, whole() {}, end() {} }
      }
      replica.cancel()
      replica.release = release
      // Told anew from nothing, beside what counts until that is whole.
      const staged = nothing()
      const isCurrent = () => replica.stream === stream && replicas.get(name) === replica
      const stream: ReplicaStream = {
        update({ sidecars, left, dryRuns, forgotten }) {
          if (!isCurrent()) return false
          for (const key of left) staged.sidecars.delete(key)
          for (const policy of forgotten) staged.dryRuns.delete(policy)
          for (const { key, sidecar } of sidecars) staged.sidecars.set(key, sidecar)
          for (const { policy, generation, counts } of dryRuns) {
            staged.dryRuns.set(policy, { generation, counts: new Map(Object.entries(counts)) })
          }
          if (replica.told === staged) changed()
          return staged.sidecars.size <= maxSidecars && staged.dryRuns.size <= MAX_POLICIES
        },
        self(self) {
          if (!isCurrent()) return
          replica.self = self
          changed()
        },
        whole() {
          if (!isCurrent() || replica.told === staged) return
          replica.told = staged
          changed()
        },
        end() {
          if (!isCurrent()) return
          replica.stream = undefined
          replica.cancel = clock.setTimer(
            graceMs,
            () => {
              if (replica.stream !== undefined || replicas.get(name) !== replica) return
              log.warn('an operator did not come back, its sidecars no longer count', { 'hauberk.replica': name })
              replicas.delete(name)
              changed()
            },
            { keepAlive: false },
          )
          changed()
        },
      }
      replica.stream = stream
      changed()
      return stream
    },
    of: (workload) => [...replicas.values()].flatMap(({ told }) => told.sidecars.of(workload)),
    all: () => [...replicas.values()].flatMap(({ told }) => told.sidecars.all()),
    dryRunsOf: (policy, generation) =>
      [...replicas.values()].flatMap(({ told }) => {
        const found = told.dryRuns.get(policy)
        return found?.generation === generation ? found.counts : []
      }),
    replicas: () =>
      [...replicas.values()].map(({ name, release, stream, told, self }) => ({
        replica: name,
        release,
        connected: stream !== undefined,
        sidecars: told.sidecars.size,
        ...(self && { self }),
      })),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    clear() {
      for (const { cancel } of replicas.values()) cancel()
      const hadAny = replicas.size > 0
      replicas.clear()
      if (hadAny) changed()
    },
  }
}
