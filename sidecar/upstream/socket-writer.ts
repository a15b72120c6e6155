import type { Socket } from 'node:net'
import type { Room } from '../serve/http1/room.ts'
import { holdWrites } from './held-writes.ts'

/** Bytes from which on a message is put together in memory that is used again; smaller ones cost Node next to nothing. */
const MIN_BYTES = 4_096

/** Bytes of that memory: for a TLS record (16 KiB) or for a read of 64 KiB, and a head of 4 KiB before it. */
const SIZES: readonly [number, number] = [20_480, 69_632]

/** By size; undefined until needed, and after a socket has kept what was there. Shared by all sockets of the process. */
const rooms: [Buffer | undefined, Buffer | undefined] = [undefined, undefined]

export interface SocketWriterOptions {
  /** Has small messages wait for those of other sockets (`held-writes.ts`). Default: they do not wait. */
  readonly holdsSmall?: boolean
}

/**
 * Writes to one socket without making a buffer for each part of a body: what is garbage after one write costs more than the
 * write.
 *
 * A socket that has nothing to send takes bytes at once. If it is TLS they are encrypted before `write` returns, so that they
 * may be lent. If it is not they are the kernel's, unless that has no room: then, and only then, they are kept, which shows in
 * `writableLength`, and the memory that they are in is left to the socket.
 */
export class SocketWriter implements Room {
  readonly #socket: Socket
  readonly #isSecure: boolean
  readonly #holdsSmall: boolean

  constructor(socket: Socket, { holdsSmall = false }: SocketWriterOptions = {}) {
    this.#socket = socket
    this.#holdsSmall = holdsSmall
    this.#isSecure = 'encrypted' in socket
  }

  take(length: number): Buffer {
    const [small, large] = SIZES
    if (length < MIN_BYTES) return Buffer.allocUnsafe(length)
    if (this.#holdsSmall) letGo(this.#socket)
    if (length > large || !this.#isIdle()) return Buffer.allocUnsafe(length)
    const index = length <= small ? 0 : 1
    rooms[index] ??= Buffer.allocUnsafeSlow(SIZES[index])
    return rooms[index].subarray(0, length)
  }

  /** What `take` gave just now, or what is the socket's from now on. False: wait for `drain` before writing more. */
  write(bytes: Buffer): boolean {
    const socket = this.#socket
    if (bytes.length < MIN_BYTES) {
      if (this.#holdsSmall) holdWrites(socket)
      return socket.write(bytes)
    }
    const index = indexOf(bytes)
    if (index === -1) return socket.write(bytes)
    const isTaken = this.#isSecure && this.#isIdle()
    const isFlowing = socket.write(bytes)
    if (!isTaken && socket.writableLength > 0) rooms[index] = undefined
    return isFlowing
  }

  /** Slices that are lent for the time of the call. */
  writeLent(slices: readonly Buffer[]): boolean {
    let length = 0
    for (const slice of slices) length += slice.length
    if (length >= MIN_BYTES && slices.length === 1 && this.#isSecure) {
      if (this.#holdsSmall) letGo(this.#socket)
      if (this.#isIdle()) return this.#socket.write(slices[0]!)
    }
    const bytes = this.take(length)
    let at = 0
    for (const slice of slices) at += slice.copy(bytes, at)
    return this.write(bytes)
  }

  /** What a turn had for this socket, gathered already and lent for the time of the call: it waits for nothing. */
  writeTurn(bytes: Buffer): boolean {
    const socket = this.#socket
    if (this.#isSecure && this.#isIdle()) return socket.write(bytes)
    const own = this.take(bytes.length)
    bytes.copy(own)
    return own.length < MIN_BYTES ? socket.write(own) : this.write(own)
  }

  /** Whether what is written now goes to the handle before `write` returns. */
  #isIdle(): boolean {
    const socket = this.#socket
    return socket.writableLength === 0 && socket.writableCorked === 0 && !socket.connecting
  }
}

/** What waits for the end of the turn goes out before what is too large to wait. */
function letGo(socket: Socket): void {
  if (socket.writableCorked > 0) socket.uncork()
}

/** Which of the rooms it is in; -1: none. */
function indexOf({ buffer }: Buffer): -1 | 0 | 1 {
  if (buffer === rooms[0]?.buffer) return 0
  return buffer === rooms[1]?.buffer ? 1 : -1
}
