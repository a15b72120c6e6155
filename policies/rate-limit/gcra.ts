/** A rate and what it allows at once. */
export interface Rate {
  readonly requests: number
  readonly perMs: number
  readonly burst: number
}

/**
 * The generic cell rate algorithm (ITU-T I.371, Annex A, virtual scheduling): one number a client, the theoretical arrival
 * time of its next request.
 *
 * Times are whole ticks, 4096 to the interval between two requests at the rate, so that `burst` requests at one instant
 * fit exactly and nothing drifts: at 100,000 requests a second the ticks of a hundred days are still exact numbers.
 */
export interface Gcra {
  /** The ticks of a monotonic clock. */
  ticksAt(nowMs: number): number
  /** How many ticks too early a request comes; 0 or less: it conforms. `tat` is undefined for a client not seen before. */
  earliness(tat: number | undefined, nowTicks: number): number
  /** The arrival time after a request that conforms was let through. */
  next(tat: number | undefined, nowTicks: number): number
  /** Ticks that `next` adds for a request. */
  cost(): number
  /** Milliseconds. */
  duration(ticks: number): number
}

/** What one request adds to an arrival time: where replicas share the limit, as often as there are replicas. */
export const TICKS_PER_REQUEST = 4096

export function gcra({ requests, perMs, burst }: Rate): Gcra {
  const ticksPerMs = (TICKS_PER_REQUEST * requests) / perMs
  const tolerance = (burst - 1) * TICKS_PER_REQUEST
  return {
    ticksAt: (nowMs) => Math.floor(nowMs * ticksPerMs),
    earliness: (tat, nowTicks) => (tat === undefined ? 0 : tat - nowTicks - tolerance),
    next: (tat, nowTicks) => (tat === undefined || tat < nowTicks ? nowTicks : tat) + TICKS_PER_REQUEST,
    cost: () => TICKS_PER_REQUEST,
    duration: (ticks) => ticks / ticksPerMs,
  }
}

/**
 * One replica's share of a rate. Each request counts as often as there are replicas, as though all of them let the same
 * through: so each keeps to an equal part of the rate, and the parts are the whole. Of the burst a part is rounded down, but
 * one request fits in any case.
 *
 * An arrival time means the same whatever the number of replicas: it may change at any time, and what was let through before
 * stays counted.
 */
export function sharedGcra(rate: Rate, share: { readonly replicas: number }): Gcra {
  const whole = gcra(rate)
  return {
    ...whole,
    earliness(tat, nowTicks) {
      if (tat === undefined) return 0
      return tat - nowTicks - Math.max(0, rate.burst - share.replicas) * TICKS_PER_REQUEST
    },
    next: (tat, nowTicks) =>
      (tat === undefined || tat < nowTicks ? nowTicks : tat) + share.replicas * TICKS_PER_REQUEST,
    cost: () => share.replicas * TICKS_PER_REQUEST,
  }
}
