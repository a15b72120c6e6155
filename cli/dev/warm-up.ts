import { readdirSync } from 'node:fs'
import type { Clock } from '../../runtime/clock.ts'

/**
 * The order in which sidecars start, which saves a third of the time of a first start on two cores.
 *
 * They wait for the operator, because whoever asks for a certificate before it can be had asks again only after a pause.
 * And they do not all compile the same program at the same time: where nothing is compiled yet, the first goes ahead, and
 * the others start when it has left what it compiled in the cache.
 */
export interface WarmUp {
  /** Resolves when it is one's turn, with what to call when the program is loaded. */
  enter(): Promise<() => void>
}

/** Milliseconds that anybody waits for another one at most: all of them also start alone. */
const PATIENCE_MS = 3_000

export function createWarmUp(
  cacheDirectory: string,
  operatorReady: Promise<void>,
  clock: Pick<Clock, 'setTimer'>,
): WarmUp {
  const warm = Promise.withResolvers<void>()
  const served = Promise.withResolvers<void>()
  operatorReady.then(served.resolve, served.resolve)
  clock.setTimer(PATIENCE_MS, served.resolve, { keepAlive: false })
  let isFirst = !hasEntries(cacheDirectory)
  if (!isFirst) warm.resolve()
  return {
    async enter() {
      await served.promise
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
