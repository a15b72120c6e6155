import type { FilterCounter, FilterDeps, RevocableToken, Revocations } from '../../model/filter.ts'

export interface TestDeps extends FilterDeps {
  /** What was counted, by name. */
  readonly counts: ReadonlyMap<FilterCounter, number>
  /** Moves both clocks. */
  advance(ms: number): void
}

/** Filter deps with a clock that a test moves, a memory, and neither keys nor cryptography. */
export function testDeps(): TestDeps {
  let nowMs = 1_000_000
  const counts = new Map<FilterCounter, number>()
  const memory = new Map<string, unknown>()
  const none = () => {
    throw new Error('this test has no cryptography')
  }
  return {
    clock: { now: () => 1_700_000_000_000 + nowMs, monotonic: () => nowMs },
    crypto: { sha256: none, importJwk: none, verify: none },
    keys: { generation: 0, keysOf: () => undefined, refresh: () => Promise.resolve() },
    remember<T>(key: string, create: () => T): T {
      if (!memory.has(key)) memory.set(key, create())
      return memory.get(key) as T
    },
    count: (name) => counts.set(name, (counts.get(name) ?? 0) + 1),
    counts,
    advance(ms) {
      nowMs += ms
    },
  }
}

/** Revocations that a test changes. */
export interface TestRevocations extends Revocations {
  /** From now on, what `revokedBy` says; it is another generation. */
  revoke(revokedBy: (token: RevocableToken) => string | undefined): void
}

export function testRevocations(): TestRevocations {
  let generation = 0
  let judge: Revocations['revokedBy'] = () => undefined
  return {
    get generation() {
      return generation
    },
    revokedBy: (token) => judge(token),
    revoke(revokedBy) {
      judge = revokedBy
      generation += 1
    },
  }
}
