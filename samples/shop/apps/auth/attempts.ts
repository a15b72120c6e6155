/** Names and addresses remembered at once, each. The oldest is forgotten first. */
const MAX_REMEMBERED = 10_000

const WINDOW_MS = 60_000
/** Wrong passwords for one user from one address in a minute. */
const PER_USER_AND_ADDRESS = 5
/** Wrong passwords from one address in a minute, whoever they are for. */
const PER_ADDRESS = 30

/**
 * Bounds how fast passwords can be guessed.
 *
 * An attempt is counted when it begins (a hundred guesses at once are a hundred) and forgiven when the password was
 * right. The count is for user *and* address, so that nobody can lock another person out.
 */
export class LoginAttempts {
  readonly #perUser: Window
  readonly #perAddress: Window

  constructor(now: () => number = Date.now, maxRemembered: number = MAX_REMEMBERED) {
    this.#perUser = new Window(PER_USER_AND_ADDRESS, now, maxRemembered)
    this.#perAddress = new Window(PER_ADDRESS, now, maxRemembered)
  }

  /** Counts an attempt. Returns 0 when it may go on, otherwise the seconds to wait. */
  begin(user: string, address: string): number {
    const wait = Math.max(this.#perAddress.wait(address), this.#perUser.wait(`${address} ${user}`))
    if (wait > 0) return Math.ceil(wait / 1000)
    this.#perAddress.add(address, 1)
    this.#perUser.add(`${address} ${user}`, 1)
    return 0
  }

  /** Takes an attempt back: the password was right. */
  forgive(user: string, address: string): void {
    this.#perAddress.add(address, -1)
    this.#perUser.add(`${address} ${user}`, -1)
  }

  /** How many names are remembered, for the bound's test. */
  get remembered(): number {
    return this.#perUser.size
  }
}

/** Counts by key in windows of a minute that begin with the first event. */
class Window {
  readonly #limit: number
  readonly #now: () => number
  readonly #max: number
  readonly #counts = new Map<string, { count: number; until: number }>()

  constructor(limit: number, now: () => number, max: number) {
    this.#limit = limit
    this.#now = now
    this.#max = max
  }

  /** Milliseconds until the key may go on; 0 = now. */
  wait(key: string): number {
    const entry = this.#counts.get(key)
    if (!entry || entry.count < this.#limit) return 0
    return Math.max(0, entry.until - this.#now())
  }

  add(key: string, change: 1 | -1): void {
    const entry = this.#counts.get(key)
    if (entry && entry.until > this.#now()) {
      entry.count = Math.max(0, entry.count + change)
      return
    }
    if (change < 0) return
    this.#counts.delete(key)
    this.#counts.set(key, { count: 1, until: this.#now() + WINDOW_MS })
    for (const oldest of this.#counts.keys()) {
      if (this.#counts.size <= this.#max) break
      this.#counts.delete(oldest)
    }
  }

  get size(): number {
    return this.#counts.size
  }
}
