import type { CancelTimer, Clock } from '../../runtime/clock.ts'
import type { MemoryWatch } from './memory-watch.ts'
import type { SharedCount } from './sharing.ts'

/** How often the event loop is asked how late it is, in milliseconds, and only while requests are in flight. */
const PROBE_MS = 100

/**
 * Milliseconds for which every look has to find it late before anybody is refused. After a pause what waited is served, and
 * nothing is wrong; and on a node that others keep busy it may be late for a second or two, and to refuse would take nothing
 * off it.
 */
const LATE_FOR_MS = 3_000

/** What is left of the share that is let in, each time that it is late again. */
const FEWER = 0.7

/** By how much of all the share grows, each time that it is not. */
const MORE = 0.1

/**
 * The share that is let in however late it is. A refusal costs up to four tenths of an answer, and who is refused asks again: if more
 * were refused, less than 80 % of what could be answered would be. Beyond it they wait unread, as many as there may be connections.
 */
const LEAST_SHARE = 0.6

/** Requests that may be in flight however little memory is left: they end, and what they hold is given back. */
export const MIN_IN_FLIGHT = 16

/** How much there is to do, and whether it is too much. */
export interface Load {
  readonly inFlight: number
  /** False: there is no room; nothing was counted. */
  enter(): boolean
  leave(): void
  stop(): void
}

/**
 * Counts requests in flight, and watches how late the event loop runs timers, and how much memory is left, while there are
 * any: an idle process has no timer, a busy one ten a second. `shared`: `maxInFlight` is for all workers together.
 *
 * Where it stays late, the share of the requests that is let in shrinks until it is not, and grows again (ADR 65): to refuse all
 * until the next look would swing between too much and nothing.
 */
export function createLoad(
  clock: Clock,
  { maxInFlight, maxLagMs }: { readonly maxInFlight: number; readonly maxLagMs: number },
  memory?: MemoryWatch,
  shared?: SharedCount,
): Load {
  let inFlight = 0
  /** Of the first of the looks in a row that found it late; undefined: the last one did not. */
  let lateSinceMs: number | undefined
  /** Of the requests that come, how many are let in; what is left over of the last one counts for the next. */
  let share = 1
  let due = 0
  let isTight = false
  let wasBusy = false
  let dueMs = 0
  let cancel: CancelTimer | undefined

  const probe = () => {
    const nowMs = clock.monotonic()
    lateSinceMs = nowMs - dueMs > maxLagMs ? (lateSinceMs ?? nowMs) : undefined
    if (lateSinceMs === undefined) share = Math.min(1, share + MORE)
    else if (nowMs - lateSinceMs >= LATE_FOR_MS) share = Math.max(LEAST_SHARE, share * FEWER)
    isTight = memory?.isTight(nowMs) === true
    cancel = undefined
    if (inFlight > 0 || wasBusy) arm()
    else rest()
    wasBusy = false
  }
  const rest = () => {
    lateSinceMs = undefined
    share = 1
    isTight = false
  }
  /** Spread evenly over those that come. */
  const isDue = () => {
    if (share === 1) return true
    due += share
    if (due < 1) return false
    due -= 1
    return true
  }
  const arm = () => {
    dueMs = clock.monotonic() + PROBE_MS
    cancel = clock.setTimer(PROBE_MS, probe, { keepAlive: false })
  }

  return {
    get inFlight() {
      return inFlight
    },
    enter() {
      const total = shared === undefined ? inFlight : inFlight + shared.others()
      // Whoever is refused keeps it busy too.
      wasBusy = true
      if (cancel === undefined) arm()
      if (total >= maxInFlight || (isTight && inFlight >= MIN_IN_FLIGHT) || !isDue()) return false
      inFlight += 1
      shared?.tell(inFlight)
      return true
    },
    leave() {
      inFlight -= 1
      shared?.tell(inFlight)
    },
    stop() {
      cancel?.()
      cancel = undefined
    },
  }
}
