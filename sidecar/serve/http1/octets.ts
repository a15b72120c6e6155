/** The octets that the grammar of HTTP/1.1 turns on, and tables by octet: a look-up costs less than a comparison chain. */

export const HTAB = 0x09
export const LF = 0x0a
export const CR = 0x0d
export const SP = 0x20
export const COMMA = 0x2c
export const DASH = 0x2d
export const COLON = 0x3a
export const SEMICOLON = 0x3b
export const UNDERSCORE = 0x5f
export const DELETE = 0x7f

/**
 * For an octet that a token may hold (RFC 9110, 5.6.2): itself in lower case, and `-` for `_`; 0 for every other.
 *
 * Field names are compared in this folded form where it is about removing them, because application servers of the CGI
 * family cannot tell `x_forwarded_for` from `x-forwarded-for`.
 */
export const FOLDED_TOKEN = table((octet) => {
  if (octet === UNDERSCORE) return DASH
  if (octet >= 0x41 && octet <= 0x5a) return octet + 0x20
  const isAlphanumeric = (octet >= 0x30 && octet <= 0x39) || (octet >= 0x61 && octet <= 0x7a)
  return isAlphanumeric || "!#$%&'*+-.^`|~".includes(String.fromCharCode(octet)) ? octet : 0
})

/** 1 for what a field value may hold (RFC 9110, 5.5): visible characters, SP, HTAB and obs-text. */
export const FIELD_VALUE = table((octet) => (octet === HTAB || (octet >= SP && octet !== DELETE) ? 1 : 0))

/** The reverse: 0 for what a field value may hold. */
export const NOT_VALUE = table((octet) => 1 - FIELD_VALUE[octet]!)

/** 1 for visible ASCII: all that a request target is ever made of. */
export const VISIBLE = table((octet) => (octet > SP && octet < DELETE ? 1 : 0))

/** The value of a hexadecimal digit, 255 for every other octet. */
export const HEX_VALUE = table((octet) => {
  const value = '0123456789abcdef'.indexOf(String.fromCharCode(octet).toLowerCase())
  return value === -1 ? 255 : value
})

function table(entryFor: (octet: number) => number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, octet) => entryFor(octet))
}

/** `bytes[start, end)`, one character an octet. What `toString('latin1')` ends up calling, without the way there. */
export function latin1(bytes: Buffer, start: number, end: number): string {
  return (bytes as unknown as { latin1Slice(start: number, end: number): string }).latin1Slice(start, end)
}

/** Whether `bytes[start...]` goes on with the octets of `text`, to the letter. What is beyond the end equals nothing. */
export function continuesWith(bytes: Uint8Array, start: number, text: string): boolean {
  for (let at = 0; at < text.length; at++) if (bytes[start + at] !== text.charCodeAt(at)) return false
  return true
}

/** {@link FOLDED_TOKEN} for a character of a string; 0 beyond ASCII. */
export function foldedOctet(code: number): number {
  return code < 0x80 ? FOLDED_TOKEN[code]! : 0
}

/** What {@link nextHash} starts from. */
export const HASH_START = 7

/**
 * One step of the hash of a folded name. It spreads names over tables and nothing more: whoever finds an equal hash
 * compares the octets.
 */
export function nextHash(hash: number, folded: number): number {
  return (Math.imul(hash, 31) + folded) | 0
}

/** The hash of a name in its folded form. */
export function hashOfName(name: string): number {
  let hash = HASH_START
  for (let at = 0; at < name.length; at++) hash = nextHash(hash, foldedOctet(name.charCodeAt(at)))
  return hash
}

/** Whether `bytes[start, end)` spells `folded`, which is in folded form already. */
export function foldsTo(bytes: Uint8Array, start: number, end: number, folded: string): boolean {
  if (end - start !== folded.length) return false
  for (let at = 0; at < folded.length; at++) {
    if (FOLDED_TOKEN[bytes[start + at]!] !== folded.charCodeAt(at)) return false
  }
  return true
}

/** Whether `bytes[start, end)` and `name` have one folded form. */
export function foldsAlike(bytes: Uint8Array, start: number, end: number, name: string): boolean {
  if (end - start !== name.length) return false
  for (let at = 0; at < name.length; at++) {
    if (FOLDED_TOKEN[bytes[start + at]!] !== foldedOctet(name.charCodeAt(at))) return false
  }
  return true
}

export function foldName(name: string): string {
  return name.toLowerCase().replaceAll('_', '-')
}

/** Up to this length a loop writes a text sooner than the way into the runtime and back takes. */
const SHORT_TEXT = 64

/** Writes a text of one octet a character at `at`; returns where it ended. */
export function writeLatin1(out: Buffer, text: string, at: number): number {
  const { length } = text
  if (length > SHORT_TEXT) return at + out.write(text, at, 'latin1')
  for (let index = 0; index < length; index++) out[at + index] = text.charCodeAt(index)
  return at + length
}
