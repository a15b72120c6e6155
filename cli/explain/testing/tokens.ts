import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import type { Claims } from '../asked.ts'

/** Somebody who signs tokens, and whose public key a TokenIssuer holds. */
export interface Signer {
  readonly jwk: Readonly<Record<string, unknown>>
  /** A compact JWS of type at+jwt (RFC 9068). */
  sign(claims: Claims): string
}

export function createSigner(kid: string): Signer {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256' },
    sign: (claims) => signed(privateKey, kid, claims),
  }
}

function signed(key: KeyObject, kid: string, claims: Claims): string {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${encode({ alg: 'ES256', typ: 'at+jwt', kid })}.${encode(claims)}`
  const signature = sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}
