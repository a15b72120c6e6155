import type { Socket } from 'node:net'
import type { MeshAlpn } from '../../contract/alpn.ts'
import type { ByteStream, ByteStreamUser } from './byte-stream.ts'
import type { Connected } from './connect.ts'
import type { Deadline } from './deadlines.ts'
import { holdWrites } from './held-writes.ts'
import type { Http1Stream } from './http1-stream.ts'
import { SocketWriter } from './socket-writer.ts'

/** The pool that a connection belongs to. */
export interface ConnectionOwner {
  onIdleData(connection: UpstreamConnection): void
  onClosed(connection: UpstreamConnection): void
}

/** One connection to an endpoint: bytes only, what they mean is its user's concern. */
export class UpstreamConnection implements ByteStream {
  user: ByteStreamUser | undefined
  readonly lends = true
  /** Requests that it was given out for. */
  uses = 0
  /** In monotonic time: from then on it takes no new request. */
  readonly retireAtMs: number
  readonly peerSpiffeId: string | undefined
  /** What was agreed upon with another sidecar. */
  readonly alpn: MeshAlpn | undefined
  /** While it is idle. */
  idleDeadline: Deadline | undefined
  isClosed = false
  /** What requests on it are made with, one after the other. A tunnel has none. */
  http1: Http1Stream | undefined
  /** For whoever writes message after message. */
  readonly writer: SocketWriter
  readonly #socket: Socket
  readonly #owner: ConnectionOwner
  #error: Error | undefined

  constructor({ socket, peer, alpn }: Connected, retireAtMs: number, owner: ConnectionOwner) {
    this.#socket = socket
    this.writer = new SocketWriter(socket, { holdsSmall: true })
    this.#owner = owner
    this.retireAtMs = retireAtMs
    this.peerSpiffeId = peer?.spiffeId
    this.alpn = alpn
    socket.on('error', (error: Error) => {
      this.#error = error
    })
    socket.on('end', () => {
      this.user?.onEnd()
      if (this.user === undefined) this.destroy()
    })
    socket.on('drain', () => this.user?.onDrain())
    socket.on('close', () => this.#onClose())
  }

  onRead(length: number, lent: Buffer): void {
    const { user } = this
    if (user === undefined) this.#owner.onIdleData(this)
    else user.onBytes(lent, length)
  }

  write(bytes: Buffer): boolean {
    holdWrites(this.#socket)
    return this.#socket.write(bytes)
  }

  /** For whoever has gathered the writes of a turn already. `bytes` are lent. */
  writeTurn(bytes: Buffer): boolean {
    return this.writer.writeTurn(bytes)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(sent?: () => void): void {
    this.#socket.end(sent)
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
    user?.onClose(this.#error)
  }
}
