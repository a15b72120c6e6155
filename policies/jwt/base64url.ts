/**
 * base64url without padding (RFC 4648, 5; RFC 7515, 2), canonical only: no white space, no `=`, and the bits of the last
 * character that belong to no byte are zero (RFC 4648, 3.5). A byte string has one spelling, so a token has one too.
 */
export function isBase64url(text: string): boolean {
  if (!ALPHABET.test(text)) return false
  switch (text.length % 4) {
    case 1:
      return false
    case 2:
      return TWO_CHARACTERS_END.includes(text.at(-1) as string)
    case 3:
      return THREE_CHARACTERS_END.includes(text.at(-1) as string)
    default:
      return true
  }
}

/** The UTF-8 text in it; undefined when it is not canonical base64url or not UTF-8. A byte order mark is kept, to be refused. */
export function decodeBase64urlText(text: string): string | undefined {
  if (!isBase64url(text)) return undefined
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
  // What most tokens hold is ASCII, and then these characters are the text.
  if (ASCII.test(binary)) return binary
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i)
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const ASCII = /^[\x00-\x7f]*$/
const ALPHABET = /^[A-Za-z0-9_-]*$/
/** Four bits of the last character are no part of a byte: values 0, 16, 32, 48. */
const TWO_CHARACTERS_END = 'AQgw'
/** Two bits are not: every fourth value. */
const THREE_CHARACTERS_END = 'AEIMQUYcgkosw048'
