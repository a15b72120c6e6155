import type { Algorithm } from './algorithms.ts'
import { isBase64url } from './base64url.ts'

/** A public key that verifies signatures of exactly these algorithms (two only where they are two names of one). */
export interface UsableKey {
  readonly ok: true
  readonly kid: string | undefined
  readonly algorithms: readonly Algorithm[]
}

/** `reason` holds nothing of the key. */
export interface UnusableKey {
  readonly ok: false
  readonly reason: string
}

/**
 * Says which algorithm a JWK is for: the key decides, the token only names it (RFC 8725, 3.1 and 3.2).
 *
 * - symmetric keys and keys with private members are never used;
 * - `use` and `key_ops`, where they are, must be for verifying (RFC 7517, 4.2 and 4.3);
 * - `alg` must fit `kty` and `crv`, and an EC or OKP key without it is for its curve's algorithm;
 * - an RSA key without `alg` is for the first RSA algorithm in `allowed`.
 */
export function usableKey(
  jwk: Readonly<Record<string, unknown>>,
  allowed: readonly Algorithm[],
): UsableKey | UnusableKey {
  const own = (name: string): unknown => (Object.hasOwn(jwk, name) ? jwk[name] : undefined)
  for (const name of PRIVATE_MEMBERS) if (own(name) !== undefined) return unusable('is not a public key')
  const use = own('use')
  if (use !== undefined && use !== 'sig') return unusable('is not for signatures')
  const operations = own('key_ops')
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) {
    return unusable('is not for verifying')
  }
  const kid = own('kid')
  if (kid !== undefined && typeof kid !== 'string') return unusable('has a kid that is not a string')

  const family = familyOf(own('kty'), own('crv'))
  if (family === undefined) return unusable('is of a type or curve that is not accepted')
  if (!family.isComplete(own)) return unusable('lacks a member, or has one of a wrong length')

  const alg = own('alg')
  if (alg !== undefined && !(family.algorithms as readonly unknown[]).includes(alg)) {
    return unusable('has an alg that does not fit its type')
  }
  const candidates = allowed.filter((algorithm) => family.algorithms.includes(algorithm))
  const algorithms = alg === undefined ? (family.isFixed ? candidates : candidates.slice(0, 1)) : [alg as Algorithm]
  const usable = algorithms.filter((algorithm) => allowed.includes(algorithm))
  return usable.length === 0
    ? unusable('is for an algorithm that the issuer is not allowed')
    : { ok: true, kid, algorithms: usable }
}

interface Family {
  readonly algorithms: readonly Algorithm[]
  /** The type alone fixes the algorithm. */
  readonly isFixed: boolean
  isComplete(own: (name: string) => unknown): boolean
}

const ec = (algorithm: Algorithm, coordinateCharacters: number): Family => ({
  algorithms: [algorithm],
  isFixed: true,
  isComplete: (own) => isOctets(own('x'), coordinateCharacters) && isOctets(own('y'), coordinateCharacters),
})

/** By curve; coordinates have the full width of the field (RFC 7518, 6.2.1.2). */
const EC: ReadonlyMap<unknown, Family> = new Map([
  ['P-256', ec('ES256', 43)],
  ['P-384', ec('ES384', 64)],
  ['P-521', ec('ES512', 88)],
])

const ED25519: Family = {
  algorithms: ['EdDSA', 'Ed25519'],
  isFixed: true,
  isComplete: (own) => isOctets(own('x'), 43),
}

/** 2048 bits at least (RFC 7518, 3.3). The exact length and the exponent are for whoever imports the key. */
const RSA: Family = {
  algorithms: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  isFixed: false,
  isComplete: (own) => {
    const modulus = own('n')
    const exponent = own('e')
    return (
      typeof modulus === 'string' &&
      modulus.length >= 342 &&
      isBase64url(modulus) &&
      typeof exponent === 'string' &&
      exponent.length > 0 &&
      isBase64url(exponent)
    )
  },
}

const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'] as const

function familyOf(kty: unknown, crv: unknown): Family | undefined {
  switch (kty) {
    case 'EC':
      return EC.get(crv)
    case 'OKP':
      return crv === 'Ed25519' ? ED25519 : undefined
    case 'RSA':
      return RSA
    default:
      return undefined
  }
}

function isOctets(value: unknown, characters: number): boolean {
  return typeof value === 'string' && value.length === characters && isBase64url(value)
}

function unusable(reason: string): UnusableKey {
  return { ok: false, reason }
}
