/** How a client of Postgres begins (PostgreSQL, 54.2.1 and 54.7). */
export type Opening =
  /** Asks whether to go on in TLS, or with GSSAPI's encryption. */
  | { readonly kind: 'encryption'; readonly by: 'tls' | 'gss' }
  | Startup
  | { readonly kind: 'cancel'; readonly message: Buffer; readonly key: string }
  | { readonly kind: 'refused'; readonly reason: OpeningProblem }

/** Wants a session. */
export interface Startup {
  readonly kind: 'startup'
  readonly version: number
  readonly user: string
  /** The user's own where the client names none. */
  readonly database: string
  readonly isReplication: boolean
  /** Everything else that was said, in the order sent; values as they came. */
  readonly parameters: readonly (readonly [name: string, value: Buffer])[]
}

/** Why nobody need read on. */
export type OpeningProblem =
  /** It begins as TLS does. */
  | 'tls'
  /** The length is none that this message can have. */
  | 'length'
  /** Neither 3.0 nor 3.2. */
  | 'version'
  | 'malformed'
  /** It asked for the same encryption before. */
  | 'repeated'

/** Bytes of a startup message at most, as the server has it (MAX_STARTUP_PACKET_LENGTH). */
export const MAX_STARTUP_BYTES = 10_000

/** What clients may ask for: 3.0, and 3.2 as of PostgreSQL 18. */
const VERSIONS: ReadonlySet<number> = new Set([0x0003_0000, 0x0003_0002])

const CANCEL_REQUEST = 80877102
const SSL_REQUEST = 80877103
const GSSENC_REQUEST = 80877104

/** Length, code, process and the shortest key there is; protocol 3.2 has keys of up to 256 bytes. */
const MIN_CANCEL_BYTES = 16
const MAX_CANCEL_BYTES = 12 + 256

const LENGTH_BYTES = 4

/** The first byte of a TLS record with a ClientHello (RFC 8446, 5.1). */
const TLS_HANDSHAKE = 0x16

/**
 * Reads messages of a beginning from what arrives, however it is cut. It keeps what one message may have and the last chunk,
 * and reads strictly: what could be understood in two ways is refused.
 */
export class OpeningReader {
  #chunks: Buffer[] = []
  #length = 0
  /** Bytes until more can be said: of the length, and then of the message. */
  #wanted = LENGTH_BYTES
  readonly #asked = new Set<number>()

  /** The next message; undefined: it is not whole yet. After a startup, a cancel or a refusal there are no more. */
  push(chunk: Buffer): Opening | undefined {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    return this.next()
  }

  /** As `push`, of what is there already: after an encryption request. */
  next(): Opening | undefined {
    if (this.#length < this.#wanted) return undefined
    const bytes = this.#whole()
    if (bytes[0] === TLS_HANDSHAKE) return refused('tls')
    const length = bytes.readUInt32BE(0)
    if (length < 8 || length > MAX_STARTUP_BYTES) return refused('length')
    this.#wanted = length
    if (bytes.length < length) return undefined
    this.#chunks = [bytes.subarray(length)]
    this.#length = bytes.length - length
    this.#wanted = LENGTH_BYTES
    return this.#read(bytes.subarray(0, length))
  }

  /** What came after the last message, and is not read here. */
  rest(): Buffer {
    return this.#whole()
  }

  #whole(): Buffer {
    const [first] = this.#chunks
    if (this.#chunks.length === 1 && first !== undefined) return first
    const whole = Buffer.concat(this.#chunks)
    this.#chunks = [whole]
    return whole
  }

  #read(message: Buffer): Opening {
    const code = message.readUInt32BE(4)
    switch (code) {
      case SSL_REQUEST:
      case GSSENC_REQUEST:
        if (message.length !== 8) return refused('length')
        if (this.#asked.has(code)) return refused('repeated')
        this.#asked.add(code)
        return { kind: 'encryption', by: code === SSL_REQUEST ? 'tls' : 'gss' }
      case CANCEL_REQUEST:
        if (message.length < MIN_CANCEL_BYTES || message.length > MAX_CANCEL_BYTES) return refused('length')
        return { kind: 'cancel', message, key: message.toString('hex', 8) }
      default:
        return VERSIONS.has(code) ? readStartup(message, code) : refused('version')
    }
  }
}

/** Pairs of a name and a value, each with a zero at its end, and one more zero after the last. */
function readStartup(message: Buffer, version: number): Opening {
  const parameters: (readonly [string, Buffer])[] = []
  const names = new Set<string>()
  let user: string | undefined
  let database: string | undefined
  let isReplication = false
  let at = 8
  while (at < message.length && message[at] !== 0) {
    const nameEnd = message.indexOf(0, at)
    const valueEnd = nameEnd === -1 ? -1 : message.indexOf(0, nameEnd + 1)
    if (valueEnd === -1) return refused('malformed')
    const name = message.toString('latin1', at, nameEnd)
    const value = message.subarray(nameEnd + 1, valueEnd)
    at = valueEnd + 1
    // Of two, the server takes the last one: whoever reads the first one is deceived.
    if (!PARAMETER_NAME.test(name) || names.has(name)) return refused('malformed')
    names.add(name)
    if (name === 'user' || name === 'database') {
      const text = textOf(value)
      if (text === undefined) return refused('malformed')
      if (name === 'user') user = text
      else database = text
    } else if (name === 'replication') {
      // The server takes beginnings of these words too, and other words for a mistake.
      isReplication = !NO.test(value.toString('latin1'))
    } else {
      parameters.push([name, value])
    }
  }
  // The zero that ends it is the last byte.
  if (at !== message.length - 1 || user === undefined || user === '') return refused('malformed')
  return { kind: 'startup', version, user, database: database || user, isReplication, parameters }
}

const PARAMETER_NAME = /^[\x21-\x7e]+$/
const NO = /^(?:false|off|no|0)$/i

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function textOf(bytes: Buffer): string | undefined {
  try {
    return UTF8.decode(bytes)
  } catch {
    return undefined
  }
}

function refused(reason: OpeningProblem): Opening {
  return { kind: 'refused', reason }
}
