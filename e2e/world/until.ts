import { AssertionError } from 'node:assert'
import { setTimeout as sleep } from 'node:timers/promises'

export interface UntilOptions {
  /** Default 30 s. */
  readonly withinMs?: number
  /** Between two looks. Default 20 ms. */
  readonly everyMs?: number
}

/** Looks until there is something to see (anything but undefined or false), and returns it. Throws with `what` at the deadline. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  { withinMs = 30_000, everyMs = 20 }: UntilOptions = {},
): Promise<T> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const seen = await look()
    if (seen !== undefined && seen !== false) return seen
    if (performance.now() > deadline) throw new AssertionError({ message: `not within ${withinMs} ms: ${what}` })
    await sleep(everyMs)
  }
}
