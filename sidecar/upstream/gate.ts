/** How much one caller asks of an upstream at once. */
export interface GateSettings {
  readonly maxInFlight: number
  readonly maxPending: number
}

export const OPEN_GATE: GateSettings = { maxInFlight: Number.POSITIVE_INFINITY, maxPending: 0 }

/** Whoever waits. */
export interface GateWaiter {
  /** It is in now, and leaves when it is done. */
  onAdmitted(): void
}

/**
 * The circuit breaker of an upstream: so many requests at once, so many that wait, and whoever comes then is refused at
 * once (F13). First come, first served.
 */
export class Gate {
  #settings: GateSettings
  #inFlight = 0
  /** In the order that they came. */
  readonly #waiting = new Set<GateWaiter>()

  constructor(settings: GateSettings = OPEN_GATE) {
    this.#settings = settings
  }

  get inFlight(): number {
    return this.#inFlight
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** Whoever waits already goes on to, also where fewer may now. */
  configure(settings: GateSettings): void {
    this.#settings = settings
    while (this.#inFlight < settings.maxInFlight && this.#waiting.size > 0) {
      this.#inFlight += 1
      this.#admitNext()
    }
  }

  /** `in`: call `leave` once. `waiting`: `onAdmitted` follows, unless `cancel` does. */
  enter(waiter: GateWaiter): 'in' | 'waiting' | 'full' {
    if (this.#inFlight < this.#settings.maxInFlight) {
      this.#inFlight += 1
      return 'in'
    }
    if (this.#waiting.size >= this.#settings.maxPending) return 'full'
    this.#waiting.add(waiter)
    return 'waiting'
  }

  leave(): void {
    if (this.#waiting.size > 0 && this.#inFlight <= this.#settings.maxInFlight) this.#admitNext()
    else this.#inFlight -= 1
  }

  /** Whoever waited does not want any more. */
  cancel(waiter: GateWaiter): void {
    this.#waiting.delete(waiter)
  }

  #admitNext(): void {
    for (const waiter of this.#waiting) {
      this.#waiting.delete(waiter)
      waiter.onAdmitted()
      return
    }
  }
}
