import type { EdgeCounts } from '../../contract/edges.ts'
import type { Clock } from '../../runtime/clock.ts'
import { createEdgeTable, type EdgesReport, type Teller } from './mesh-edges.ts'

/** Sidecars that are asked at once. */
export const MAX_ASKED = 2_000

/** Looks that wait for answers at once; more are refused. */
export const MAX_LOOKS = 4

/** Milliseconds that sidecars have to answer. */
const ANSWER_MS = 2_000

/** The first contract whose sidecars know what a look is. */
const SINCE = 3

/** A sidecar that can be asked. */
export interface Looked {
  readonly teller: Teller
  /** The contract that it speaks. */
  readonly contract: number
  /** Asks it. It answers, if at all, with {@link Looks.answer}. */
  ask(id: number): void
}

/**
 * Asks the sidecars that are connected here what goes over their edges, when somebody wants to see it. Nothing is gathered before,
 * and nothing is kept after.
 */
export interface Looks<Key> {
  /** Resolves when all have answered, and after 2 s in any case. Undefined: too many look already. */
  edges(sidecars: ReadonlyMap<Key, Looked>): Promise<EdgesReport | undefined>
  /** An answer that nobody waits for is dropped. */
  answer(sidecar: Key, id: number, edges: readonly EdgeCounts[], omitted: number): void
  /** It will not answer. */
  gone(sidecar: Key): void
}

interface Look<Key> {
  readonly waitsFor: Map<Key, Teller>
  readonly take: (teller: Teller, edges: readonly EdgeCounts[], omitted: number) => void
  readonly end: () => void
}

export function createLooks<Key>(clock: Pick<Clock, 'setTimer'>): Looks<Key> {
  const looks = new Map<number, Look<Key>>()
  let lastId = 0
  return {
    async edges(sidecars) {
      if (looks.size >= MAX_LOOKS) return undefined
      const able = [...sidecars].filter(([, { contract }]) => contract >= SINCE)
      const asked = able.slice(0, MAX_ASKED)
      const table = createEdgeTable()
      const { promise, resolve } = Promise.withResolvers<void>()
      const id = ++lastId
      let told = 0
      const waitsFor = new Map(asked.map(([key, { teller }]) => [key, teller]))
      looks.set(id, {
        waitsFor,
        take(teller, edges, omitted) {
          told++
          table.add(teller, edges, omitted)
        },
        end: resolve,
      })
      const cancel = clock.setTimer(ANSWER_MS, resolve)
      if (asked.length === 0) resolve()
      for (const [, { ask }] of asked) ask(id)
      await promise
      cancel()
      looks.delete(id)
      return {
        edges: table.edges(),
        omitted: table.omitted,
        told,
        silent: asked.length - told,
        unable: sidecars.size - able.length,
        notAsked: able.length - asked.length,
      }
    },
    answer(sidecar, id, edges, omitted) {
      const look = looks.get(id)
      const teller = look?.waitsFor.get(sidecar)
      if (look === undefined || teller === undefined) return
      look.waitsFor.delete(sidecar)
      look.take(teller, edges, omitted)
      if (look.waitsFor.size === 0) look.end()
    },
    gone(sidecar) {
      for (const { waitsFor, end } of looks.values()) {
        if (waitsFor.delete(sidecar) && waitsFor.size === 0) end()
      }
    },
  }
}
