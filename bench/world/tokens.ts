import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'
import type { JWK } from 'jose'

export const ISSUER = 'https://issuer.bench.example'
export const AUDIENCE = 'https://app.bench.example'

const KID = 'bench-1'
const HOUR_S = 3_600

/** Access tokens (RFC 9068) signed with ES256, each of another subject, and some that are worth nothing. */
export interface Tokens {
  readonly valid: readonly string[]
  /** Good but for a bit of its signature. */
  readonly altered: string
  readonly expired: string
  readonly otherAudience: string
  /** As many of the valid ones, the signature of each altered. */
  altering(count: number): readonly string[]
  readonly publicJwk: JWK
  readonly publicKeyPem: string
}

export function makeTokens(count: number): Tokens {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const nowS = Math.floor(Date.now() / 1_000)
  const head = encode({ alg: 'ES256', typ: 'at+jwt', kid: KID })
  const make = (subject: string, { audience = AUDIENCE, issuedAtS = nowS } = {}) => {
    const claims = encode({
      client_id: 'bench',
      scope: 'orders:read orders:write',
      roles: ['customer'],
      iss: ISSUER,
      aud: audience,
      sub: subject,
      jti: `${subject}-${issuedAtS}`,
      iat: issuedAtS,
      exp: issuedAtS + 4 * HOUR_S,
    })
    const signature = sign('sha256', Buffer.from(`${head}.${claims}`), { key, dsaEncoding: 'ieee-p1363' })
    return `${head}.${claims}.${signature.toString('base64url')}`
  }
  const valid = Array.from({ length: count }, (_, i) => make(`user-${String(i).padStart(6, '0')}`))
  return {
    valid,
    altered: alter(make('user-altered')),
    expired: make('user-expired', { issuedAtS: nowS - 24 * HOUR_S }),
    otherAudience: make('user-elsewhere', { audience: 'https://other.bench.example' }),
    altering: (wanted) => valid.slice(0, wanted).map(alter),
    publicJwk: { ...(publicKey.export({ format: 'jwk' }) as JWK), alg: 'ES256', use: 'sig', kid: KID },
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }) as string,
  }
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}

/** Another first character of the signature: canonical base64url still, and a signature of nothing. */
function alter(token: string): string {
  const at = token.lastIndexOf('.') + 1
  return token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1)
}
