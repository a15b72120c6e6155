import { type Hostname, parseHostname } from '../../model/hostname.ts'

/**
 * Bytes of a ClientHello at most, with the headers of its records. Post-quantum key shares make it 2 KB; whoever sends more
 * makes the reader work, and names nobody.
 */
export const MAX_HELLO_BYTES = 16_384

/** Why the first bytes of a client are not believed. */
export type HelloProblem =
  | 'not-tls'
  | 'not-a-client-hello'
  | 'malformed'
  | 'too-long'
  /** More than one name, in one list or in two: two readers could choose differently. */
  | 'two-names'
  /** Not the name of a host: an address, a dot at its end, a NUL. */
  | 'malformed-name'

/** What the bytes of a client come to so far. */
export type HelloRead =
  | { readonly kind: 'incomplete' }
  /** In lower case; undefined: it names nobody. Where the real name is encrypted (ECH) it is that of the outer hello. */
  | { readonly kind: 'hello'; readonly serverName: Hostname | undefined }
  | { readonly kind: 'refused'; readonly reason: HelloProblem }

const HANDSHAKE = 22
const CLIENT_HELLO = 1
const SERVER_NAME = 0
const HOST_NAME = 0
const RECORD_HEADER_BYTES = 5
const MESSAGE_HEADER_BYTES = 4
const RANDOM_BYTES = 32
const MAX_SESSION_ID_BYTES = 32
const FIRST_BYTES = 2_048

const INCOMPLETE: HelloRead = Object.freeze({ kind: 'incomplete' })

/**
 * Reads a TLS ClientHello (RFC 8446, 4.1.2) as it comes, over as many segments and records (5.1) as it takes, for the host
 * that it names (RFC 6066, 3). Each byte is looked at once; what it keeps is bounded by {@link MAX_HELLO_BYTES}. What follows
 * the hello is not read.
 */
export class ClientHelloReader {
  /** The handshake message, without the headers of records. */
  #message = new Uint8Array(FIRST_BYTES)
  #have = 0
  /** Bytes of the message, its header included; unknown before that is there. */
  #wanted = Number.POSITIVE_INFINITY
  /** Of the record that is being read. */
  readonly #header = new Uint8Array(RECORD_HEADER_BYTES)
  #headerBytes = 0
  #recordLeft = 0
  #seen = 0
  #settled: HelloRead | undefined

  /** What all chunks until now come to. Once that is not `incomplete`, it stays as it is. */
  read(chunk: Uint8Array): HelloRead {
    let at = 0
    while (this.#settled === undefined && at < chunk.length) {
      const before = at
      if (this.#recordLeft === 0) {
        this.#readHeader(chunk[at] as number)
        at += 1
      } else {
        const end = Math.min(chunk.length, at + this.#recordLeft)
        this.#append(chunk.subarray(at, end))
        at = end
      }
      this.#seen += at - before
      if (this.#seen > MAX_HELLO_BYTES && this.#settled === undefined) this.#refuse('too-long')
    }
    return this.#settled ?? INCOMPLETE
  }

  #readHeader(byte: number): void {
    const problem = this.#have === 0 ? 'not-tls' : 'malformed'
    this.#header[this.#headerBytes] = byte
    this.#headerBytes += 1
    if (this.#headerBytes === 1 && byte !== HANDSHAKE) return this.#refuse(problem)
    if (this.#headerBytes === 2 && byte !== 3) return this.#refuse(problem)
    if (this.#headerBytes < RECORD_HEADER_BYTES) return
    this.#headerBytes = 0
    this.#recordLeft = (this.#header[3] as number) * 256 + (this.#header[4] as number)
    // An empty fragment of a handshake is not allowed (RFC 8446, 5.1): without end, it would be a loop.
    if (this.#recordLeft === 0) this.#refuse('malformed')
  }

  #append(fragment: Uint8Array): void {
    this.#recordLeft -= fragment.length
    const room = Math.min(fragment.length, MAX_HELLO_BYTES - this.#have)
    if (this.#have + room > this.#message.length) {
      const larger = new Uint8Array(Math.min(MAX_HELLO_BYTES, Math.max(this.#have + room, 2 * this.#message.length)))
      larger.set(this.#message.subarray(0, this.#have))
      this.#message = larger
    }
    this.#message.set(fragment.subarray(0, room), this.#have)
    this.#have += room
    if (this.#message[0] !== CLIENT_HELLO) return this.#refuse('not-a-client-hello')
    if (this.#have < MESSAGE_HEADER_BYTES) return
    const [, high = 0, middle = 0, low = 0] = this.#message
    this.#wanted = MESSAGE_HEADER_BYTES + high * 65_536 + middle * 256 + low
    if (this.#wanted > MAX_HELLO_BYTES) return this.#refuse('too-long')
    if (this.#have >= this.#wanted) {
      this.#settled = readHello(this.#message.subarray(MESSAGE_HEADER_BYTES, this.#wanted))
    }
  }

  #refuse(reason: HelloProblem): void {
    this.#settled = { kind: 'refused', reason }
  }
}

/** {@link ClientHelloReader}, for bytes that are all there. */
export function readClientHello(bytes: Uint8Array): HelloRead {
  return new ClientHelloReader().read(bytes)
}

/** The body of the message. Extensions that are not known (GREASE among them, RFC 8701) are passed over. */
function readHello(hello: Uint8Array): HelloRead {
  const reader = new Reader(hello)
  reader.skip(2 + RANDOM_BYTES)
  const sessionId = reader.vector(1)
  const cipherSuites = reader.vector(2)
  const compressionMethods = reader.vector(1)
  const isSound =
    !reader.isBroken &&
    sessionId.length <= MAX_SESSION_ID_BYTES &&
    cipherSuites.length > 0 &&
    cipherSuites.length % 2 === 0 &&
    compressionMethods.length > 0
  if (!isSound) return refused('malformed')
  // TLS 1.2 lets a client leave the list of extensions out.
  if (reader.isAtEnd) return { kind: 'hello', serverName: undefined }
  const extensions = new Reader(reader.vector(2))
  if (reader.isBroken || !reader.isAtEnd) return refused('malformed')
  let names: Uint8Array | undefined
  while (!extensions.isAtEnd) {
    const type = extensions.number(2)
    const data = extensions.vector(2)
    if (extensions.isBroken) return refused('malformed')
    if (type !== SERVER_NAME) continue
    if (names !== undefined) return refused('two-names')
    names = data
  }
  return names === undefined ? { kind: 'hello', serverName: undefined } : readServerName(names)
}

function readServerName(data: Uint8Array): HelloRead {
  const extension = new Reader(data)
  const list = new Reader(extension.vector(2))
  if (extension.isBroken || !extension.isAtEnd) return refused('malformed')
  const type = list.number(1)
  const name = list.vector(2)
  if (list.isBroken || type !== HOST_NAME) return refused('malformed')
  if (!list.isAtEnd) return refused('two-names')
  const host = parseHostname(String.fromCharCode(...name.subarray(0, MAX_NAME_BYTES + 1)))
  return host.ok ? { kind: 'hello', serverName: host.value } : refused('malformed-name')
}

/** One more makes no name. */
const MAX_NAME_BYTES = 253

function refused(reason: HelloProblem): HelloRead {
  return { kind: 'refused', reason }
}

/** Reads the numbers and vectors of the TLS presentation language (RFC 8446, 3). Past the end there is nothing, and it is told. */
class Reader {
  isBroken = false
  #at = 0
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
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
    return bytes.reduce((value, byte) => value * 256 + byte, 0)
  }

  /** A vector whose length stands before it in `width` bytes. */
  vector(width: 1 | 2): Uint8Array {
    return this.#take(this.number(width))
  }

  #take(length: number): Uint8Array {
    const end = this.#at + length
    if (end > this.#bytes.length) this.isBroken = true
    const taken = this.isBroken ? NOTHING : this.#bytes.subarray(this.#at, end)
    this.#at = Math.min(end, this.#bytes.length)
    return taken
  }
}

const NOTHING = new Uint8Array(0)
