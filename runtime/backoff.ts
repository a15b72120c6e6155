/** How long to wait before trying again. */
export interface BackoffOptions {
  /** Upper bound of the first wait, in milliseconds. */
  readonly baseMs: number
  /** Upper bound of every wait, in milliseconds. */
  readonly maxMs: number
  /** Lower bound of every wait, in milliseconds. Default 0, as full jitter has it. */
  readonly minMs?: number
  /** Uniform in [0, 1). */
  readonly random: () => number
}

/** The waits of one thing that keeps failing. */
export interface Backoff {
  /** Milliseconds to wait before the next attempt. */
  next(): number
  /** Begins anew: call it when an attempt went well. */
  reset(): void
  /** Waits handed out since the start or the last reset. */
  readonly attempts: number
}

/**
 * Exponential backoff with full jitter: the n-th wait is uniform between `minMs` and min(`maxMs`, `baseMs` * 2^n).
 *
 * Full jitter, because a thousand sidecars that lost the same operator must not come back in step.
 */
export function createBackoff({ baseMs, maxMs, minMs = 0, random }: BackoffOptions): Backoff {
  let attempts = 0
  return {
    next() {
      const ceilingMs = Math.min(maxMs, baseMs * 2 ** Math.min(attempts, MAX_EXPONENT))
      attempts += 1
      return Math.min(maxMs, minMs + random() * Math.max(0, ceilingMs - minMs))
    },
    reset() {
      attempts = 0
    },
    get attempts() {
      return attempts
    },
  }
}

/** 2^30 times any base is past every bound; beyond 2^1023 the product would be Infinity. */
const MAX_EXPONENT = 30
