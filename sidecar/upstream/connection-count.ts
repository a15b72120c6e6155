import { partOf, type SharedCount } from './upstream-sharing.ts'

/** The connections to all endpoints of an upstream, also to those that have left it, and how many there may be. */
export class ConnectionCount {
  #most = Number.POSITIVE_INFINITY
  #open = 0
  #shared: SharedCount | undefined
  #workers = 1

  get open(): number {
    return this.#open
  }

  /** `most` counts for all workers together; without a `shared` count each of `workers` has its part of it. */
  configure(most: number, shared: SharedCount | undefined, workers: number): void {
    this.#most = shared === undefined ? partOf(most, workers) : most
    this.#workers = shared === undefined ? 1 : workers
    this.#shared = shared
    shared?.tell(this.#open)
  }

  /** Whether one more may be made. `makeRoom` closes one that nobody uses, and says whether there was any. */
  mayOpen(makeRoom: () => boolean): boolean {
    const shared = this.#shared
    if (shared === undefined) return this.#open < this.#most || makeRoom()
    // Told first: another worker that asks at the same time sees it.
    shared.tell(this.#open + 1)
    if (this.#open + 1 + shared.others() <= this.#most) return true
    shared.tell(this.#open)
    return this.#open > 0 && makeRoom()
  }

  /**
   * Whether a connection that nobody uses now may be kept. Beyond the part of this worker it may not: another one, which cannot
   * close it, may need a connection.
   */
  mayKeep(): boolean {
    return this.#workers === 1 || this.#most === Number.POSITIVE_INFINITY || this.#open <= this.#most / this.#workers
  }

  opened(): void {
    this.#open += 1
    this.#shared?.tell(this.#open)
  }

  closed(): void {
    this.#open -= 1
    this.#shared?.tell(this.#open)
  }
}
