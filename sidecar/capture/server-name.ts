/** What the first bytes of a client name: the host, or nothing, or not yet. */
export type Spoken = { readonly host: string } | 'nothing' | 'incomplete'

/** Bytes of a ClientHello that are waited for; a larger one names nobody. Post-quantum key shares make it 2 KB. */
export const MAX_HELLO_BYTES = 16_384

const HANDSHAKE = 22
const CLIENT_HELLO = 1
const SERVER_NAME = 0
const HOST_NAME = 0
const RECORD_HEADER_BYTES = 5
const RANDOM_BYTES = 32

/**
 * The host that a TLS ClientHello names (RFC 8446, 4.1.2; RFC 6066, 3), over as many records as it takes. What is no
 * ClientHello, names nobody, or names twice, names nothing. The host is as it was written.
 */
export function readServerName(bytes: Buffer): Spoken {
  const hello = handshakeIn(bytes)
  return typeof hello === 'string' ? hello : nameIn(hello)
}

/** The body of the first handshake message. */
function handshakeIn(bytes: Buffer): Buffer | 'nothing' | 'incomplete' {
  const fragments: Buffer[] = []
  let have = 0
  let wanted = 4
  let at = 0
  while (have < wanted) {
    if (bytes.length > at && bytes[at] !== HANDSHAKE) return 'nothing'
    if (bytes.length < at + RECORD_HEADER_BYTES) return 'incomplete'
    const length = bytes.readUInt16BE(at + 3)
    // An empty fragment of a handshake is not allowed (RFC 8446, 5.1): without end, it would be a loop.
    if (bytes[at + 1] !== 3 || length === 0) return 'nothing'
    const fragment = bytes.subarray(at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + length)
    fragments.push(fragment)
    have += fragment.length
    at += RECORD_HEADER_BYTES + length
    if (have >= 4 && wanted === 4) {
      const head = Buffer.concat(fragments)
      if (head[0] !== CLIENT_HELLO) return 'nothing'
      wanted = 4 + head.readUIntBE(1, 3)
      if (wanted > MAX_HELLO_BYTES) return 'nothing'
    }
    if (have < wanted && fragment.length < length) return 'incomplete'
  }
  return Buffer.concat(fragments).subarray(4, wanted)
}

function nameIn(hello: Buffer): Spoken {
  const reader = new Reader(hello)
  reader.skip(2 + RANDOM_BYTES)
  reader.vector(1)
  reader.vector(2)
  reader.vector(1)
  const extensions = new Reader(reader.vector(2))
  let host: string | undefined
  let count = 0
  while (!extensions.isAtEnd) {
    const type = extensions.number(2)
    const data = extensions.vector(2)
    if (type !== SERVER_NAME) continue
    count += 1
    const names = new Reader(new Reader(data).vector(2))
    if (names.number(1) === HOST_NAME) host = names.vector(2).toString('latin1')
    if (!names.isAtEnd || names.isBroken) return 'nothing'
  }
  if (reader.isBroken || extensions.isBroken || count !== 1 || host === undefined || host === '') return 'nothing'
  return { host }
}

/** Reads the numbers and vectors of the TLS presentation language (RFC 8446, 3). Past the end there is nothing, and it is told. */
class Reader {
  isBroken = false
  #at = 0
  readonly #bytes: Buffer

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  skip(length: number): void {
    this.#take(length)
  }

  number(width: 1 | 2): number {
    const bytes = this.#take(width)
    return bytes.length === width ? bytes.readUIntBE(0, width) : 0
  }

  /** A vector whose length stands before it in `width` bytes. */
  vector(width: 1 | 2): Buffer {
    return this.#take(this.number(width))
  }

  #take(length: number): Buffer {
    const end = this.#at + length
    if (end > this.#bytes.length) this.isBroken = true
    const taken = this.#bytes.subarray(this.#at, end)
    this.#at = Math.min(end, this.#bytes.length)
    return this.isBroken ? NOTHING : taken
  }
}

const NOTHING = Buffer.alloc(0)
