import { type Clock, systemClock } from './clock.ts'

/** Readings of which the best is taken: a thread may be put aside between two clocks. */
const READINGS = 8

/**
 * Where `performance.now()` of this thread begins, in milliseconds of a clock that all threads have: each counts from its own
 * start.
 */
export function beginningOfTime(): number {
  let latest = Number.NEGATIVE_INFINITY
  for (let i = 0; i < READINGS; i++)
    latest = Math.max(latest, Number(process.hrtime.bigint()) / 1e6 - performance.now())
  return latest
}

/** The machine's own clock, whose monotonic time is that of the thread which began at `beginning`. */
export function clockSince(beginning: number): Clock {
  const offsetMs = beginningOfTime() - beginning
  return { ...systemClock, monotonic: () => performance.now() + offsetMs }
}
