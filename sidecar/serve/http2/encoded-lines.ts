import { copyBytes } from './byte-ring.ts'

/** Bytes of an encoding beyond which it is not kept. */
export const MAX_KEPT_BYTES = 2_048

/**
 * What the same lines were encoded as the last time: heads that are known again are the same object, and their lines are the same
 * octets for as long as the encoder's table is what it was.
 */
export class EncodedLines {
  #lines: object | undefined
  #filter: object | undefined
  #generation = -1
  #bytes: Buffer | undefined

  /** Writes them into `out` at `at`; returns where they end, or -1 when they are not known. */
  write(lines: object, filter: object | undefined, generation: number, out: Buffer, at: number): number {
    const bytes = this.#bytes
    if (lines !== this.#lines || filter !== this.#filter || generation !== this.#generation || bytes === undefined)
      return -1
    return copyBytes(bytes, 0, bytes.length, out, at)
  }

  /** They were encoded as `out[start, end)`. Kept from the second time on: most lines never come again. */
  keep(lines: object, filter: object | undefined, generation: number, out: Buffer, start: number, end: number): void {
    const isSecond = lines === this.#lines && filter === this.#filter && generation === this.#generation
    this.#lines = lines
    this.#filter = filter
    this.#generation = generation
    this.#bytes = isSecond && end - start <= MAX_KEPT_BYTES ? Buffer.from(out.subarray(start, end)) : undefined
  }
}
