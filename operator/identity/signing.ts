import { generateKeyPairSync, type KeyObject, randomBytes, type webcrypto } from 'node:crypto'

const P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const

/** ECDSA with SHA-256 (RFC 5758, 3.2): the one algorithm that keys of ours sign with. */
export const SIGNING_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' } as const

/** A key that signs certificates, and how. */
export interface Signer {
  /** For signing only, and not to be exported again. */
  readonly key: webcrypto.CryptoKey
  readonly algorithm: { readonly name: 'ECDSA' | 'RSASSA-PKCS1-v1_5'; readonly hash: 'SHA-256' | 'SHA-384' }
}

/** RSA keys with fewer bits are refused (NIST SP 800-131A). */
const MIN_RSA_BITS = 2_048

export function makeSigningKeyPair(): { readonly privateKey: KeyObject; readonly publicKey: Buffer } {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { privateKey: pair.privateKey, publicKey: pair.publicKey.export({ type: 'spki', format: 'der' }) }
}

/**
 * How a key signs; undefined for one that is neither EC (P-256, P-384) nor RSA of at least 2,048 bits. Keys of ours are
 * P-256; a root that a user brings may be any of these.
 */
export function signerOf(key: KeyObject): Signer | undefined {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
  if (key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1') {
    return { key: toSigningKey(key), algorithm: SIGNING_ALGORITHM }
  }
  if (key.asymmetricKeyType === 'ec' && namedCurve === 'secp384r1') {
    const curve = { name: 'ECDSA', namedCurve: 'P-384' }
    return { key: key.toCryptoKey(curve, false, ['sign']), algorithm: { name: 'ECDSA', hash: 'SHA-384' } }
  }
  if (key.asymmetricKeyType === 'rsa' && modulusLength >= MIN_RSA_BITS) {
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } as const
    return { key: key.toCryptoKey(algorithm, false, ['sign']), algorithm }
  }
  return undefined
}

/** A P-256 key, for signing only and not to be exported again. */
export function toSigningKey(key: KeyObject): webcrypto.CryptoKey {
  return key.toCryptoKey(P256, false, ['sign'])
}

/**
 * 128 random bits in hex, behind an octet that keeps the number positive and of one length (RFC 5280, 4.1.2.2: at most
 * 20 octets).
 */
export function randomSerial(): string {
  return `01${randomBytes(16).toString('hex')}`
}
