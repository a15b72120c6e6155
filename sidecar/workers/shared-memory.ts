import type { SharedTimes } from '../../model/filter.ts'
import { createTurnMemory, giveUpTurn, openTurn, type Turn } from '../../runtime/turns.ts'
import type { SharedCount, UpstreamSharing } from '../upstream/upstream-sharing.ts'
import {
  clearSharedCounts,
  createSharedCountsMemory,
  openSharedCounts,
  type SharedCountsMemory,
} from './shared-counts.ts'
import { createSharedTimesMemory, openSharedTimes, type SharedTimesMemory } from './shared-times.ts'

/** Memory that all workers of a process have. It can be posted. */
export interface SharedMemory {
  /** What limits count by. */
  readonly times: SharedTimesMemory
  /** Connections and requests in flight, by worker. */
  readonly counts: SharedArrayBuffer
  /** What circuit breakers count. */
  readonly upstreams: SharedCountsMemory
  /** Who may write to the log. */
  readonly turn: SharedArrayBuffer
}

/** The part that one worker has in it. */
export interface Share {
  readonly sharedTimes: (name: string) => SharedTimes
  readonly connections: SharedCount
  readonly inFlight: SharedCount
  readonly upstreams: UpstreamSharing
  readonly turn: Turn
}

/** What is counted by worker. */
const COUNTS = 2

export function createSharedMemory(workers: number): SharedMemory {
  return {
    times: createSharedTimesMemory(),
    counts: new SharedArrayBuffer(workers * COUNTS * Int32Array.BYTES_PER_ELEMENT),
    upstreams: createSharedCountsMemory(),
    turn: createTurnMemory(),
  }
}

/** `worker`: from 0. */
export function openShare({ times, counts, upstreams, turn }: SharedMemory, worker: number): Share {
  return {
    sharedTimes: openSharedTimes(times),
    connections: openCount(counts, worker, 0),
    inFlight: openCount(counts, worker, 1),
    upstreams: {
      workers: counts.byteLength / (COUNTS * Int32Array.BYTES_PER_ELEMENT),
      countOf: openSharedCounts(upstreams, worker),
    },
    turn: openTurn(turn, worker + 1),
  }
}

/** Takes out of it what a worker that has ended left there. What it counted by limits stays: those requests were let through. */
export function clearShare({ counts, upstreams, turn }: SharedMemory, worker: number): void {
  for (let which = 0; which < COUNTS; which++) openCount(counts, worker, which).tell(0)
  clearSharedCounts(upstreams, worker)
  giveUpTurn(turn, worker + 1)
}

/** Client connections that each worker has, by its number. */
export function connectionsByWorker({ counts }: SharedMemory): readonly number[] {
  const all = new Int32Array(counts)
  return Array.from({ length: all.length / COUNTS }, (_, worker) => Atomics.load(all, worker * COUNTS))
}

function openCount(memory: SharedArrayBuffer, worker: number, which: number): SharedCount {
  const counts = new Int32Array(memory)
  const own = worker * COUNTS + which
  return {
    tell: (count) => void Atomics.store(counts, own, count),
    others() {
      let sum = 0
      for (let at = which; at < counts.length; at += COUNTS) if (at !== own) sum += Atomics.load(counts, at)
      return sum
    },
  }
}
