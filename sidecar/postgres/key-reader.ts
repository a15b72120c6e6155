/** `BackendKeyData`: what a session's queries are cancelled by. */
const KEY_DATA = 'K'.charCodeAt(0)
const READY_FOR_QUERY = 'Z'.charCodeAt(0)
const ERROR_RESPONSE = 'E'.charCodeAt(0)

/** Process and key: protocol 3.2 has keys of up to 256 bytes. */
const MAX_KEY_BYTES = 4 + 256

/** Of what a server says before a session is ready, read at most. It is some hundred bytes. */
const MAX_READ_BYTES = 1_000_000

/**
 * Finds the key among what a server says first (PostgreSQL, 54.2.1), however it is cut. It keeps one message's head and the
 * key at most, and holds nothing up.
 */
export class KeyReader {
  /** Process and key, in hexadecimal. */
  key: string | undefined
  #isDone = false
  #read = 0
  readonly #head = Buffer.alloc(5)
  #headLength = 0
  /** Bytes of the message that are still to come. */
  #left = 0
  #body: Buffer | undefined

  /** `bytes[0, length)` are lent. True: it need not see any more. */
  push(bytes: Buffer, length: number): boolean {
    let at = 0
    while (at < length && !this.#isDone) at += this.#take(bytes, at, length)
    this.#read += length
    if (this.#read > MAX_READ_BYTES) this.#isDone = true
    return this.#isDone
  }

  /** How many bytes it took. */
  #take(bytes: Buffer, at: number, end: number): number {
    if (this.#headLength < 5) {
      const taken = bytes.copy(this.#head, this.#headLength, at, Math.min(end, at + 5 - this.#headLength))
      this.#headLength += taken
      if (this.#headLength === 5) this.#begin()
      return taken
    }
    const taken = Math.min(this.#left, end - at)
    if (this.#body !== undefined) bytes.copy(this.#body, this.#body.length - this.#left, at, at + taken)
    this.#left -= taken
    if (this.#left === 0) this.#finish()
    return taken
  }

  #begin(): void {
    const type = this.#head[0]
    const length = this.#head.readUInt32BE(1) - 4
    if (type === READY_FOR_QUERY || type === ERROR_RESPONSE || length < 0) {
      this.#isDone = true
      return
    }
    if (type === KEY_DATA) {
      if (length < 8 || length > MAX_KEY_BYTES) {
        this.#isDone = true
        return
      }
      this.#body = Buffer.alloc(length)
    }
    this.#left = length
    if (length === 0) this.#finish()
  }

  #finish(): void {
    this.#headLength = 0
    if (this.#body === undefined) return
    this.key = this.#body.toString('hex')
    this.#isDone = true
  }
}
