import { hash } from 'node:crypto'
import { MAX_WORKERS } from '../../contract/pod.ts'
import type { SharedCount } from '../upstream/upstream-sharing.ts'

/**
 * Names that are counted by at once, each worker's part for itself. Names are never given up: a pod that has had more upstreams
 * with a circuit breaker in its life than there is room for divides what the newest of them may have by its workers.
 */
export const MAX_NAMES = 8_192

/** Cells that are looked at for one name. */
const WINDOW = 64

const FREE = 0n

/** What is handed to every worker: it can be posted. */
export interface SharedCountsMemory {
  /** 64 bits for each name. */
  readonly tags: SharedArrayBuffer
  /** For each name a number of each worker. */
  readonly counts: SharedArrayBuffer
}

/** `names`: a power of two. */
export function createSharedCountsMemory(names: number = MAX_NAMES): SharedCountsMemory {
  return {
    tags: new SharedArrayBuffer(names * BigInt64Array.BYTES_PER_ELEMENT),
    counts: new SharedArrayBuffer(names * MAX_WORKERS * Int32Array.BYTES_PER_ELEMENT),
  }
}

/**
 * Counts by name, over memory that threads share, without a lock. `tell` comes before `others` in one order for all threads: of
 * two that count one more at the same time at least one sees both, so that none of them goes beyond a bound unseen.
 */
export function openSharedCounts(
  memory: SharedCountsMemory,
  worker: number,
): (name: string) => SharedCount | undefined {
  const tags = new BigInt64Array(memory.tags)
  const counts = new Int32Array(memory.counts)
  return (name) => {
    const cell = cellOf(tags, name)
    if (cell === undefined) return undefined
    const first = cell * MAX_WORKERS
    return {
      tell: (own) => void Atomics.store(counts, first + worker, own),
      others() {
        let sum = 0
        for (let at = 0; at < MAX_WORKERS; at++) if (at !== worker) sum += Atomics.load(counts, first + at)
        return sum
      },
    }
  }
}

/** Takes out of it what a worker that has ended left there. */
export function clearSharedCounts(memory: SharedCountsMemory, worker: number): void {
  const counts = new Int32Array(memory.counts)
  // What nobody has written is left untouched: such memory takes no room.
  for (let at = worker; at < counts.length; at += MAX_WORKERS) if (counts[at] !== 0) Atomics.store(counts, at, 0)
}

/** Undefined: there is no room. */
function cellOf(tags: BigInt64Array, name: string): number | undefined {
  const digest = hash('sha256', name, 'buffer')
  const tag = digest.readBigInt64LE(0) | 1n
  const start = digest.readUInt32LE(8) % tags.length
  for (let i = 0; i < WINDOW; i++) {
    const cell = (start + i) % tags.length
    const was = Atomics.compareExchange(tags, cell, FREE, tag)
    if (was === FREE || was === tag) return cell
  }
  return undefined
}
