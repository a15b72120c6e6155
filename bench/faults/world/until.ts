import { setTimeout as sleep } from 'node:timers/promises'

/** Waits for something to become so, and resolves with it; rejects when it does not within `withinMs` (10 s). */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  withinMs = 10_000,
): Promise<T> {
  const lateAt = performance.now() + withinMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (performance.now() > lateAt) throw new Error(`not within ${withinMs} ms: ${what}`)
    await sleep(10)
  }
}
