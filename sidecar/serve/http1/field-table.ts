import { foldsTo, hashOfName } from './octets.ts'

/** The few field names that a parser acts upon, found by one look into a table. The others cost that look and no more. */
export class FieldTable {
  readonly #names: readonly string[]
  /** By hash, one more than the index into `#names`. Large enough that no two of the names meet. */
  readonly #slots: Uint8Array

  constructor(names: readonly string[]) {
    this.#names = names
    let slots = withoutCollision(names, 32)
    for (let size = 64; slots === undefined; size *= 2) slots = withoutCollision(names, size)
    this.#slots = slots
  }

  /** From 1 in the order given to the constructor; 0 for any other name. */
  idOf(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const id = this.#slots[hash & (this.#slots.length - 1)]!
    return id !== 0 && foldsTo(bytes, start, end, this.#names[id - 1]!) ? id : 0
  }
}

function withoutCollision(names: readonly string[], size: number): Uint8Array | undefined {
  const slots = new Uint8Array(size)
  for (const [index, name] of names.entries()) {
    const slot = hashOfName(name) & (size - 1)
    if (slots[slot] !== 0) return undefined
    slots[slot] = index + 1
  }
  return slots
}
