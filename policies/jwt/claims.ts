import type { CompactJws } from './compact-jws.ts'
import type { IssuerConfig } from './config.ts'
import { TOKEN_EXPIRED, TOKEN_INVALID, TOKEN_LIVES_TOO_LONG, TOKEN_NOT_YET_VALID } from './denials.ts'
import { type Refusal, refuse } from './refusal.ts'
import { normaliseType } from './token-type.ts'

/** When a token counts, in milliseconds since the epoch, clock skew not included. */
export interface Validity {
  readonly kind: 'valid'
  readonly expiresAtMs: number
  /** The later of `nbf` and `iat`; 0 when it has neither. */
  readonly notBeforeMs: number
}

/**
 * Holds a token to what one issuer's tokens must say: everything about it but its signature. That comes last, because
 * it costs most; until it does, nothing here is believed, only refused.
 */
export function checkClaims(jws: CompactJws, issuer: IssuerConfig, nowMs: number): Validity | Refusal {
  const { claims, typ } = jws
  const invalid = (detail: string) => refuse(TOKEN_INVALID, detail, 'never', issuer.name)
  if (jws.length > issuer.maxTokenBytes) return invalid(`longer than ${issuer.maxTokenBytes} bytes`)
  if (jws.depth > issuer.maxDepth) return invalid(`claims: deeper than ${issuer.maxDepth}`)
  if (!(issuer.algorithms as readonly string[]).includes(jws.algorithm)) return invalid('header: alg is not allowed')
  if (!issuer.types.includes(typ === undefined ? '' : normaliseType(typ))) return invalid('header: typ is not accepted')
  if (claims['iss'] !== issuer.issuer) return invalid('iss is not the issuer')
  if (!isMeantFor(claims['aud'], issuer.audiences)) return invalid('aud names none of the audiences')
  if (claims['sub'] !== undefined && typeof claims['sub'] !== 'string') return invalid('sub is not a string')

  const { exp, nbf, iat } = claims
  if (!isNumericDate(exp)) return invalid(exp === undefined ? 'exp is missing' : 'exp is not a date')
  if (nbf !== undefined && !isNumericDate(nbf)) return invalid('nbf is not a date')
  if (iat !== undefined && !isNumericDate(iat)) return invalid('iat is not a date')
  if (issuer.maxLifetimeMs !== undefined) {
    const tooLong = (detail: string) => refuse(TOKEN_LIVES_TOO_LONG, detail, 'never', issuer.name)
    if (iat === undefined) return tooLong('iat is missing')
    if ((exp - iat) * 1_000 > issuer.maxLifetimeMs) return tooLong('exp is too long after iat')
  }
  const expiresAtMs = exp * 1_000
  const notBeforeMs = Math.max(nbf ?? 0, iat ?? 0) * 1_000
  if (nowMs >= expiresAtMs + issuer.clockSkewMs) return refuse(TOKEN_EXPIRED, 'exp is past', 'later', issuer.name)
  if (nowMs < notBeforeMs - issuer.clockSkewMs) {
    const early = (nbf ?? 0) >= (iat ?? 0) ? 'nbf' : 'iat'
    return refuse(TOKEN_NOT_YET_VALID, `${early} is in the future`, 'later', issuer.name)
  }
  return { kind: 'valid', expiresAtMs, notBeforeMs }
}

/** One string, or a list of strings and nothing else (RFC 7519, 4.1.3). */
export function isMeantFor(aud: unknown, audiences: readonly string[]): boolean {
  if (typeof aud === 'string') return audiences.includes(aud)
  return (
    Array.isArray(aud) &&
    aud.every((name) => typeof name === 'string') &&
    aud.some((name: string) => audiences.includes(name))
  )
}

/** The end of the year 9999, in seconds since the epoch: what comes later is no date but a mistake. */
const MAX_NUMERIC_DATE = 253_402_300_799

/** Seconds since the epoch, fractions allowed (RFC 7519, 2). */
function isNumericDate(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= MAX_NUMERIC_DATE
}
