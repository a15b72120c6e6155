import type { RetryCondition } from '../../contract/traffic.ts'
import type { UpstreamFailure } from '../upstream/upstream-stream.ts'
import type { Retry } from './delivery.ts'

/** Doublings of a pause that are counted: beyond them any pause is the longest. */
const MAX_DOUBLINGS = 16

/** What the tries of one request have come to, where it may be tried again by policy. */
export class Tries {
  readonly #retry: Retry
  readonly #method: string
  /** Tries after the first one. */
  #made = 0
  #body: Buffer[] = []
  #bodyBytes = 0
  #isBodyLost = false

  constructor(retry: Retry, method: string) {
    this.#retry = retry
    this.#method = method
  }

  /** Tries after the first one that were made. */
  get made(): number {
    return this.#made
  }

  /** Whether any may be made at all. */
  get isOff(): boolean {
    return this.#retry.attempts === 0
  }

  /** Whether a try could send again all that was sent so far. */
  get canRepeatBody(): boolean {
    return !this.#isBodyLost
  }

  /** What was sent of the body so far. */
  get body(): readonly Buffer[] {
    return this.#body
  }

  /** Keeps what is sent of the body; nothing of it is kept where that would be too much. `slices` are lent. */
  keep(slices: readonly Buffer[], hasTrailers: boolean): void {
    if (this.#isBodyLost || (slices.length === 0 && !hasTrailers)) return
    for (const slice of slices) this.#bodyBytes += slice.length
    const isTooMuch = this.#bodyBytes > this.#retry.maxBodyBytes
    if (isTooMuch || hasTrailers || this.#made >= this.#retry.attempts) {
      this.#isBodyLost = true
      this.#body = []
      return
    }
    for (const slice of slices) this.#body.push(Buffer.from(slice))
  }

  /** Whether another try may follow what the last one ended as: a condition, or a status. The budget is not asked here. */
  mayFollow(event: RetryCondition | number, request: UpstreamFailure['request'], hasSentBody: boolean): boolean {
    const { attempts, on, statuses, methods } = this.#retry
    if (this.#made >= attempts) return false
    if (typeof event === 'number' ? !statuses.has(event) : !on.has(event)) return false
    if (request !== 'unseen' && !methods.has(this.#method)) return false
    return !hasSentBody || !this.#isBodyLost
  }

  /** Counts one more try and says how long to wait before it. `random` is uniform in [0, 1). */
  next(random: () => number): number {
    const { backoffMs, maxBackoffMs } = this.#retry
    const mostMs = Math.min(maxBackoffMs, backoffMs * 2 ** Math.min(this.#made, MAX_DOUBLINGS))
    this.#made += 1
    return mostMs / 2 + (random() * mostMs) / 2
  }
}
