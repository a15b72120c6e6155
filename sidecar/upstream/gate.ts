import type { CancelTimer, Clock } from '../../runtime/clock.ts'
import { partOf, type SharedCount, type UpstreamSharing } from './upstream-sharing.ts'

/** Milliseconds between two looks at whether another worker has left room, while somebody waits. */
const LOOK_MS = 20

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

/** Where several workers count together. */
export interface SharedGate {
  readonly sharing: UpstreamSharing
  /** Of the upstream. */
  readonly name: string
  readonly clock: Clock
}

/**
 * The circuit breaker of an upstream: so many requests at once, so many that wait, and whoever comes then is refused at
 * once (F13). First come, first served, in each worker.
 */
export class Gate {
  #settings: GateSettings
  #inFlight = 0
  /** In the order that they came. */
  readonly #waiting = new Set<GateWaiter>()
  /** Requests in flight and requests that wait, as all workers have them. */
  readonly #sharedInFlight: SharedCount | undefined
  readonly #sharedWaiting: SharedCount | undefined
  readonly #clock: Clock | undefined
  /** Of workers that have to do with their part each, because there is no room for a count. */
  readonly #parts: number
  #cancelLook: CancelTimer | undefined

  /** Absent `shared`: there is one worker. */
  constructor(settings: GateSettings = OPEN_GATE, shared?: SharedGate) {
    this.#sharedInFlight = shared?.sharing.countOf(`${shared.name} requests`)
    this.#sharedWaiting = shared?.sharing.countOf(`${shared.name} waiting`)
    this.#clock = shared?.clock
    const isShared = this.#sharedInFlight !== undefined && this.#sharedWaiting !== undefined
    this.#parts = shared === undefined || isShared ? 1 : shared.sharing.workers
    this.#settings = this.#ownOf(settings)
  }

  /** Of this worker. */
  get inFlight(): number {
    return this.#inFlight
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** Whoever waits already goes on to, also where fewer may now. */
  configure(settings: GateSettings): void {
    this.#settings = this.#ownOf(settings)
    this.#admitAll()
  }

  /** `in`: call `leave` once. `waiting`: `onAdmitted` follows, unless `cancel` does. */
  enter(waiter: GateWaiter): 'in' | 'waiting' | 'full' {
    if (this.#waiting.size > 0 && this.#sharedInFlight !== undefined) this.#admitAll()
    if (this.#waiting.size === 0 && this.#takePlace()) return 'in'
    const waiting = this.#waiting.size + 1
    this.#sharedWaiting?.tell(waiting)
    if (waiting + (this.#sharedWaiting?.others() ?? 0) > this.#settings.maxPending) {
      this.#sharedWaiting?.tell(this.#waiting.size)
      return 'full'
    }
    this.#waiting.add(waiter)
    this.#lookLater()
    return 'waiting'
  }

  leave(): void {
    const total = this.#inFlight + (this.#sharedInFlight?.others() ?? 0)
    if (this.#waiting.size > 0 && total <= this.#settings.maxInFlight) return this.#admitNext()
    this.#inFlight -= 1
    this.#sharedInFlight?.tell(this.#inFlight)
  }

  /** Whoever waited does not want any more. */
  cancel(waiter: GateWaiter): void {
    if (this.#waiting.delete(waiter)) this.#sharedWaiting?.tell(this.#waiting.size)
  }

  #ownOf({ maxInFlight, maxPending }: GateSettings): GateSettings {
    return { maxInFlight: partOf(maxInFlight, this.#parts), maxPending: Math.floor(maxPending / this.#parts) }
  }

  #takePlace(): boolean {
    const shared = this.#sharedInFlight
    const { maxInFlight } = this.#settings
    if (this.#inFlight >= maxInFlight) return false
    // Told first: another worker that asks at the same time sees it.
    shared?.tell(this.#inFlight + 1)
    if (this.#inFlight + 1 + (shared?.others() ?? 0) > maxInFlight) {
      shared?.tell(this.#inFlight)
      return false
    }
    this.#inFlight += 1
    return true
  }

  #admitAll(): void {
    while (this.#waiting.size > 0 && this.#takePlace()) this.#admitNext()
  }

  #admitNext(): void {
    for (const waiter of this.#waiting) {
      this.cancel(waiter)
      waiter.onAdmitted()
      return
    }
  }

  /** What leaves in another worker nobody tells this one. */
  #lookLater(): void {
    if (this.#sharedInFlight === undefined || this.#cancelLook !== undefined) return
    this.#cancelLook = this.#clock?.setTimer(
      LOOK_MS,
      () => {
        this.#cancelLook = undefined
        this.#admitAll()
        if (this.#waiting.size > 0) this.#lookLater()
      },
      { keepAlive: false },
    )
  }
}
