import type { SharedTimes } from '../../model/filter.ts'

/** Clients that one limit remembers at once. The one not seen for longest goes first, so that a flood of names costs memory once (T27). */
export const MAX_KEYS = 100_000

/** The arrival times of one limit, by client: those of this worker, or those that all workers of a pod share. */
export type Buckets = OwnBuckets | SharedTimes

/** Where there is one worker, nobody else changes them. */
export interface OwnBuckets {
  readonly size: number
  get(key: string): number | undefined
  /** `forgot`: another client had to be forgotten for this one. */
  set(key: string, tat: number): 'set' | 'forgot'
}

export function createBuckets(maxKeys: number = MAX_KEYS): OwnBuckets {
  // A Map keeps its keys in the order in which they were put in: the first is the one not seen for longest.
  const tats = new Map<string, number>()
  return {
    get size() {
      return tats.size
    },
    get: (key) => tats.get(key),
    set(key, tat) {
      const wasThere = tats.delete(key)
      const isFull = !wasThere && tats.size >= maxKeys
      if (isFull) tats.delete(tats.keys().next().value as string)
      tats.set(key, tat)
      return isFull ? 'forgot' : 'set'
    },
  }
}
