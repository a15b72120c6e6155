import type { Socket } from 'node:net'

/** A connection once it is known what it is for. */
export interface Served {
  /** Monotonic milliseconds since when it waits for a request; undefined while it is of use. */
  readonly idleSinceMs: number | undefined
  /** Ends it as soon as nothing is lost by that. */
  drain(): void
}

/** Of the idle connections, this share goes when room is needed, so that the search for them pays. */
const SHED_SHARE = 0.02

/** A client's connection from the moment it was accepted. */
export class Accepted {
  readonly socket: Socket
  /** Undefined while the handshake lasts. */
  served: Served | undefined

  constructor(socket: Socket) {
    this.socket = socket
  }
}

/** Every client connection of the data plane: never more than it may have (T20, F16, F17). */
export class ConnectionTable {
  readonly #entries = new Set<Accepted>()
  readonly #max: number
  #whenEmpty: (() => void) | undefined

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#entries.size
  }

  /** Undefined: there is no room, all are busy. Else room is made by closing those that have been idle for the longest. */
  admit(socket: Socket): Accepted | undefined {
    if (this.#entries.size >= this.#max && !this.#shed()) return undefined
    const accepted = new Accepted(socket)
    this.#entries.add(accepted)
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
    if (this.#entries.size === 0) this.#whenEmpty?.()
  }

  #shed(): boolean {
    const idle = [...this.#entries].filter(({ served }) => served?.idleSinceMs !== undefined)
    idle.sort((a, b) => a.served!.idleSinceMs! - b.served!.idleSinceMs!)
    const victims = idle.slice(0, Math.ceil(this.#max * SHED_SHARE))
    for (const victim of victims) {
      this.#entries.delete(victim)
      victim.socket.destroy()
    }
    return victims.length > 0
  }
}
