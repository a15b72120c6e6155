import type { BackendCalls, BackendResponse, CallFailure } from '../../model/backend-calls.ts'
import type { VerifiedToken } from '../../model/request.ts'
import type { HeaderPair } from '../../model/verdict.ts'
import { isMeantFor } from '../jwt/claims.ts'
import { MAX_CLAIMS_DEPTH } from '../jwt/config.ts'
import { readJson } from '../jwt/read-json.ts'
import type { IntrospectedIssuer } from './config.ts'

/** Bytes of an answer. */
const MAX_ANSWER_BYTES = 65_536

/** What an issuer says of a token. */
export type Introspected =
  | {
      readonly kind: 'active'
      readonly token: VerifiedToken
      readonly notBeforeMs: number
      readonly jti?: string
      readonly issuedAt?: number
    }
  /** It is none, or none that counts here. */
  | { readonly kind: 'inactive'; readonly detail: string }
  /** Nobody can say. */
  | { readonly kind: 'unavailable'; readonly detail: string }

/** Asks an issuer about a token (RFC 7662, 2.1). The token is in the body, and in nothing that anybody logs. */
export async function introspect(
  issuer: IntrospectedIssuer,
  text: string,
  calls: BackendCalls | undefined,
  nowMs: () => number,
  signal: AbortSignal,
): Promise<Introspected> {
  if (calls === undefined) return unavailable('nobody is asked here')
  const { upstream, authority, path, clientId, authorization, timeoutMs } = issuer
  const headers: HeaderPair[] = [
    ['accept', 'application/json'],
    ['content-type', 'application/x-www-form-urlencoded'],
  ]
  if (authorization !== undefined) headers.push(['authorization', authorization])
  const form = new URLSearchParams({
    token: text,
    token_type_hint: 'access_token',
    ...(clientId !== undefined && { client_id: clientId }),
  }).toString()
  const body = new TextEncoder().encode(form)
  const request = { method: 'POST', path, authority, headers, body, timeoutMs, maxResponseBytes: MAX_ANSWER_BYTES }
  return read(await calls.call(upstream, request, signal), issuer, nowMs())
}

function read(said: BackendResponse | CallFailure, issuer: IntrospectedIssuer, nowMs: number): Introspected {
  if (said.kind === 'failure') return unavailable(`${said.reason}: ${said.detail}`)
  // Also 401: that is about whoever asks, and says nothing of the token (RFC 7662, 2.3).
  if (said.status !== 200) return unavailable(`it answered ${said.status}`)
  const json = readJson(new TextDecoder().decode(said.body), MAX_CLAIMS_DEPTH)
  if (!json.ok) return unavailable('its answer is no JSON')
  const { value } = json
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return unavailable('its answer is no object')
  const claims = value as Readonly<Record<string, unknown>>
  if (claims['active'] === false) return inactive('the issuer says that it is not active')
  if (claims['active'] !== true) return unavailable('its answer does not say whether the token is active')
  return judge(claims, issuer, nowMs)
}

/** Holds what an issuer says of a token to what its tokens must say here. */
function judge(
  claims: Readonly<Record<string, unknown>>,
  { name, issuer, audiences, requiresAudience, clockSkewMs, maxLifetimeMs, maxAgeMs }: IntrospectedIssuer,
  nowMs: number,
): Introspected {
  const { iss, aud, sub, exp, nbf, iat, jti } = claims
  if (iss !== undefined && iss !== issuer) return inactive('iss is not the issuer')
  if (aud === undefined ? requiresAudience : !isMeantFor(aud, audiences))
    return inactive('aud names none of the audiences')
  if (sub !== undefined && typeof sub !== 'string') return inactive('sub is not a string')
  for (const [claim, date] of [
    ['exp', exp],
    ['nbf', nbf],
    ['iat', iat],
  ] as const) {
    if (date !== undefined && !isNumericDate(date)) return inactive(`${claim} is not a date`)
  }
  const times = { exp, nbf, iat } as { readonly exp?: number; readonly nbf?: number; readonly iat?: number }
  if (maxLifetimeMs !== undefined) {
    if (times.exp === undefined || times.iat === undefined) return inactive('exp or iat is missing')
    if ((times.exp - times.iat) * 1_000 > maxLifetimeMs) return inactive('exp is too long after iat')
  }
  if (times.exp !== undefined && nowMs >= times.exp * 1_000 + clockSkewMs) return inactive('exp is past')
  const notBeforeMs = Math.max(times.nbf ?? 0, times.iat ?? 0) * 1_000
  if (nowMs < notBeforeMs - clockSkewMs) return inactive('nbf or iat is in the future')
  // Who says nothing of its end is believed as long as it is remembered.
  const expiresAt = times.exp ?? (nowMs + maxAgeMs) / 1_000
  const token: VerifiedToken = Object.freeze({
    issuer: name,
    iss: issuer,
    ...(typeof sub === 'string' && { subject: sub }),
    claims,
    expiresAt,
  })
  return {
    kind: 'active',
    token,
    notBeforeMs,
    ...(typeof jti === 'string' && { jti }),
    ...(times.iat !== undefined && { issuedAt: times.iat }),
  }
}

function inactive(detail: string): Introspected {
  return { kind: 'inactive', detail }
}

function unavailable(detail: string): Introspected {
  return { kind: 'unavailable', detail }
}

/** Seconds since the epoch, up to the end of the year 9999 (RFC 7519, 2). */
function isNumericDate(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= 253_402_300_799
}
