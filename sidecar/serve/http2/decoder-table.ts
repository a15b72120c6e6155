import { ByteRing, copyBytes } from './byte-ring.ts'
import { type FieldName, TableField } from './table-field.ts'

/** Bytes of a dynamic table as RFC 7541, 4.1 counts them: the default of SETTINGS_HEADER_TABLE_SIZE, both ways. */
export const TABLE_BYTES = 4_096

/** What each entry counts beside its octets. */
export const ENTRY_OVERHEAD = 32

const MAX_ENTRIES = TABLE_BYTES / ENTRY_OVERHEAD

/** A line has four octets beside name and value. */
const LINE_OVERHEAD = 4

/** The dynamic table of a decoder. It takes memory from its first entry on. */
export class DecoderTable {
  /** By insertion, around and around. */
  readonly #entries: (TableField | undefined)[] = []
  #ring: ByteRing | undefined
  #inserted = 0
  #count = 0
  #bytes = 0
  #maxBytes = TABLE_BYTES

  get count(): number {
    return this.#count
  }

  /** As RFC 7541 counts. */
  get bytes(): number {
    return this.#bytes
  }

  /** Changes with whatever changes what an index means. */
  generation = 0

  /** From 0, the newest first. */
  at(index: number): TableField | undefined {
    if (index >= this.#count) return undefined
    return this.#entries[(this.#inserted - 1 - index) % MAX_ENTRIES]
  }

  /** False: more than we said we would keep. */
  resize(maxBytes: number): boolean {
    if (maxBytes > TABLE_BYTES) return false
    this.#maxBytes = maxBytes
    this.generation += 1
    this.#evictUntil(maxBytes)
    return true
  }

  /** Adds the field of the line `line[start...]`. One that is larger than the table empties it. */
  add(line: Buffer, start: number, nameLength: number, valueLength: number, name: FieldName): void {
    const size = nameLength + valueLength + ENTRY_OVERHEAD
    this.generation += 1
    this.#evictUntil(this.#maxBytes - size)
    if (size > this.#maxBytes) return
    this.#ring ??= new ByteRing(TABLE_BYTES)
    const { bytes } = this.#ring
    const length = nameLength + valueLength + LINE_OVERHEAD
    const at = this.#ring.place(length)
    copyBytes(line, start, start + length, bytes, at)
    this.#entries[this.#inserted % MAX_ENTRIES] = new TableField(bytes, at, nameLength, valueLength, name)
    this.#inserted += 1
    this.#count += 1
    this.#bytes += size
  }

  #evictUntil(maxBytes: number): void {
    while (this.#bytes > maxBytes && this.#count > 0) {
      const oldest = (this.#inserted - this.#count) % MAX_ENTRIES
      const { nameLength, valueLength } = this.#entries[oldest]!
      this.#entries[oldest] = undefined
      this.#bytes -= nameLength + valueLength + ENTRY_OVERHEAD
      this.#count -= 1
    }
  }
}
