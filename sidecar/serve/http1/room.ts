/** Where a message is put together. */
export interface Room {
  /** For one message, to be written at once: what is given next may be the same memory. */
  take(length: number): Buffer
}

/** Memory that nobody uses again. */
export const OWN_ROOM: Room = Object.freeze({ take: (length: number) => Buffer.allocUnsafe(length) })
