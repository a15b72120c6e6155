import type { Clock } from './clock.ts'

/** A clock for tests: time passes only when told to. */
export interface ManualClock extends Clock {
  /**
   * Lets `ms` milliseconds pass. Timers that come due run in the order of their due times (equal ones: as they were
   * set), each seeing the time it was due at; promises they settle are followed before the next timer runs, so that a
   * loop of `await sleep(...)` is driven through as many turns as fit.
   */
  advance(ms: number): Promise<void>
  /** Moves the wall clock alone, as an administrator or NTP would. Timers and `monotonic()` do not notice. */
  jump(ms: number): void
  /** Timers that are set and have not run. */
  pendingTimers(): number
}

/** A manual clock whose wall time starts at `startMs` (default 2026-01-01T00:00:00Z) and whose monotonic time starts at 0. */
export function createManualClock(startMs: number = Date.UTC(2026, 0, 1)): ManualClock {
  let wallMs = startMs
  let elapsedMs = 0
  let order = 0
  const timers = new Set<ManualTimer>()

  const passUntil = (dueAtMs: number) => {
    wallMs += dueAtMs - elapsedMs
    elapsedMs = dueAtMs
  }

  return {
    now: () => wallMs,
    monotonic: () => elapsedMs,
    setTimer(delayMs, run, { signal } = {}) {
      if (signal?.aborted) return () => {}
      const timer: ManualTimer = { dueAtMs: elapsedMs + Math.max(0, delayMs), order: order++, run: fire }
      function fire() {
        cancel()
        run()
      }
      function cancel() {
        timers.delete(timer)
        signal?.removeEventListener('abort', cancel)
      }
      signal?.addEventListener('abort', cancel, { once: true })
      timers.add(timer)
      return cancel
    },
    async advance(ms) {
      const untilMs = elapsedMs + ms
      await settle()
      for (;;) {
        const next = earliest(timers)
        if (next === undefined || next.dueAtMs > untilMs) break
        passUntil(next.dueAtMs)
        next.run()
        await settle()
      }
      passUntil(untilMs)
    },
    jump(ms) {
      wallMs += ms
    },
    pendingTimers: () => timers.size,
  }
}

interface ManualTimer {
  readonly dueAtMs: number
  readonly order: number
  readonly run: () => void
}

function earliest(timers: Iterable<ManualTimer>): ManualTimer | undefined {
  let first: ManualTimer | undefined
  for (const timer of timers) {
    if (!first || timer.dueAtMs < first.dueAtMs || (timer.dueAtMs === first.dueAtMs && timer.order < first.order)) {
      first = timer
    }
  }
  return first
}

/** One turn of the real event loop: every promise that was settled by now has been followed. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
