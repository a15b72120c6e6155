import type { ManualClock } from '../../../runtime/manual-clock.ts'

/**
 * Resolves once `condition` holds; fails when it does not within `deadlineMs`, which is for what never comes: a busy machine may take
 * long for what does. For tests: nothing sleeps a fixed time.
 */
export async function until(condition: () => boolean, what: string, deadlineMs = 30_000): Promise<void> {
  const lateAt = performance.now() + deadlineMs
  while (!condition()) {
    if (performance.now() > lateAt) throw new Error(`not within ${deadlineMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/**
 * Lets the time of `clock` pass, `stepMs` a turn of the event loop, until `condition` holds. What is under way inside this process moves
 * on with each turn, so that how busy the machine is has no say in who is faster. Choose steps far below the time that is tested.
 */
export async function passUntil(
  clock: ManualClock,
  condition: () => boolean,
  what: string,
  stepMs = 20,
): Promise<void> {
  const lateAt = performance.now() + 60_000
  while (!condition()) {
    if (performance.now() > lateAt)
      throw new Error(`not within ${Math.round(clock.monotonic())} ms of the clock: ${what}`)
    await clock.advance(stepMs)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** What `promise` comes to, with the time of `clock` passing meanwhile. */
export async function passing<T>(clock: ManualClock, promise: Promise<T>, stepMs?: number): Promise<T> {
  let isSettled = false
  const settle = () => {
    isSettled = true
  }
  promise.then(settle, settle)
  await passUntil(clock, () => isSettled, 'it comes to something', stepMs)
  return promise
}
