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
    const input = Buffer.from(signingInput, 'latin1')
    const options = { key: key.keyObject, ...scheme.options }
    const bytes = Buffer.from(signature, 'base64url')
    if (!key.offLoop) {
      try {
        return verify(scheme.hash, input, options, bytes)
      } catch {
        return false
      }
    }
    return new Promise((resolve) => {
      // A signature that OpenSSL cannot even read is not a good one.
      verify(scheme.hash, input, options, bytes, (error, isGood) => resolve(error === null && isGood))
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
  readonly options: {
    readonly dsaEncoding?: 'ieee-p1363'
    readonly padding?: number
    readonly saltLength?: number
  }
}

const pkcs1 = (hash: string): Scheme => ({
  type: 'rsa',
  hash,
  options: { padding: constants.RSA_PKCS1_PADDING },
})

/** The salt is as long as the hash (RFC 7518, 3.5). */
const pss = (hash: string): Scheme => ({
  type: 'rsa',
  hash,
  options: { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
})

/** R and S side by side (RFC 7518, 3.4), not as DER. */
const ecdsa = (hash: string, type: string): Scheme => ({ type, hash, options: { dsaEncoding: 'ieee-p1363' } })

const ed25519: Scheme = { type: 'ed25519', hash: undefined, options: {} }

const SCHEMES: ReadonlyMap<string, Scheme> = new Map([
  ['ES256', ecdsa('sha256', 'prime256v1')],
  ['ES384', ecdsa('sha384', 'secp384r1')],
  ['ES512', ecdsa('sha512', 'secp521r1')],
  ['EdDSA', ed25519],
  ['Ed25519', ed25519],
  ['PS256', pss('sha256')],
  ['PS384', pss('sha384')],
  ['PS512', pss('sha512')],
  ['RS256', pkcs1('sha256')],
  ['RS384', pkcs1('sha384')],
  ['RS512', pkcs1('sha512')],
])
