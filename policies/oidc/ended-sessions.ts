import type { FilterDeps, SharedTimes } from '../../model/filter.ts'
import type { Session } from './session.ts'

/** Logouts that one replica remembers. The oldest is forgotten first. */
export const MAX_ENDED = 20_000

/** What a provider says is over: one session of a person, or all of them. */
export interface Ended {
  readonly sid?: string
  readonly sub?: string
}

/**
 * Sessions that are over though their cookies are good: whoever keeps a copy of one is not let in by it. Each replica knows those
 * that it was told of; the workers of a pod know them together.
 */
export class EndedSessions {
  readonly #times: Times

  constructor({ sharedTimes, clock, crypto, remember }: FilterDeps, policy: string, keepMs: number) {
    this.#times =
      sharedTimes === undefined
        ? remember(`ended sessions ${policy}`, () => new OwnTimes())
        : new WorkersTimes(sharedTimes(`oidc ${crypto.sha256(policy)}`), clock.monotonic, keepMs)
  }

  /** A logout at this gateway. */
  endLogin(id: string, nowSeconds: number): void {
    this.#times.set(`id ${id}`, nowSeconds)
  }

  /** A logout at the provider. `sid` alone is that session, else it is all of `sub` until then. */
  end({ sid, sub }: Ended, nowSeconds: number): void {
    if (sid !== undefined) this.#times.set(`sid ${sid}`, nowSeconds)
    else if (sub !== undefined) this.#times.set(`sub ${sub}`, nowSeconds)
  }

  hasEnded({ id, sid, sub, iat }: Session): boolean {
    if (this.#times.get(`id ${id}`) !== undefined) return true
    if (sid !== undefined && this.#times.get(`sid ${sid}`) !== undefined) return true
    const all = this.#times.get(`sub ${sub}`)
    return all !== undefined && iat <= all
  }
}

interface Times {
  get(key: string): number | undefined
  set(key: string, seconds: number): void
}

class OwnTimes implements Times {
  readonly #times = new Map<string, number>()

  get(key: string): number | undefined {
    return this.#times.get(key)
  }

  set(key: string, seconds: number): void {
    this.#times.delete(key)
    this.#times.set(key, seconds)
    for (const oldest of this.#times.keys()) {
      if (this.#times.size <= MAX_ENDED) break
      this.#times.delete(oldest)
    }
  }
}

/** Bounded by what the workers of a pod remember together. */
class WorkersTimes implements Times {
  readonly #times: SharedTimes
  readonly #now: () => number
  readonly #keepMs: number

  constructor(times: SharedTimes, now: () => number, keepMs: number) {
    this.#times = times
    this.#now = now
    this.#keepMs = keepMs
  }

  get(key: string): number | undefined {
    return this.#times.get(key, this.#now())
  }

  set(key: string, seconds: number): void {
    const nowMs = this.#now()
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      if (this.#times.set(key, seconds, this.get(key), nowMs + this.#keepMs) !== 'moved') return
    }
  }
}

/** Another worker that says the same at the same time has said it. */
const MAX_TRIES = 3
