import type { Socket } from 'node:net'
import { ResponseHeadParser } from '../serve/http1/response-head.ts'
import type { Connected } from './connect.ts'
import type { Deadline } from './deadlines.ts'
import { holdWrites } from './held-writes.ts'

/** Whoever has a connection for the time of one request. */
export interface UpstreamUser {
  /** `bytes[0, length)` arrived; they are lent for the time of the call. */
  onUpstreamData(bytes: Buffer, length: number): void
  /** The upstream sends nothing more. `onUpstreamClose` follows. */
  onUpstreamEnd(): void
  onUpstreamClose(error: Error | undefined): void
  /** What was written has gone out, after `write` returned false. */
  onUpstreamDrain(): void
}

/** The pool that a connection belongs to. */
export interface ConnectionOwner {
  onIdleData(connection: UpstreamConnection): void
  onClosed(connection: UpstreamConnection): void
}

/** One connection to an endpoint: bytes only, what they mean is its user's concern. */
export class UpstreamConnection {
  user: UpstreamUser | undefined
  /** Requests that it was given out for. */
  uses = 0
  /** In monotonic time: from then on it takes no new request. */
  readonly retireAtMs: number
  readonly peerSpiffeId: string | undefined
  /** While it is idle. */
  idleDeadline: Deadline | undefined
  isClosed = false
  #parser: ResponseHeadParser | undefined
  readonly #socket: Socket
  readonly #owner: ConnectionOwner
  #error: Error | undefined

  constructor({ socket, peer }: Connected, retireAtMs: number, owner: ConnectionOwner) {
    this.#socket = socket
    this.#owner = owner
    this.retireAtMs = retireAtMs
    this.peerSpiffeId = peer?.spiffeId
    socket.on('error', (error: Error) => {
      this.#error = error
    })
    socket.on('end', () => {
      this.user?.onUpstreamEnd()
      if (this.user === undefined) this.destroy()
    })
    socket.on('drain', () => this.user?.onUpstreamDrain())
    socket.on('close', () => this.#onClose())
  }

  /** Of this connection's responses. A tunnel has none. */
  get parser(): ResponseHeadParser {
    this.#parser ??= new ResponseHeadParser()
    return this.#parser
  }

  onRead(length: number, lent: Buffer): void {
    const { user } = this
    if (user === undefined) this.#owner.onIdleData(this)
    else user.onUpstreamData(lent, length)
  }

  /** False: wait for `onUpstreamDrain` before writing more. */
  write(bytes: Buffer): boolean {
    holdWrites(this.#socket)
    return this.#socket.write(bytes)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Sends nothing more. */
  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #onClose(): void {
    if (this.isClosed) return
    this.isClosed = true
    const { user } = this
    this.user = undefined
    this.#owner.onClosed(this)
    user?.onUpstreamClose(this.#error)
  }
}
