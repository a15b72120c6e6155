import { generateKeyPairSync, sign } from 'node:crypto'
import type { IssuerConfig } from '../../../policies/jwt/config.ts'
import type { KeysOfIssuer } from '../../keys/issuer-keys.ts'

/** An authorization server whose access tokens (RFC 9068) a test makes. */
export interface UserIssuer {
  readonly config: IssuerConfig
  readonly keys: KeysOfIssuer
  /** What is said goes over `sub: ann`, and ten minutes from `nowMs`. */
  tokenFor(claims: Readonly<Record<string, unknown>>, nowMs: number): string
}

export function userIssuer(name = 'corp'): UserIssuer {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
  const issuer = `https://${name}.example`
  return {
    config: {
      name,
      issuer,
      audiences: ['https://api.example'],
      algorithms: ['ES256'],
      types: ['at+jwt'],
      clockSkewMs: 60_000,
      maxTokenBytes: 8_192,
      maxDepth: 16,
      cache: { maxEntries: 100, maxBytes: 1_048_576, maxAgeMs: 300_000 },
    },
    keys: { keys: [{ kty: 'EC', crv: 'P-256', x, y, kid: 'k1', alg: 'ES256', use: 'sig' }], fetchedAt: 0 },
    tokenFor(claims, nowMs) {
      const iat = Math.floor(nowMs / 1_000)
      const payload = { iss: issuer, aud: 'https://api.example', sub: 'ann', iat, exp: iat + 600, ...claims }
      const input = [{ typ: 'at+jwt', alg: 'ES256', kid: 'k1' }, payload]
        .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
        .join('.')
      const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
      return `${input}.${signature.toString('base64url')}`
    },
  }
}
