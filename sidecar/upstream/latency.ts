/** Milliseconds after which an observation weighs 1/e of what it did. */
const DECAY_MS = 10_000

/**
 * How long an endpoint takes to answer: a moving average that believes bad news at once and good news slowly (peak EWMA, as
 * Finagle has it). It fades while nothing is heard, so that whoever was slow once is tried again.
 */
export class PeakEwma {
  #averageMs = 0
  #atMs = 0

  /** `nowMs` is monotonic. */
  observe(tookMs: number, nowMs: number): void {
    if (tookMs >= this.#averageMs) this.#averageMs = tookMs
    else {
      const kept = Math.exp(-Math.max(0, nowMs - this.#atMs) / DECAY_MS)
      this.#averageMs = this.#averageMs * kept + tookMs * (1 - kept)
    }
    this.#atMs = nowMs
  }

  /** Milliseconds; 0: nothing is known. Asked for with each choice of an endpoint, so it fades by a division and no power. */
  at(nowMs: number): number {
    if (this.#averageMs === 0) return 0
    const silentMs = nowMs - this.#atMs
    return silentMs <= 0 ? this.#averageMs : this.#averageMs / (1 + silentMs / DECAY_MS)
  }
}
