import type { CancelTimer, Clock } from '../../runtime/clock.ts'

/** How exactly deadlines are kept: up to this much late, never early. A process that was held up is as late as that. */
export const TICK_MS = 100

/** Ticks ahead that have a place of their own, 102 s; what is due later is looked at again then. */
const SLOTS = 1_024

/**
 * Deadlines of very many things, on one timer that is set only while there is something to wait for.
 *
 * Moving a deadline later, which is what every request does, is a write to one field: the thing stays where it is and is
 * put further on when its old time comes. Only a deadline that moves earlier is taken out and put in again.
 */
export class Deadlines {
  readonly #clock: Clock
  readonly #slots: (Deadline | undefined)[] = new Array(SLOTS).fill(undefined)
  #linked = 0
  /** The last tick that was looked at. */
  #doneTick: number
  #timerTick = Number.POSITIVE_INFINITY
  #cancelTimer: CancelTimer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.#doneTick = this.#tickAt(clock.monotonic())
  }

  /** A deadline that is not set. `onDue` runs each time it passes. */
  create(onDue: () => void): Deadline {
    return new Deadline(onDue)
  }

  /** Sets the deadline anew, `delayMs` from `nowMs`, which is monotonic and not long ago. */
  set(deadline: Deadline, delayMs: number, nowMs: number = this.#clock.monotonic()): void {
    deadline.dueMs = nowMs + delayMs
    const tick = Math.ceil(deadline.dueMs / TICK_MS)
    if (deadline.tick !== UNLINKED) {
      if (deadline.tick <= tick) return
      this.#unlink(deadline)
    }
    if (this.#linked === 0) this.#doneTick = this.#tickAt(nowMs)
    this.#link(deadline, tick)
  }

  /** It does not pass until it is set again. Cheap: for what will be. */
  clear(deadline: Deadline): void {
    deadline.dueMs = Number.POSITIVE_INFINITY
  }

  /** Clears it and lets go of it: for what is over. */
  remove(deadline: Deadline): void {
    deadline.dueMs = Number.POSITIVE_INFINITY
    if (deadline.tick === UNLINKED) return
    this.#unlink(deadline)
    if (this.#linked > 0) return
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#timerTick = Number.POSITIVE_INFINITY
  }

  #tickAt(ms: number): number {
    return Math.floor(ms / TICK_MS)
  }

  #link(deadline: Deadline, dueTick: number): void {
    const tick = Math.min(Math.max(dueTick, this.#doneTick + 1), this.#doneTick + SLOTS)
    const slot = tick % SLOTS
    const first = this.#slots[slot]
    deadline.tick = tick
    deadline.previous = undefined
    deadline.next = first
    if (first !== undefined) first.previous = deadline
    this.#slots[slot] = deadline
    this.#linked += 1
    if (tick < this.#timerTick) this.#arm(tick)
  }

  #unlink(deadline: Deadline): void {
    const { previous, next } = deadline
    if (previous === undefined) this.#slots[deadline.tick % SLOTS] = next
    else previous.next = next
    if (next !== undefined) next.previous = previous
    deadline.previous = undefined
    deadline.next = undefined
    deadline.tick = UNLINKED
    this.#linked -= 1
  }

  #arm(tick: number): void {
    this.#cancelTimer?.()
    this.#timerTick = tick
    const delayMs = tick * TICK_MS - this.#clock.monotonic()
    this.#cancelTimer = this.#clock.setTimer(delayMs, () => this.#onTimer(), { keepAlive: false })
  }

  /** Where this process itself was held up, what came meanwhile is read first: it may be what was waited for. */
  #onTimer(): void {
    if (this.#clock.monotonic() - this.#timerTick * TICK_MS <= TICK_MS) return this.#turn()
    const turn = setImmediate(() => this.#turn())
    this.#cancelTimer = () => clearImmediate(turn)
  }

  #turn(): void {
    const nowMs = this.#clock.monotonic()
    const nowTick = Math.max(this.#tickAt(nowMs), this.#timerTick)
    this.#timerTick = Number.POSITIVE_INFINITY
    this.#cancelTimer = undefined
    for (const deadline of this.#takeUntil(nowTick)) {
      // One that ran before it may have set it anew, or cleared it.
      if (deadline.tick !== UNLINKED || deadline.dueMs === Number.POSITIVE_INFINITY) continue
      if (deadline.dueMs > nowMs) {
        this.#link(deadline, Math.ceil(deadline.dueMs / TICK_MS))
      } else {
        deadline.dueMs = Number.POSITIVE_INFINITY
        deadline.onDue()
      }
    }
    if (this.#linked === 0) return
    // What was put further on has armed the timer for itself alone.
    const next = this.#nextTick()
    if (next < this.#timerTick) this.#arm(next)
  }

  #takeUntil(nowTick: number): readonly Deadline[] {
    const taken: Deadline[] = []
    // After a long sleep one turn of the wheel sees every slot.
    const from = Math.max(this.#doneTick + 1, nowTick - SLOTS + 1)
    this.#doneTick = nowTick
    for (let tick = from; tick <= nowTick; tick++) {
      for (let first = this.#slots[tick % SLOTS]; first !== undefined; first = this.#slots[tick % SLOTS]) {
        this.#unlink(first)
        taken.push(first)
      }
    }
    return taken
  }

  #nextTick(): number {
    for (let tick = this.#doneTick + 1; tick <= this.#doneTick + SLOTS; tick++) {
      if (this.#slots[tick % SLOTS] !== undefined) return tick
    }
    return this.#doneTick + SLOTS
  }
}

const UNLINKED = -1

/** One deadline of one thing. Only {@link Deadlines} writes to it. */
export class Deadline {
  readonly onDue: () => void
  /** In the clock's monotonic time; infinite while it is not set. */
  dueMs: number = Number.POSITIVE_INFINITY
  tick: number = UNLINKED
  previous: Deadline | undefined
  next: Deadline | undefined

  constructor(onDue: () => void) {
    this.onDue = onDue
  }
}
