/** Bytes of a section beyond which it is not remembered. */
export const MAX_KNOWN_BYTES = 2_048

/**
 * The field section that came last on a connection, and what it was read as. Callers say the same again and again: a call of
 * the same method with the same token is the same octets, and means the same for as long as the table that they point into is
 * what it was.
 */
export class KnownSection<T> {
  #value: T | undefined
  #bytes: Buffer = NOTHING
  #length = 0
  #generation = 0
  #context = 0

  /** `generation` is that of the decoder's table; `context` is whatever else the meaning hangs on. */
  find(bytes: Buffer, start: number, end: number, generation: number, context: number): T | undefined {
    const length = end - start
    const isKnown =
      length === this.#length &&
      generation === this.#generation &&
      context === this.#context &&
      this.#bytes.compare(bytes, start, end, 0, length) === 0
    return isKnown ? this.#value : undefined
  }

  /** For a section that left the table as it was. */
  remember(bytes: Buffer, start: number, end: number, generation: number, context: number, value: T): void {
    const length = end - start
    if (length > MAX_KNOWN_BYTES) return
    if (length > this.#bytes.length) this.#bytes = Buffer.allocUnsafeSlow(roomFor(length))
    bytes.copy(this.#bytes, 0, start, end)
    this.#length = length
    this.#generation = generation
    this.#context = context
    this.#value = value
  }
}

const NOTHING = Buffer.alloc(0)

/** In steps, so that sections that grow a little need no new memory. */
function roomFor(length: number): number {
  return Math.ceil(length / 256) * 256
}
