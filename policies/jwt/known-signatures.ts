/** Octets that one entry takes at most: its words, when it ends, and its share of the table that finds it. */
export const SIGNATURE_BYTES = 64

/** What is remembered of a signature that was found good. */
export interface KnownSignature {
  /** By the monotonic clock. */
  readonly untilMs: number
  /** Of other tokens that came since this one did last, here: how many. */
  readonly distance: number
}

/**
 * Whose signatures were found good, by the hash of the whole token, and nothing of what is in them: 64 octets each outside of
 * the JavaScript heap, which is a thirtieth of what their claims would take as objects. The rest of a token that comes again is
 * read and judged anew; that costs a tenth of its signature.
 *
 * The one that was added first goes first, so that as many tokens as there is room for may come in turn and all are known.
 */
export class KnownSignatures {
  readonly #maxEntries: number
  #capacity = 0
  #size = 0
  /** Where the next one goes; in a full ring, over the oldest. */
  #cursor = 0
  #turn = 0
  #words = new Uint32Array(0)
  #untilMs = new Float64Array(0)
  /** By bucket: the first entry of its chain, 1 being the first entry of all, and 0 none. A power of two of them. */
  #heads = new Uint32Array(1)

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries
  }

  get size(): number {
    return this.#size
  }

  /** That are taken, used or not. */
  get bytes(): number {
    return this.#words.byteLength + this.#untilMs.byteLength + this.#heads.byteLength
  }

  /** `hash`: SHA-256 in base64url. Nothing of another generation of keys counts. */
  recall(hash: string, generation: number, nowMs: number): KnownSignature | undefined {
    if (this.#size === 0) return undefined
    const entry = this.#find(readKey(hash))
    if (entry === NONE) return undefined
    const at = entry * ENTRY_WORDS
    const untilMs = this.#untilMs[entry]!
    if (this.#words[at + GENERATION] !== generation || nowMs >= untilMs) return undefined
    const turn = ++this.#turn >>> 0
    const distance = (turn - this.#words[at + TURN]! - 1) >>> 0
    this.#words[at + TURN] = turn
    return { untilMs, distance }
  }

  add(hash: string, generation: number, untilMs: number): void {
    if (this.#maxEntries === 0) return
    const key = readKey(hash)
    let entry = this.#find(key)
    if (entry === NONE) entry = this.#place(key)
    const at = entry * ENTRY_WORDS
    this.#words[at + GENERATION] = generation
    this.#words[at + TURN] = ++this.#turn
    this.#untilMs[entry] = untilMs
  }

  #find(key: Uint32Array): number {
    const words = this.#words
    let next = this.#heads[key[0]! & (this.#heads.length - 1)]!
    while (next !== 0) {
      const entry = next - 1
      const at = entry * ENTRY_WORDS
      if (isKeyAt(words, at, key)) return entry
      next = words[at + NEXT]!
    }
    return NONE
  }

  #place(key: Uint32Array): number {
    if (this.#size === this.#capacity && this.#capacity < this.#maxEntries) this.#grow()
    const entry = this.#cursor
    if (this.#size === this.#capacity) this.#unchain(entry)
    else this.#size++
    this.#cursor = (entry + 1) % this.#capacity
    this.#words.set(key, entry * ENTRY_WORDS)
    this.#chain(entry)
    return entry
  }

  /** A ring that grows has never been full before: its entries stand in the order in which they came. */
  #grow(): void {
    this.#capacity = Math.min(this.#maxEntries, Math.max(FIRST_CAPACITY, this.#capacity * 2))
    const words = new Uint32Array(this.#capacity * ENTRY_WORDS)
    words.set(this.#words)
    const untilMs = new Float64Array(this.#capacity)
    untilMs.set(this.#untilMs)
    this.#words = words
    this.#untilMs = untilMs
    this.#cursor = this.#size
    this.#heads = new Uint32Array(2 ** Math.ceil(Math.log2(this.#capacity)))
    for (let entry = 0; entry < this.#size; entry++) this.#chain(entry)
  }

  #chain(entry: number): void {
    const at = entry * ENTRY_WORDS
    const bucket = this.#words[at]! & (this.#heads.length - 1)
    this.#words[at + NEXT] = this.#heads[bucket]!
    this.#heads[bucket] = entry + 1
  }

  #unchain(entry: number): void {
    const words = this.#words
    const at = entry * ENTRY_WORDS
    const bucket = words[at]! & (this.#heads.length - 1)
    if (this.#heads[bucket] === entry + 1) {
      this.#heads[bucket] = words[at + NEXT]!
      return
    }
    let before = (this.#heads[bucket]! - 1) * ENTRY_WORDS
    while (words[before + NEXT] !== entry + 1) before = (words[before + NEXT]! - 1) * ENTRY_WORDS
    words[before + NEXT] = words[at + NEXT]!
  }
}

const NONE = -1
const FIRST_CAPACITY = 256

/** 43 characters of six bits each, five to a word. */
const KEY_WORDS = 9
const GENERATION = KEY_WORDS
/** Counts the tokens that were asked for: when this one was, last. */
const TURN = KEY_WORDS + 1
const NEXT = KEY_WORDS + 2
const ENTRY_WORDS = KEY_WORDS + 3

const KEY_CHARACTERS = 43
const CHARACTERS_PER_WORD = 5

/** Read over by the next call. */
const readInto = new Uint32Array(KEY_WORDS)

function readKey(hash: string): Uint32Array {
  let at = 0
  for (let word = 0; word < KEY_WORDS; word++) {
    const end = Math.min(at + CHARACTERS_PER_WORD, KEY_CHARACTERS)
    let bits = 0
    while (at < end) bits = (bits << 6) | SIX_BITS[hash.charCodeAt(at++)]!
    readInto[word] = bits
  }
  return readInto
}

function isKeyAt(words: Uint32Array, at: number, key: Uint32Array): boolean {
  for (let i = 0; i < KEY_WORDS; i++) if (words[at + i] !== key[i]) return false
  return true
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const SIX_BITS = Uint8Array.from({ length: 128 }, (_, code) => Math.max(0, ALPHABET.indexOf(String.fromCharCode(code))))
