import { readdirSync } from 'node:fs'
import type { Clock } from '../../runtime/clock.ts'

/**
 * Sees to it that eight processes do not compile the same program at the same time: where nothing is compiled yet, the
 * first goes ahead and the others start when it has left what it compiled in the cache. On two cores that is a third of
 * the time of a first start.
 */
export interface WarmUp {
  /** Resolves when it is one's turn, with what to call when the program is loaded. */
  enter(): Promise<() => void>
}

/** Milliseconds that the others wait for the first at most. */
const PATIENCE_MS = 3_000

export function createWarmUp(cacheDirectory: string, clock: Pick<Clock, 'setTimer'>): WarmUp {
  const warm = Promise.withResolvers<void>()
  let isFirst = !hasEntries(cacheDirectory)
  if (!isFirst) warm.resolve()
  return {
    async enter() {
      if (isFirst) {
        isFirst = false
        clock.setTimer(PATIENCE_MS, warm.resolve, { keepAlive: false })
      } else {
        await warm.promise
      }
      return warm.resolve
    },
  }
}

function hasEntries(directory: string): boolean {
  try {
    return readdirSync(directory).length > 0
  } catch {
    return false
  }
}
