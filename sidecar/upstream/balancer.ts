/** Something that requests can be sent to. Times are monotonic milliseconds. */
export interface Candidate {
  /** Requests that it has now. */
  readonly outstanding: number
  /** When it came among the others. */
  readonly sinceMs: number
  isAvailable(nowMs: number): boolean
  /** How long it takes to answer; 0: not known. */
  latencyMs(nowMs: number): number
}

export interface BalanceSettings {
  /** Milliseconds in which a new candidate comes to its whole share; 0: at once. */
  readonly warmUpMs: number
  /** How many times as loaded as one elsewhere a near candidate may be. */
  readonly spillOver: number
}

export const PLAIN_BALANCE: BalanceSettings = { warmUpMs: 0, spillOver: 1 }

/** Two costs that differ by less are the same: no request goes elsewhere for noise. */
const TOLERANCE = 1.25

/** Milliseconds that a request takes wherever it goes: differences far below it are noise too. */
const LEAST_MS = 2

/** Draws before the candidates are gone through one by one. */
const DRAWS = 3

/** The share of a candidate that has just come. */
const FIRST_SHARE = 0.1

/**
 * Power of two choices: of two candidates drawn at random, the one that costs less (Mitzenmacher, 2001). It follows load
 * without anyone counting all of it, and never herds. The cost is what a request would wait for: those that are before it,
 * times what the candidate takes for one.
 *
 * Candidates that are put aside are left out unless all of them are: to try one of them is better than to try none. A pick
 * makes no object.
 */
export class Balancer<C extends Candidate> {
  readonly #near: readonly C[]
  readonly #far: readonly C[]
  readonly #settings: BalanceSettings
  readonly #random: () => number

  /** `near` are preferred to `far`; where there is no difference, all are near. `random` is uniform in [0, 1). */
  constructor(near: readonly C[], far: readonly C[], settings: BalanceSettings, random: () => number) {
    this.#near = near.length === 0 ? far : near
    this.#far = near.length === 0 ? [] : far
    this.#settings = settings
    this.#random = random
  }

  /** Undefined only if there is no candidate, or no other than `except`, which is never chosen. */
  pick(nowMs: number, except?: C): C | undefined {
    const near = this.#choose(this.#near, nowMs, except)
    const far = this.#far.length === 0 ? undefined : this.#draw(this.#far, nowMs, except, undefined)
    if (near !== undefined) {
      const isSpilling =
        far !== undefined && costOf(near, far, nowMs) > this.#settings.spillOver * costOf(far, near, nowMs)
      return isSpilling ? far : near
    }
    return far ?? this.#anyBut(except)
  }

  #choose(candidates: readonly C[], nowMs: number, except: C | undefined): C | undefined {
    const { length } = candidates
    if (length < 2) return this.#draw(candidates, nowMs, except, undefined)
    const first = Math.floor(this.#random() * length)
    const second = first + 1 + Math.floor(this.#random() * (length - 1))
    let a: C | undefined = candidates[first]!
    let b: C | undefined = candidates[second < length ? second : second - length]!
    const areUsable = a !== except && b !== except && a.isAvailable(nowMs) && b.isAvailable(nowMs)
    if (!areUsable) {
      a = this.#draw(candidates, nowMs, except, undefined)
      b = a === undefined ? undefined : this.#draw(candidates, nowMs, except, a)
      if (a === undefined || b === undefined) return a
    }
    const { warmUpMs } = this.#settings
    if (warmUpMs > 0) {
      const shareOfA = shareAt(a, nowMs, warmUpMs)
      const shareOfB = shareAt(b, nowMs, warmUpMs)
      if (shareOfA < shareOfB && this.#random() >= shareOfA / shareOfB) return b
      if (shareOfB < shareOfA && this.#random() >= shareOfB / shareOfA) return a
    }
    return isBetter(b, a, nowMs) ? b : a
  }

  /** One that is available, at random. */
  #draw(candidates: readonly C[], nowMs: number, except: C | undefined, taken: C | undefined): C | undefined {
    const { length } = candidates
    let index = 0
    for (let i = 0; i < DRAWS; i++) {
      index = Math.floor(this.#random() * length)
      const drawn = candidates[index]!
      if (drawn !== except && drawn !== taken && drawn.isAvailable(nowMs)) return drawn
    }
    for (let i = 1; i <= length; i++) {
      const next = candidates[(index + i) % length]!
      if (next !== except && next !== taken && next.isAvailable(nowMs)) return next
    }
    return undefined
  }

  #anyBut(except: C | undefined): C | undefined {
    const { length } = this.#near
    const total = length + this.#far.length
    const first = Math.floor(this.#random() * total)
    for (let i = 0; i < total; i++) {
      const index = (first + i) % total
      const candidate = index < length ? this.#near[index]! : this.#far[index - length]!
      if (candidate !== except) return candidate
    }
    return undefined
  }
}

/** By its requests alone beside one of which nothing is known. */
function costOf(candidate: Candidate, other: Candidate, nowMs: number): number {
  const requests = candidate.outstanding + 1
  const ownMs = candidate.latencyMs(nowMs)
  return ownMs === 0 || other.latencyMs(nowMs) === 0 ? requests : requests * (LEAST_MS + ownMs)
}

function isBetter(b: Candidate, a: Candidate, nowMs: number): boolean {
  const ofA = a.outstanding
  const ofB = b.outstanding
  let costOfA = ofA + 1
  let costOfB = ofB + 1
  const aMs = a.latencyMs(nowMs)
  const bMs = aMs === 0 ? 0 : b.latencyMs(nowMs)
  if (bMs !== 0) {
    costOfA *= LEAST_MS + aMs
    costOfB *= LEAST_MS + bMs
  }
  if (costOfB * TOLERANCE < costOfA) return true
  if (costOfA * TOLERANCE < costOfB) return false
  return ofB < ofA
}

function shareAt({ sinceMs }: Candidate, nowMs: number, warmUpMs: number): number {
  return Math.min(1, Math.max(FIRST_SHARE, (nowMs - sinceMs) / warmUpMs))
}
