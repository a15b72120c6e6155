import type { Socket } from 'node:net'
import type { MemoryWatch } from './memory-watch.ts'
import type { SharedCount } from './sharing.ts'

/** A connection once it is known what it is for. */
export interface Served {
  /** Monotonic milliseconds since when it waits for a request; undefined while it is of use. */
  readonly idleSinceMs: number | undefined
  /** Monotonic milliseconds since when a request has been begun and is not whole; undefined at all other times. */
  readonly headSinceMs: number | undefined
  /** Ends it as soon as nothing is lost by that. */
  drain(): void
}

/** Of all connections, at most this share goes when room is needed, so that the search for them pays. */
const SHED_SHARE = 0.02

/** Connections that there may be however little memory is left. */
const MIN_CONNECTIONS = 64

/** A client's connection from the moment it was accepted. */
export class Accepted {
  readonly socket: Socket
  /** Monotonic milliseconds. */
  readonly sinceMs: number
  /** Undefined while the handshake lasts. */
  served: Served | undefined

  constructor(socket: Socket, sinceMs: number) {
    this.socket = socket
    this.sinceMs = sinceMs
  }
}

/** Every client connection of the data plane: never more than it may have, nor than there is memory for (T20, F16, F17, F18). */
export class ConnectionTable {
  readonly #entries = new Set<Accepted>()
  readonly #max: number
  readonly #memory: MemoryWatch | undefined
  readonly #shared: SharedCount | undefined
  /** How many there were when memory became tight; undefined while it is not. */
  #tightMax: number | undefined
  #whenEmpty: (() => void) | undefined

  /** `shared`: `max` is for all workers together. */
  constructor(max: number, memory?: MemoryWatch, shared?: SharedCount) {
    this.#max = max
    this.#memory = memory
    this.#shared = shared
  }

  get size(): number {
    return this.#entries.size
  }

  /**
   * Undefined: there is no room, all are busy. Else room is made by closing those that have been idle for the longest; if
   * none is idle, those that have been at their handshake or at the head of a request for the longest.
   */
  admit(socket: Socket, nowMs: number): Accepted | undefined {
    const max = this.#maxNow(nowMs)
    if (this.#total() >= max && !this.#shed(max)) return undefined
    const accepted = new Accepted(socket, nowMs)
    this.#entries.add(accepted)
    this.#shared?.tell(this.#entries.size)
    socket.once('close', () => this.#remove(accepted))
    return accepted
  }

  drain(): void {
    for (const { socket, served } of [...this.#entries]) {
      if (served === undefined) socket.destroy()
      else served.drain()
    }
  }

  destroy(): void {
    for (const { socket } of [...this.#entries]) socket.destroy()
  }

  /** Resolves when no connection is left. */
  whenEmpty(): Promise<void> {
    if (this.#entries.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#whenEmpty = resolve
    })
  }

  #remove(accepted: Accepted): void {
    this.#entries.delete(accepted)
    this.#shared?.tell(this.#entries.size)
    if (this.#entries.size === 0) this.#whenEmpty?.()
  }

  #total(): number {
    return this.#entries.size + (this.#shared?.others() ?? 0)
  }

  #maxNow(nowMs: number): number {
    const isTight = this.#memory?.isTight(nowMs) === true
    this.#tightMax = isTight ? (this.#tightMax ?? Math.max(MIN_CONNECTIONS, this.#total())) : undefined
    return Math.min(this.#max, this.#tightMax ?? this.#max)
  }

  #shed(max: number): boolean {
    const count = Math.ceil(max * SHED_SHARE)
    const idle = this.#longest(count, ({ served }) => served?.idleSinceMs)
    // Whoever is honest is done with these in no time, so the oldest of them are not.
    const accepted = ({ served, sinceMs }: Accepted) => (served === undefined ? sinceMs : served.headSinceMs)
    const victims = idle.length > 0 ? idle : this.#longest(count, accepted)
    for (const victim of victims) {
      this.#entries.delete(victim)
      victim.socket.destroy()
    }
    return victims.length > 0
  }

  /** Those of which `sinceMs` says something, the oldest first, at most `count`. */
  #longest(count: number, sinceMs: (entry: Accepted) => number | undefined): readonly Accepted[] {
    const found = [...this.#entries].filter((entry) => sinceMs(entry) !== undefined)
    found.sort((a, b) => sinceMs(a)! - sinceMs(b)!)
    return found.slice(0, count)
  }
}
