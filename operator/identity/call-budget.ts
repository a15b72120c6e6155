import type { Clock } from '../../runtime/clock.ts'

/** How many calls may be made to somebody who must not be flooded: here the API server (T04). */
export interface CallBudget {
  /**
   * Waits for a turn. Resolves with undefined when it has come; with milliseconds after which to come again, at once, when
   * too many wait.
   */
  take(): Promise<number | undefined>
}

export interface CallBudgetOptions {
  readonly clock: Pick<Clock, 'monotonic' | 'setTimer'>
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Asked at each turn. Default 25: two operators make 50 of them. */
  readonly perSecond?: () => number
  /** Calls that may be made at once after a quiet time. Default 10. */
  readonly burst?: number
  /** The longest that a caller waits for its turn; so as many wait as have turns in this time. Default 2,000. */
  readonly maxWaitMs?: number
}

/** The least and the most that somebody is sent away for. */
const MIN_AWAY_MS = 1_000
const MAX_AWAY_MS = 30_000

/** Milliseconds for which somebody who was sent away is counted as about to come back. */
const MEMORY_MS = 10_000

/** The generic cell rate algorithm (ITU-T I.371, Annex A), with a queue. */
export function createCallBudget(options: CallBudgetOptions): CallBudget {
  const { clock, random, perSecond = () => 25, burst = 10, maxWaitMs = 2_000 } = options
  let theoreticalArrivalMs = Number.NEGATIVE_INFINITY
  /** Decays by half in each {@link MEMORY_MS}: one number stands for however many there were. */
  let away = 0
  let countedAtMs = 0

  const sendAway = (nowMs: number, intervalMs: number): number => {
    away = away * 0.5 ** ((nowMs - countedAtMs) / MEMORY_MS) + 1
    countedAtMs = nowMs
    // Spread over the time in which all of them would have had a turn, so that they do not come back together (F04).
    return MIN_AWAY_MS + random() * Math.min(MAX_AWAY_MS, away * intervalMs)
  }

  return {
    async take() {
      const nowMs = clock.monotonic()
      const intervalMs = 1_000 / perSecond()
      const arrivalMs = Math.max(theoreticalArrivalMs, nowMs)
      const waitMs = Math.max(0, arrivalMs - nowMs - (burst - 1) * intervalMs)
      if (waitMs > maxWaitMs) return sendAway(nowMs, intervalMs)
      theoreticalArrivalMs = arrivalMs + intervalMs
      if (waitMs > 0) await new Promise<void>((resolve) => clock.setTimer(waitMs, resolve))
      return undefined
    },
  }
}
