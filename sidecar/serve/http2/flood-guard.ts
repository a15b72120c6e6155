import type { FloodLimits } from './limits.ts'

/** What a peer did too much of. */
export type FloodKind =
  | 'resets'
  | 'settings'
  | 'pings'
  | 'empty-data'
  | 'window-updates'
  | 'priorities'
  | 'dribbles'
  | 'continuations'
  | 'header-bomb'
  | 'unread-answers'

/** Updates of windows that one DATA frame of ours explains. */
const UPDATES_PER_DATA = 10

/** And those that one stream does. */
const UPDATES_PER_STREAM = 2

/**
 * Counts what costs us more than it costs the peer, by windows of time. What a busy peer has reason to send is allowed in
 * proportion to what it has reason for, so that only those are found out who do it for its own sake (T18).
 *
 * Each `on...` says whether that was too much.
 */
export class FloodGuard {
  /** Monotonic, and good enough if it is the time of the last read. */
  nowMs = 0
  /** What explains other frames, in this window. */
  #streams = 0
  #sentData = 0
  #receivedData = 0
  /** And in the one before: an answer may come a little later than its reason. */
  #streamsBefore = 0
  #sentDataBefore = 0
  #receivedDataBefore = 0

  #resets = 0
  #settings = 0
  #pings = 0
  #emptyData = 0
  #windowUpdates = 0
  #priorities = 0
  #dribbles = 0
  #windowEndsMs = 0
  readonly #limits: FloodLimits

  constructor(limits: FloodLimits) {
    this.#limits = limits
  }

  onStream(): void {
    this.#streams += 1
  }

  onDataSent(): void {
    this.#sentData += 1
  }

  onDataReceived(): void {
    this.#receivedData += 1
  }

  /** By the peer, or by us because of what it sent (CVE-2023-44487, CVE-2019-9514, CVE-2025-8671). */
  onReset(openedMs: number): boolean {
    this.#turn()
    const { maxResets, resetsPerStream, prematureMs } = this.#limits
    if (this.nowMs - openedMs >= prematureMs) return false
    return ++this.#resets > maxResets + resetsPerStream * (this.#streams + this.#streamsBefore)
  }

  /** CVE-2019-9515. */
  onSettings(): boolean {
    this.#turn()
    return ++this.#settings > this.#limits.maxSettings
  }

  /** CVE-2019-9512. */
  onPing(): boolean {
    this.#turn()
    const data = this.#sentData + this.#sentDataBefore + this.#receivedData + this.#receivedDataBefore
    return ++this.#pings > this.#limits.maxPings + data
  }

  /** CVE-2019-9518. */
  onEmptyData(): boolean {
    this.#turn()
    return ++this.#emptyData > this.#limits.maxEmptyData
  }

  onWindowUpdate(): boolean {
    this.#turn()
    const explained =
      UPDATES_PER_DATA * (this.#sentData + this.#sentDataBefore) +
      UPDATES_PER_STREAM * (this.#streams + this.#streamsBefore)
    return ++this.#windowUpdates > this.#limits.maxWindowUpdates + explained
  }

  /** CVE-2019-9513. */
  onPriority(): boolean {
    this.#turn()
    return ++this.#priorities > this.#limits.maxPriorities * (1 + this.#streams + this.#streamsBefore)
  }

  /** CVE-2019-9511. */
  onDribble(): boolean {
    this.#turn()
    return ++this.#dribbles > this.#limits.maxDribbles
  }

  #turn(): void {
    if (this.nowMs < this.#windowEndsMs) return
    const isNext = this.nowMs < this.#windowEndsMs + this.#limits.windowMs
    this.#streamsBefore = isNext ? this.#streams : 0
    this.#sentDataBefore = isNext ? this.#sentData : 0
    this.#receivedDataBefore = isNext ? this.#receivedData : 0
    this.#streams = 0
    this.#sentData = 0
    this.#receivedData = 0
    this.#resets = 0
    this.#settings = 0
    this.#pings = 0
    this.#emptyData = 0
    this.#windowUpdates = 0
    this.#priorities = 0
    this.#dribbles = 0
    this.#windowEndsMs = this.nowMs + this.#limits.windowMs
  }
}
