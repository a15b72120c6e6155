/**
 * The octets of a dynamic table: what came in first goes out first, and each piece is in one stretch.
 *
 * The table evicts before it adds, so that no more than half of the ring is ever taken, and a piece that does not fit before
 * the end fits at the start.
 */
export class ByteRing {
  readonly bytes: Buffer
  #next = 0

  /** `maxBytes`: of all pieces that are in the table at once. */
  constructor(maxBytes: number) {
    this.bytes = Buffer.allocUnsafeSlow(maxBytes * 2)
  }

  /** Where the next `length` bytes go; the oldest pieces beyond `maxBytes` are gone by then. */
  place(length: number): number {
    const at = this.#next + length <= this.bytes.length ? this.#next : 0
    this.#next = at + length
    return at
  }
}

/** Up to this length a loop copies sooner than the way into the runtime and back takes. */
const SHORT_COPY = 48

/** Copies `from[start, end)` to `to` at `at`; returns where it ended. */
export function copyBytes(from: Buffer, start: number, end: number, to: Buffer, at: number): number {
  const length = end - start
  if (length > SHORT_COPY) {
    from.copy(to, at, start, end)
    return at + length
  }
  for (let index = 0; index < length; index++) to[at + index] = from[start + index]!
  return at + length
}
