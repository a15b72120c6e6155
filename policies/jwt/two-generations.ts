export interface Bounds {
  /** 0: nothing is kept. */
  readonly maxEntries: number
  /** Sum of what `set` was told of the entries. Default: no bound. */
  readonly maxBytes?: number
}

/**
 * A map that forgets what was not asked for lately, in two generations: when the young one is half of the bounds, the
 * old one is dropped and the young one grows old. Cheaper than a list in order of use, and as hard to overfill.
 */
export class TwoGenerations<Value> {
  readonly #maxEntries: number
  readonly #youngEntries: number
  readonly #youngBytes: number
  #young = new Generation<Value>()
  #old = new Generation<Value>()

  constructor({ maxEntries, maxBytes = Number.POSITIVE_INFINITY }: Bounds) {
    this.#maxEntries = maxEntries
    this.#youngEntries = Math.max(1, Math.floor(maxEntries / 2))
    this.#youngBytes = maxBytes / 2
  }

  get size(): number {
    return this.#young.entries.size + this.#old.entries.size
  }

  get bytes(): number {
    return this.#young.bytes + this.#old.bytes
  }

  /** What is asked for is young again. */
  get(key: string): Value | undefined {
    const young = this.#young.entries.get(key)
    if (young !== undefined) return young.value
    const old = this.#old.remove(key)
    if (old === undefined) return undefined
    this.#add(key, old)
    return old.value
  }

  /** An entry larger than half of `maxBytes` is not kept. */
  set(key: string, value: Value, bytes = 0): void {
    this.delete(key)
    if (this.#maxEntries === 0 || bytes > this.#youngBytes) return
    this.#add(key, { value, bytes })
  }

  delete(key: string): void {
    this.#young.remove(key)
    this.#old.remove(key)
  }

  #add(key: string, entry: Entry<Value>): void {
    if (
      this.#young.entries.size >= this.#youngEntries ||
      (this.#young.entries.size > 0 && this.#young.bytes + entry.bytes > this.#youngBytes)
    ) {
      this.#old = this.#maxEntries >= 2 ? this.#young : new Generation()
      this.#young = new Generation()
    }
    this.#young.add(key, entry)
  }
}

interface Entry<Value> {
  readonly value: Value
  readonly bytes: number
}

class Generation<Value> {
  readonly entries = new Map<string, Entry<Value>>()
  bytes = 0

  add(key: string, entry: Entry<Value>): void {
    this.entries.set(key, entry)
    this.bytes += entry.bytes
  }

  remove(key: string): Entry<Value> | undefined {
    const entry = this.entries.get(key)
    if (entry === undefined) return undefined
    this.entries.delete(key)
    this.bytes -= entry.bytes
    return entry
  }
}
