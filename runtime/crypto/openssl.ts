import { constants, createPublicKey, hash, type JsonWebKey, type KeyObject, verify } from 'node:crypto'
import type { FilterCrypto, PublicKey } from '../../model/filter.ts'

/** RSA moduli in bits: shorter ones are refused (RFC 7518, 3.3), longer ones cost more than any token is worth. */
const MIN_RSA_BITS = 2_048
const MAX_RSA_BITS = 8_192

/** The longest RSA modulus that is verified on the event loop: 25 us, where a hop to a thread and back is 50 to 100. */
const MAX_RSA_BITS_ON_LOOP = 2_048

/** Curves that are verified on the event loop; P-384 and P-521 take a millisecond. */
const EC_ON_LOOP = 'prime256v1'

/** Filters' cryptography by the OpenSSL that Node holds. Stateless: whoever imports a key keeps it. */
export const openssl: FilterCrypto = {
  sha256: (text) => hash('sha256', text, 'base64url'),

  importJwk(jwk) {
    let keyObject: KeyObject
    try {
      keyObject = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' })
    } catch {
      return undefined
    }
    const { asymmetricKeyType: type, asymmetricKeyDetails: details = {} } = keyObject
    switch (type) {
      case 'rsa': {
        const { modulusLength = 0, publicExponent = 0n } = details
        if (modulusLength < MIN_RSA_BITS || modulusLength > MAX_RSA_BITS) return undefined
        // An exponent of 1 makes every signature its own message; an even one is no RSA key.
        if (publicExponent < 3n || publicExponent % 2n === 0n) return undefined
        return new OpensslKey(keyObject, type, modulusLength > MAX_RSA_BITS_ON_LOOP)
      }
      case 'ec':
        return new OpensslKey(keyObject, details.namedCurve ?? '', details.namedCurve !== EC_ON_LOOP)
      case 'ed25519':
        return new OpensslKey(keyObject, type, false)
      default:
        return undefined
    }
  },

  verify(algorithm, key, signingInput, signature) {
    const scheme = SCHEMES.get(algorithm)
    if (scheme === undefined || !(key instanceof OpensslKey) || key.type !== scheme.type) return false
    const raw = Buffer.from(signature, 'base64url')
    const bytes = scheme.integerBytes === undefined ? raw : derOf(raw, scheme.integerBytes)
    if (bytes === undefined) return false
    const input = Buffer.from(signingInput, 'latin1')
    const how = scheme.options === undefined ? key.keyObject : { key: key.keyObject, ...scheme.options }
    if (!key.offLoop) {
      try {
        return verify(scheme.hash, input, how, bytes)
      } catch {
        return false
      }
    }
    return new Promise((resolve) => {
      // A signature that OpenSSL cannot even read is not a good one.
      verify(scheme.hash, input, how, bytes, (error, isGood) => resolve(error === null && isGood))
    })
  },
}

class OpensslKey implements PublicKey {
  readonly kind = 'public-key'
  readonly keyObject: KeyObject
  /** `rsa`, `ed25519`, or the name of the curve. */
  readonly type: string
  readonly offLoop: boolean

  constructor(keyObject: KeyObject, type: string, offLoop: boolean) {
    this.keyObject = keyObject
    this.type = type
    this.offLoop = offLoop
  }
}

interface Scheme {
  readonly type: string
  /** Undefined: the algorithm brings its own. */
  readonly hash: string | undefined
  /**
   * Absent wherever the defaults will do: Node finds out by throwing and catching an error that an object is not a key,
   * which takes 18 us.
   */
  readonly options?: { readonly padding: number; readonly saltLength: number }
  /** Of each of the two numbers of an ECDSA signature. */
  readonly integerBytes?: number
}

/** Node's default for an RSA key is PKCS #1 v1.5. */
const pkcs1 = (hash: string): Scheme => ({ type: 'rsa', hash })

/** The salt is as long as the hash (RFC 7518, 3.5). */
const pss = (hash: string): Scheme => ({
  type: 'rsa',
  hash,
  options: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
})

const ecdsa = (hash: string, type: string, integerBytes: number): Scheme => ({ type, hash, integerBytes })

const ed25519: Scheme = { type: 'ed25519', hash: undefined }

const SCHEMES: ReadonlyMap<string, Scheme> = new Map([
  ['ES256', ecdsa('sha256', 'prime256v1', 32)],
  ['ES384', ecdsa('sha384', 'secp384r1', 48)],
  ['ES512', ecdsa('sha512', 'secp521r1', 66)],
  ['EdDSA', ed25519],
  ['Ed25519', ed25519],
  ['PS256', pss('sha256')],
  ['PS384', pss('sha384')],
  ['PS512', pss('sha512')],
  ['RS256', pkcs1('sha256')],
  ['RS384', pkcs1('sha384')],
  ['RS512', pkcs1('sha512')],
])

/**
 * An ECDSA signature as OpenSSL reads it, Ecdsa-Sig-Value of RFC 3279, 2.2.3 in DER, of R and S side by side as a JWS has them
 * (RFC 7518, 3.4); undefined when it has not their length. Node's own `dsaEncoding` does the same in 30 us more.
 */
function derOf(signature: Buffer, integerBytes: number): Buffer | undefined {
  if (signature.length !== 2 * integerBytes) return undefined
  const r = firstOctetOf(signature, 0, integerBytes)
  const s = firstOctetOf(signature, integerBytes, 2 * integerBytes)
  const rLength = integerBytes - r + (signature[r]! >> 7)
  const sLength = 2 * integerBytes - s + (signature[s]! >> 7)
  const content = rLength + sLength + 4
  const isLong = content > 127
  // Zeroed, because an INTEGER whose first bit is set has a zero before it.
  const der = Buffer.alloc(content + (isLong ? 3 : 2))
  let at = 0
  der[at++] = DER_SEQUENCE
  if (isLong) der[at++] = DER_ONE_OCTET_OF_LENGTH
  der[at++] = content
  der[at++] = DER_INTEGER
  der[at++] = rLength
  at += rLength
  signature.copy(der, at - (integerBytes - r), r, integerBytes)
  der[at++] = DER_INTEGER
  der[at++] = sLength
  signature.copy(der, at + sLength - (2 * integerBytes - s), s)
  return der
}

/** Where an unsigned number begins without leading zeros; its last octet stays whatever it is. */
function firstOctetOf(octets: Buffer, start: number, end: number): number {
  let at = start
  while (at < end - 1 && octets[at] === 0) at++
  return at
}

const DER_INTEGER = 0x02
const DER_SEQUENCE = 0x30
const DER_ONE_OCTET_OF_LENGTH = 0x81
