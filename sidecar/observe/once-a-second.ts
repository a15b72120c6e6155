import type { CancelTimer, Clock } from '../../runtime/clock.ts'

/** Milliseconds between two lines of one reason. */
export const QUIET_MS = 1_000

/** Reasons told apart at once; those beyond share one place, so that nobody fills the log by making up new ones. */
export const MAX_REASONS = 256

/** Is told a line, how many it stands for, and of which reason. */
export type Tell<Line> = (line: Line, standsFor: number, reason: string) => void

/** A reason that was told, and what came of it since. */
interface Told<Line> {
  atMs: number
  /** How many were left out since the last line, and the newest of them. */
  left: number
  newest: Line | undefined
}

/**
 * Tells of each reason at most once a second, however often it comes up: what an attacker makes happen must not cost a
 * line each time. The first is told at once; of those that follow within the second the newest is told at its end, with
 * how many it stands for. Nothing is lost but detail: metrics count each one.
 */
export class OnceASecond<Line> {
  readonly #clock: Clock
  readonly #tell: Tell<Line>
  readonly #told = new Map<string, Told<Line>>()
  #cancel: CancelTimer | undefined

  constructor(clock: Clock, tell: Tell<Line>) {
    this.#clock = clock
    this.#tell = tell
  }

  /** Reasons that are remembered now: those of the last second or two. */
  get size(): number {
    return this.#told.size
  }

  /** `standsFor`: how many lines it is already, where another one of these has thinned them. */
  add(reason: string, line: Line, standsFor = 1): void {
    const key = this.#told.has(reason) || this.#told.size < MAX_REASONS ? reason : OTHERS
    const known = this.#told.get(key)
    if (known !== undefined) {
      known.left += standsFor
      known.newest = line
      return
    }
    this.#told.set(key, { atMs: this.#clock.monotonic(), left: 0, newest: undefined })
    this.#tell(line, standsFor, key)
    this.#arm()
  }

  /** Tells of what was left out so far: at the end of the process. */
  flush(): void {
    this.#cancel?.()
    this.#cancel = undefined
    for (const [reason, told] of this.#told) this.#tellNewest(told, reason)
    this.#told.clear()
  }

  #arm(): void {
    this.#cancel ??= this.#clock.setTimer(QUIET_MS, () => this.#turn(), { keepAlive: false })
  }

  #turn(): void {
    this.#cancel = undefined
    const nowMs = this.#clock.monotonic()
    for (const [reason, told] of this.#told) {
      if (nowMs - told.atMs < QUIET_MS) continue
      if (!this.#tellNewest(told, reason)) this.#told.delete(reason)
      else told.atMs = nowMs
    }
    if (this.#told.size > 0) this.#arm()
  }

  #tellNewest(told: Told<Line>, reason: string): boolean {
    const { newest, left } = told
    if (newest === undefined) return false
    told.newest = undefined
    told.left = 0
    this.#tell(newest, left, reason)
    return true
  }
}

/** The place of all reasons beyond {@link MAX_REASONS}. No reason is empty. */
const OTHERS = ''
