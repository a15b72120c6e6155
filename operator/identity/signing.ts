import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, type webcrypto } from 'node:crypto'

const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const

/** ECDSA with SHA-256 (RFC 5758, 3.2): the one algorithm that anything here is signed with. */
export const SIGNING_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' } as const

export function makeSigningKeyPair(): { readonly privateKey: KeyObject; readonly publicKey: Buffer } {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { privateKey: pair.privateKey, publicKey: pair.publicKey.export({ type: 'spki', format: 'der' }) }
}

/** For signing only, and not to be exported again. */
export function toSigningKey(key: KeyObject): webcrypto.CryptoKey {
  return key.toCryptoKey(P256, false, ['sign'])
}

export function signingKeyOf(pem: string): webcrypto.CryptoKey {
  return toSigningKey(createPrivateKey(pem))
}

/**
 * 128 random bits in hex, behind an octet that keeps the number positive and of one length (RFC 5280, 4.1.2.2: at most
 * 20 octets).
 */
export function randomSerial(): string {
  return `01${randomBytes(16).toString('hex')}`
}
