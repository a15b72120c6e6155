/** How slowly a body may come. */
export interface BodyPaceLimits {
  /** Bytes a second that the body of a request comes at, on average, once `bodyGraceMs` are over: else 408. */
  readonly minBodyBytesPerSecond: number
  /** Milliseconds of waiting for a body before its rate is looked at. */
  readonly bodyGraceMs: number
}

/**
 * Whether the body of one request comes fast enough (T20).
 *
 * A limit between two reads alone lets a client hold a request with one byte before each of them is over, and some thousands
 * of such clients are all that may be in flight. Only the time counts in which the client was waited for: what the upstream
 * holds back is not the client's fault.
 */
export class BodyPace {
  readonly #limits: BodyPaceLimits
  #bytes = 0
  #waitedMs = 0
  #waitsSinceMs: number | undefined

  constructor(limits: BodyPaceLimits) {
    this.#limits = limits
  }

  /** From now on the client is waited for. */
  waits(nowMs: number): void {
    this.#waitsSinceMs ??= nowMs
  }

  /** Some came, and nobody waits until `waits` is called again. False: too slow. */
  took(bytes: number, nowMs: number): boolean {
    if (this.#waitsSinceMs !== undefined) this.#waitedMs += nowMs - this.#waitsSinceMs
    this.#waitsSinceMs = undefined
    this.#bytes += bytes
    const { bodyGraceMs, minBodyBytesPerSecond } = this.#limits
    return this.#bytes * 1_000 >= (this.#waitedMs - bodyGraceMs) * minBodyBytesPerSecond
  }
}
