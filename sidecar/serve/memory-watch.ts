import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'

/** Of what the process may have, the share from which on it takes no more work. */
const TIGHT_SHARE = 0.85

/** The same of the JavaScript heap, which holds garbage that is about to be collected. */
const TIGHT_HEAP_SHARE = 0.92

/** Milliseconds that one reading is good for. */
const READ_EVERY_MS = 100

/** What a process has and may have, in bytes. */
export interface MemoryReading {
  /** Undefined: it cannot be read now. */
  readonly resident: number | undefined
  /** Infinite where nobody sets a limit. */
  readonly maxResident: number
  readonly heap: number
  readonly maxHeap: number
}

/** Watches how near the process is to the end of its memory: beyond it the kernel kills it, and every connection with it (F18). */
export interface MemoryWatch {
  /** Whether there is no room for more. Reads at most ten times a second. `nowMs` is monotonic. */
  isTight(nowMs: number): boolean
}

export function createMemoryWatch(read: () => MemoryReading = readMemory): MemoryWatch {
  let isTight = false
  let readAtMs = Number.NEGATIVE_INFINITY
  return {
    isTight(nowMs) {
      if (nowMs - readAtMs < READ_EVERY_MS) return isTight
      readAtMs = nowMs
      const { resident, maxResident, heap, maxHeap } = read()
      // Without a descriptor to read it by (F17) nothing new is known.
      if (resident === undefined) return isTight
      isTight = resident > maxResident * TIGHT_SHARE || heap > maxHeap * TIGHT_HEAP_SHARE
      return isTight
    },
  }
}

/** Of this process; its limit is that of its container (cgroup). */
function readMemory(): MemoryReading {
  const { used_heap_size: heap, heap_size_limit: maxHeap } = getHeapStatistics()
  return { resident: residentNow(), maxResident: maxResidentBytes(), heap, maxHeap }
}

/** What the container may have. Infinite where nobody sets a limit. */
export function maxResidentBytes(): number {
  const constrained = process.constrainedMemory()
  // 0 or beyond all there is: nobody set one.
  return constrained > 0 && constrained < totalmem() ? constrained : Number.POSITIVE_INFINITY
}

/** It stands in a file of /proc. */
function residentNow(): number | undefined {
  try {
    return process.memoryUsage.rss()
  } catch {
    return undefined
  }
}
