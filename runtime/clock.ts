/** Cancels a timer. Calling it again, or after the timer ran, does nothing. */
export type CancelTimer = () => void

/** How a timer ends early, and whether the process waits for it. */
export interface TimerOptions {
  /** Cancels the timer when it aborts. A signal that is aborted already means the timer never runs. */
  readonly signal?: AbortSignal | undefined
  /** Whether the process stays alive for this timer alone. Default true. */
  readonly keepAlive?: boolean
}

/** Time, handed in wherever it matters, so that a test can be the one who lets it pass. */
export interface Clock {
  /** Milliseconds since the Unix epoch. May jump either way: for timestamps and `exp`, never for durations. */
  now(): number
  /** Milliseconds from an arbitrary start, with a fraction. Never goes back: for durations, windows and deadlines. */
  monotonic(): number
  /** Calls `run` once after `delayMs` milliseconds of monotonic time (any length; below 0 counts as 0). */
  setTimer(delayMs: number, run: () => void, options?: TimerOptions): CancelTimer
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(delayMs, run, { signal, keepAlive = true } = {}) {
    if (signal?.aborted) return () => {}
    const dueAtMs = performance.now() + Math.max(0, delayMs)
    let timer: NodeJS.Timeout | undefined
    const cancel = () => {
      clearTimeout(timer)
      timer = undefined
      signal?.removeEventListener('abort', cancel)
    }
    const arm = () => {
      const leftMs = dueAtMs - performance.now()
      timer = leftMs > MAX_TIMEOUT_MS ? setTimeout(arm, MAX_TIMEOUT_MS) : setTimeout(fire, Math.max(0, leftMs))
      if (!keepAlive) timer.unref()
    }
    const fire = () => {
      cancel()
      run()
    }
    signal?.addEventListener('abort', cancel, { once: true })
    arm()
    return cancel
  },
}

/** Resolves after `delayMs` of the clock's monotonic time; rejects with the signal's reason when it aborts first. */
export function sleep(clock: Clock, delayMs: number, options: TimerOptions = {}): Promise<void> {
  const { signal } = options
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const onAbort = () => reject(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    clock.setTimer(
      delayMs,
      () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      },
      options,
    )
  })
}

/** The longest delay `setTimeout` knows, 24.8 days: it runs anything longer at once. */
const MAX_TIMEOUT_MS = 2_147_483_647
