/** What of the requests may be tried again. */
export interface RetryBudgetSettings {
  readonly percent: number
  /** However few requests there are. */
  readonly minPerSecond: number
}

export const DEFAULT_RETRY_BUDGET: RetryBudgetSettings = { percent: 20, minPerSecond: 3 }

/** Milliseconds that requests are remembered, at least: one window and what of the one before is not over. */
const WINDOW_MS = 10_000

/**
 * How many retries an upstream gets: a share of its requests, so that an upstream that fails is asked a little more and not
 * several times as much.
 *
 * Two counters for each of two windows, the former one weighed by what of it is still in the last ten seconds.
 */
export class RetryBudget {
  #settings: RetryBudgetSettings
  /** Of workers that each keep a budget: what is said of a second they share. */
  readonly #workers: number
  #windowAtMs = Number.NEGATIVE_INFINITY
  #requests = 0
  #retries = 0
  #formerRequests = 0
  #formerRetries = 0

  constructor(settings: RetryBudgetSettings = DEFAULT_RETRY_BUDGET, workers = 1) {
    this.#settings = settings
    this.#workers = workers
  }

  /** What was counted so far stays. */
  configure(settings: RetryBudgetSettings): void {
    this.#settings = settings
  }

  /** A request, by its first try. `nowMs` is monotonic. */
  request(nowMs: number): void {
    this.#turn(nowMs)
    this.#requests += 1
  }

  /** Whether one more retry is within the budget; it is spent then. */
  take(nowMs: number): boolean {
    this.#turn(nowMs)
    const former = 1 - (nowMs - this.#windowAtMs) / WINDOW_MS
    const requests = this.#requests + this.#formerRequests * former
    const retries = this.#retries + this.#formerRetries * former
    const { percent, minPerSecond } = this.#settings
    const most = (requests * percent) / 100 + (minPerSecond * WINDOW_MS) / 1_000 / this.#workers
    if (retries + 1 > most) return false
    this.#retries += 1
    return true
  }

  #turn(nowMs: number): void {
    const passedMs = nowMs - this.#windowAtMs
    if (passedMs < WINDOW_MS) return
    const isNext = passedMs < 2 * WINDOW_MS
    this.#formerRequests = isNext ? this.#requests : 0
    this.#formerRetries = isNext ? this.#retries : 0
    this.#requests = 0
    this.#retries = 0
    this.#windowAtMs = isNext ? this.#windowAtMs + WINDOW_MS : nowMs
  }
}
