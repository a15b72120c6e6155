import { exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT } from 'jose'

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
  readonly publicJwk: JWK
  readonly publicKeyPem: string
}

export async function makeTokens(count: number): Promise<Tokens> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
  const nowS = Math.floor(Date.now() / 1_000)
  const sign = (subject: string, { audience = AUDIENCE, issuedAtS = nowS } = {}) =>
    new SignJWT({ client_id: 'bench', scope: 'orders:read orders:write', roles: ['customer'] })
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: KID })
      .setIssuer(ISSUER)
      .setAudience(audience)
      .setSubject(subject)
      .setJti(`${subject}-${issuedAtS}`)
      .setIssuedAt(issuedAtS)
      .setExpirationTime(issuedAtS + 4 * HOUR_S)
      .sign(privateKey)
  const valid: string[] = []
  for (let i = 0; i < count; i++) valid.push(await sign(`user-${String(i).padStart(5, '0')}`))
  return {
    valid,
    altered: alter(await sign('user-altered')),
    expired: await sign('user-expired', { issuedAtS: nowS - 24 * HOUR_S }),
    otherAudience: await sign('user-elsewhere', { audience: 'https://other.bench.example' }),
    publicJwk: { ...(await exportJWK(publicKey)), alg: 'ES256', use: 'sig', kid: KID },
    publicKeyPem: await exportSPKI(publicKey),
  }
}

/** Another first character of the signature: canonical base64url still, and a signature of nothing. */
function alter(token: string): string {
  const at = token.lastIndexOf('.') + 1
  return token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1)
}
