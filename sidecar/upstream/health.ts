/** When an endpoint is put aside, and for how long. */
export interface EjectionSettings {
  /** Tries in a row that no response came of; 0: they do not count. */
  readonly failures: number
  /** Responses 5xx in a row; 0: they do not count. */
  readonly serverErrors: number
  /** The first time; it doubles each time that the endpoint comes back and fails again. */
  readonly ejectionMs: number
  readonly maxEjectionMs: number
}

/** Where nobody says otherwise: only what cannot be reached is put aside, and soon tried again. */
export const DEFAULT_EJECTION: EjectionSettings = {
  failures: 3,
  serverErrors: 0,
  ejectionMs: 2_000,
  maxEjectionMs: 60_000,
}

/** Milliseconds that one try of an endpoint which comes back may take, before another one is made. */
const TRIAL_MS = 3_000

/** Doublings that are counted: beyond them any time is the longest. */
const MAX_DOUBLINGS = 16

/**
 * What the requests themselves tell of an endpoint: one that failed several times in a row gets none for a while.
 *
 * When the time is over a single failure puts it aside again, for twice as long, until it has answered well; that it was ever
 * put aside is forgotten when it has been well for as long as it was away.
 */
export class PassiveHealth {
  #settings: EjectionSettings
  /** Whether one more of its upstream's endpoints may be put aside. */
  #mayEject: (nowMs: number) => boolean
  #onEjected: () => void = () => {}
  #failures = 0
  #serverErrors = 0
  #ejections = 0
  #ejectedUntilMs = 0
  #ejectedForMs = 0
  #isOnTrial = false
  #trialUntilMs = Number.NEGATIVE_INFINITY

  constructor(settings: EjectionSettings = DEFAULT_EJECTION, mayEject: (nowMs: number) => boolean = () => true) {
    this.#settings = settings
    this.#mayEject = mayEject
  }

  /** What was seen so far stays. `onEjected` is called each time that it is put aside. */
  configure(settings: EjectionSettings, mayEject: (nowMs: number) => boolean, onEjected: () => void = () => {}): void {
    this.#settings = settings
    this.#mayEject = mayEject
    this.#onEjected = onEjected
  }

  isAvailable(nowMs: number): boolean {
    return !this.#isAside(nowMs) && !(this.#isOnTrial && nowMs < this.#trialUntilMs)
  }

  /** It is asked now. Where it has just come back, nobody else asks before it is known what came of that. */
  ask(nowMs: number): void {
    if (this.#isOnTrial) this.#trialUntilMs = nowMs + TRIAL_MS
  }

  /** It answered, and well. All times are monotonic. */
  succeed(nowMs: number): void {
    this.#failures = 0
    this.#serverErrors = 0
    if (this.#ejections === 0 || this.#isAside(nowMs)) return
    this.#isOnTrial = false
    if (nowMs - this.#ejectedUntilMs >= this.#ejectedForMs) this.#ejections = 0
  }

  /** It answered 5xx: it is there, and that is all. */
  failToServe(nowMs: number): void {
    this.#failures = 0
    const { serverErrors } = this.#settings
    if (serverErrors === 0) {
      this.#isOnTrial = false
      return
    }
    this.#serverErrors += 1
    if (this.#serverErrors >= serverErrors || this.#isOnTrial) this.#eject(nowMs)
  }

  /** It could not be connected to, broke off or did not answer in time. */
  fail(nowMs: number): void {
    const { failures } = this.#settings
    if (failures === 0) return
    this.#failures += 1
    if (this.#failures >= failures || this.#isOnTrial) this.#eject(nowMs)
  }

  #isAside(nowMs: number): boolean {
    return this.#ejectedUntilMs > nowMs
  }

  #eject(nowMs: number): void {
    // What was under way when it was put aside says nothing new.
    if (this.#isAside(nowMs) || !this.#mayEject(nowMs)) return
    const { ejectionMs, maxEjectionMs } = this.#settings
    this.#ejectedForMs = Math.min(maxEjectionMs, ejectionMs * 2 ** Math.min(this.#ejections, MAX_DOUBLINGS))
    this.#ejectedUntilMs = nowMs + this.#ejectedForMs
    this.#ejections += 1
    this.#failures = 0
    this.#serverErrors = 0
    this.#isOnTrial = true
    this.#onEjected()
  }
}

/**
 * Whether one more of `members` may be put aside: at most `maxPercent` of them are, at least one may be where there are two,
 * and the last never is.
 */
export function mayEjectOneMore(
  members: readonly { isAvailable(nowMs: number): boolean }[],
  maxPercent: number,
  nowMs: number,
): boolean {
  let aside = 0
  for (const member of members) if (!member.isAvailable(nowMs)) aside += 1
  const most = Math.max(1, Math.floor((members.length * maxPercent) / 100))
  return aside < Math.min(most, members.length - 1)
}
