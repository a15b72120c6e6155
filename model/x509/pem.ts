import { fail, issue, ok, type Result } from '../result.ts'

/** Characters of PEM text that are looked at; a bundle of 100 P-256 roots is 90,000. */
const MAX_PEM_CHARACTERS = 1_048_576

const BLOCK = /-----BEGIN ([A-Z0-9 ]{1,64})-----([A-Za-z0-9+/=\s]*)-----END \1-----/g

/**
 * The DER of every PEM block (RFC 7468) with this label, in order. Text between blocks is ignored; a block of another
 * label is an issue, so that a private key in a bundle of certificates is noticed.
 */
export function decodePem(text: string, label: string): Result<readonly Uint8Array[]> {
  if (text.length > MAX_PEM_CHARACTERS) return malformed(`is longer than ${MAX_PEM_CHARACTERS} characters`)
  const blocks: Uint8Array[] = []
  for (const [, found, body] of text.matchAll(BLOCK)) {
    if (found !== label) return malformed(`holds a block '${found}' where '${label}' belongs`)
    const der = decodeBase64((body ?? '').replace(/\s/g, ''))
    if (der === undefined) return malformed('holds a block that is not base64')
    blocks.push(der)
  }
  if (blocks.length === 0) return malformed(`holds no PEM block '${label}'`)
  return ok(blocks)
}

export function encodePem(der: Uint8Array, label: string): string {
  const lines = encodeBase64(der).match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

function decodeBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined
  const binary = atob(text)
  return Uint8Array.from(binary, (character) => character.charCodeAt(0))
}

function encodeBase64(bytes: Uint8Array): string {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary)
}

function malformed(what: string) {
  return fail(issue('malformed-pem', '', what))
}
