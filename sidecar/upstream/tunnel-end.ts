/** One end of a tunnel: bytes both ways, each direction with an end of its own. */
export interface TunnelEnd {
  user: TunnelEndUser | undefined
  readonly isClosed: boolean
  /** Bytes both ways: by them it is seen whether anything passes. */
  readonly bytesPassed: number
  /** `bytes` are the end's from now on. False: wait for `onEndDrain` before writing more. */
  write(bytes: Buffer): boolean
  pause(): void
  resume(): void
  /** Sends nothing more. `sent` is called when all of it has gone out. */
  end(sent?: () => void): void
  destroy(): void
}

/** Whoever reads from an end. */
export interface TunnelEndUser {
  /** `bytes[0, length)` arrived; they are lent for the time of the call. */
  onEndData(bytes: Buffer, length: number): void
  onEndDrain(): void
  /** The other side sends nothing more. `onEndClose` follows. */
  onEndEnd(): void
  onEndClose(error: Error | undefined): void
}
