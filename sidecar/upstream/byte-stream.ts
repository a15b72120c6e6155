/** Bytes both ways, each direction with an end of its own: a socket, or a stream that others have agreed to use as one. */
export interface ByteStream {
  user: ByteStreamUser | undefined
  readonly isClosed: boolean
  /** Whether what arrives may be used for the time of the call only; else it is the user's. */
  readonly lends: boolean
  /** `bytes` are the stream's from now on. False: wait for `onDrain` before writing more. */
  write(bytes: Buffer): boolean
  pause(): void
  resume(): void
  /** Sends nothing more. `sent` is called when all of it has gone out. */
  end(sent?: () => void): void
  destroy(): void
}

/** Whoever reads from one. */
export interface ByteStreamUser {
  /** `bytes[0, length)` arrived. */
  onBytes(bytes: Buffer, length: number): void
  /** What was written has gone out, after `write` returned false. */
  onDrain(): void
  /** The other side sends nothing more. `onClose` follows. */
  onEnd(): void
  onClose(error: Error | undefined): void
}
