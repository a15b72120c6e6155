/** Failures in a row that put an endpoint aside. */
const FAILURES_TO_EJECT = 3

/** How long it is put aside the first time, and at most: it doubles each time it comes back and fails again. */
const FIRST_EJECTION_MS = 2_000
const LONGEST_EJECTION_MS = 60_000

/**
 * What the requests themselves tell of an endpoint: one that failed several times in a row gets none for a while.
 *
 * When the time is over a single failure puts it aside again, for twice as long; an answer forgets everything.
 */
export class PassiveHealth {
  #failures = 0
  #ejections = 0
  #ejectedUntilMs = 0

  isAvailable(nowMs: number): boolean {
    return this.#ejectedUntilMs <= nowMs
  }

  succeed(): void {
    this.#failures = 0
    this.#ejections = 0
    this.#ejectedUntilMs = 0
  }

  /** It could not be connected to, broke off or did not answer in time. `nowMs` is monotonic. */
  fail(nowMs: number): void {
    this.#failures += 1
    if (this.#failures < FAILURES_TO_EJECT && this.#ejections === 0) return
    if (!this.isAvailable(nowMs)) return
    this.#ejectedUntilMs = nowMs + Math.min(LONGEST_EJECTION_MS, FIRST_EJECTION_MS * 2 ** Math.min(this.#ejections, 16))
    this.#ejections += 1
    this.#failures = 0
  }
}
