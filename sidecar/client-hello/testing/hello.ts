/** One extension of a hello: its type, and its data. */
export type Extension = readonly [type: number, data: Uint8Array]

export interface HelloParts {
  readonly sessionId?: Uint8Array
  readonly cipherSuites?: Uint8Array
  readonly compressionMethods?: Uint8Array
  /** Absent: no list at all. */
  readonly extensions?: readonly Extension[]
}

/** The handshake message of a ClientHello, as bytes (RFC 8446, 4.1.2). */
export function helloMessage({
  sessionId = new Uint8Array(32),
  cipherSuites = Uint8Array.of(0x13, 0x01),
  compressionMethods = Uint8Array.of(0),
  extensions,
}: HelloParts): Uint8Array {
  const body = joined(
    Uint8Array.of(3, 3),
    new Uint8Array(32).fill(7),
    vector(1, sessionId),
    vector(2, cipherSuites),
    vector(1, compressionMethods),
    extensions === undefined
      ? new Uint8Array(0)
      : vector(2, joined(...extensions.map(([type, data]) => joined(number(2, type), vector(2, data))))),
  )
  return joined(Uint8Array.of(1), vector(3, body))
}

/** The message in records of `size` bytes each; the last one may be shorter. */
export function inRecords(message: Uint8Array, size = 16_384): Uint8Array {
  const records: Uint8Array[] = []
  for (let at = 0; at < message.length; at += size) {
    records.push(joined(Uint8Array.of(22, 3, 1), vector(2, message.subarray(at, at + size))))
  }
  return joined(...records)
}

/** A server_name extension with these names, each of the type `host_name` (RFC 6066, 3). */
export function serverNames(...names: readonly (string | Uint8Array)[]): Extension {
  const entries = names.map((name) => {
    const bytes = typeof name === 'string' ? Uint8Array.from(name, (letter) => letter.charCodeAt(0)) : name
    return joined(Uint8Array.of(0), vector(2, bytes))
  })
  return [0, vector(2, joined(...entries))]
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

export function vector(width: 1 | 2 | 3, bytes: Uint8Array): Uint8Array {
  return joined(number(width, bytes.length), bytes)
}

function number(width: 1 | 2 | 3, value: number): Uint8Array {
  return Uint8Array.from({ length: width }, (_, i) => (value >> (8 * (width - 1 - i))) & 255)
}
