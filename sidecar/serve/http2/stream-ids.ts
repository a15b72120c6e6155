/** Ids of streams that are over, the newest of them: a ring. */
export class StreamIds {
  readonly #ids: Int32Array
  #next = 0

  constructor(size: number) {
    this.#ids = new Int32Array(size)
  }

  add(id: number): void {
    this.#ids[this.#next] = id
    this.#next = (this.#next + 1) % this.#ids.length
  }

  has(id: number): boolean {
    return this.#ids.includes(id)
  }
}
