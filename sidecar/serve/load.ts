import type { CancelTimer, Clock } from '../../runtime/clock.ts'
import type { MemoryWatch } from './memory-watch.ts'
import type { SharedCount } from './sharing.ts'

/** How often the event loop is asked how late it is, in milliseconds, and only while requests are in flight. */
const PROBE_MS = 100

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
 */
export function createLoad(
  clock: Clock,
  { maxInFlight, maxLagMs }: { readonly maxInFlight: number; readonly maxLagMs: number },
  memory?: MemoryWatch,
  shared?: SharedCount,
): Load {
  let inFlight = 0
  let isLate = false
  let isTight = false
  let wasBusy = false
  let dueMs = 0
  let cancel: CancelTimer | undefined

  const probe = () => {
    const nowMs = clock.monotonic()
    isLate = nowMs - dueMs > maxLagMs
    isTight = memory?.isTight(nowMs) === true
    cancel = undefined
    if (inFlight > 0 || wasBusy) arm()
    else isLate = isTight = false
    wasBusy = false
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
      if (total >= maxInFlight || isLate || (isTight && inFlight >= MIN_IN_FLIGHT)) return false
      inFlight += 1
      shared?.tell(inFlight)
      wasBusy = true
      if (cancel === undefined) arm()
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
