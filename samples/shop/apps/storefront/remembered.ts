import { randomBytes } from 'node:crypto'

export interface Lifetimes {
  /** Milliseconds after the last use. */
  readonly idleMs: number
  /** Milliseconds after the first. */
  readonly totalMs: number
}

/**
 * What the server remembers about browsers, each under a random name that only that browser knows.
 *
 * Bounded: the one that was not used for longest goes first. Entries end by themselves, some time after their last use
 * and at the latest some time after their first.
 */
export class Remembered<T> {
  readonly #entries = new Map<string, { readonly value: T; readonly since: number; used: number }>()
  readonly #lifetimes: Lifetimes
  readonly #max: number
  readonly #now: () => number

  constructor(lifetimes: Lifetimes, max: number, now: () => number = Date.now) {
    this.#lifetimes = lifetimes
    this.#max = max
    this.#now = now
  }

  /** Returns the new entry's name: 256 random bits. */
  add(value: T): string {
    const name = randomBytes(32).toString('base64url')
    this.#entries.set(name, { value, since: this.#now(), used: this.#now() })
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#max) break
      this.#entries.delete(oldest)
    }
    return name
  }

  find(name: string | undefined): T | undefined {
    const entry = name === undefined ? undefined : this.#entries.get(name)
    if (!entry || name === undefined) return undefined
    const { idleMs, totalMs } = this.#lifetimes
    this.#entries.delete(name)
    if (this.#now() - entry.used >= idleMs || this.#now() - entry.since >= totalMs) return undefined
    entry.used = this.#now()
    // At the end of the map: the first entry is always the one that was not used for longest.
    this.#entries.set(name, entry)
    return entry.value
  }

  /** Removes the entry and returns it. */
  take(name: string | undefined): T | undefined {
    const value = this.find(name)
    if (name !== undefined) this.#entries.delete(name)
    return value
  }

  get size(): number {
    return this.#entries.size
  }
}
