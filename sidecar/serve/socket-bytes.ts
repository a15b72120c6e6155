import type { Socket } from 'node:net'
import type { ByteStream, ByteStreamUser } from '../upstream/byte-stream.ts'

/** A client's socket of which nothing but its bytes is of interest any more. Whoever else listened to it does not now. */
export class SocketBytes implements ByteStream {
  user: ByteStreamUser | undefined
  readonly lends = false
  readonly #socket: Socket
  #error: Error | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.user?.onBytes(chunk, chunk.length))
    socket.on('drain', () => this.user?.onDrain())
    socket.on('end', () => this.user?.onEnd())
    socket.on('error', (error: Error) => {
      this.#error = error
    })
    socket.on('close', () => this.user?.onClose(this.#error))
  }

  get isClosed(): boolean {
    return this.#socket.destroyed
  }

  write(bytes: Buffer): boolean {
    return this.#socket.write(bytes)
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
}
