import type { Clock } from '../../runtime/clock.ts'

/** Says how often each caller may ask. */
export interface RequestLimit {
  /** Counts a request of `key`. 0: go on. Else the milliseconds after which the next one would pass. */
  admit(key: string): number
}

export interface RequestLimitOptions {
  readonly clock: Pick<Clock, 'monotonic'>
  /** Requests that may come at once. Default 20: a gateway with many listeners asks for a certificate of each. */
  readonly burst?: number
  /** Milliseconds after which one more is allowed. Default 1,000. */
  readonly intervalMs?: number
}

/** Callers remembered at once; the one that asked longest ago is forgotten first, and starts with a full burst again. */
export const MAX_REMEMBERED_CALLERS = 16_384

/** The generic cell rate algorithm (ITU-T I.371, Annex A), one number a caller. */
export function createRequestLimit({ clock, burst = 20, intervalMs = 1_000 }: RequestLimitOptions): RequestLimit {
  const theoreticalArrivals = new Map<string, number>()
  return {
    admit(key) {
      const nowMs = clock.monotonic()
      const arrivalMs = Math.max(theoreticalArrivals.get(key) ?? 0, nowMs)
      const waitMs = arrivalMs - nowMs - (burst - 1) * intervalMs
      theoreticalArrivals.delete(key)
      theoreticalArrivals.set(key, waitMs > 0 ? arrivalMs : arrivalMs + intervalMs)
      if (theoreticalArrivals.size > MAX_REMEMBERED_CALLERS) {
        theoreticalArrivals.delete(theoreticalArrivals.keys().next().value!)
      }
      return Math.max(0, waitMs)
    },
  }
}
