/** The body of a request that is read to its end before anybody decides. */
export class WholeBody {
  /** Undefined: it is longer than allowed, or its client has gone. */
  readonly whole: Promise<Uint8Array | undefined>
  readonly #maxBytes: number
  readonly #parts: Buffer[] = []
  #settle!: (whole: Uint8Array | undefined) => void
  #length = 0
  #isOver = false

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
    this.whole = new Promise((resolve) => {
      this.#settle = resolve
    })
  }

  /** Whether more of it is of use. */
  get isWanted(): boolean {
    return !this.#isOver
  }

  /** Slices are lent: what is kept of them is a copy. */
  add(slices: readonly Buffer[], done: boolean): void {
    if (this.#isOver) return
    for (const slice of slices) this.#length += slice.length
    if (this.#length > this.#maxBytes) return this.giveUp()
    for (const slice of slices) this.#parts.push(Buffer.from(slice))
    if (!done) return
    this.#isOver = true
    this.#settle(Buffer.concat(this.#parts))
  }

  giveUp(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#parts.length = 0
    this.#settle(undefined)
  }
}
