/** Ids of streams that are over, the newest of them: a ring, which takes memory from the first one on. */
export class StreamIds {
  readonly #size: number
  #ids: Int32Array | undefined
  #next = 0

  constructor(size: number) {
    this.#size = size
  }

  add(id: number): void {
    this.#ids ??= new Int32Array(this.#size)
    this.#ids[this.#next] = id
    this.#next = (this.#next + 1) % this.#size
  }

  has(id: number): boolean {
    return this.#ids?.includes(id) === true
  }

  /** False: it was none of them. */
  delete(id: number): boolean {
    const at = this.#ids?.indexOf(id) ?? -1
    if (at === -1) return false
    this.#ids![at] = NO_STREAM
    return true
  }
}

const NO_STREAM = 0
