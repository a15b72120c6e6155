import type { ConnectionRecord, RequestRecord } from '../serve/observation.ts'

/**
 * What a refusal counts as against whoever caused it: a login that failed, a right that was not there, a path that does not
 * exist, too many requests, or bytes that are no request.
 */
export const OFFENCES = ['authentication', 'authorization', 'unknown-path', 'rate-limit', 'malformed'] as const
export type Offence = (typeof OFFENCES)[number]

/** Filters that ask who the user or the program is. */
const AUTHENTICATION: ReadonlySet<string> = new Set(['jwt', 'api-key', 'oidc', 'introspection', 'internal-token'])

/** Filters that ask whether whoever it is may. `cors` is none: it asks for the page, not for the user. */
const AUTHORIZATION: ReadonlySet<string> = new Set(['mtls', 'ip-access', 'authorization', 'external-authorization'])

/** What there is to try with: nothing was tried where nothing was shown, and nobody is to blame where keys are not there. */
const NO_ATTEMPT: ReadonlySet<string> = new Set(['token-missing', 'api-key-missing', 'keys-unavailable'])

/** Whether a refusal says that somebody is not who they claim to be. */
export function isAuthentication(filter: string | undefined): boolean {
  return filter !== undefined && AUTHENTICATION.has(filter)
}

/**
 * What a request counts as; undefined for most. Where no filter of this sidecar refused, the status decides, whoever said it: a
 * gateway counts the 401 of a service against the client that it came for.
 */
export function offenceOf({ refusal, outcome, status }: RequestRecord): Offence | undefined {
  if (refusal === undefined && status < 400) return undefined
  const filter = refusal?.filter
  if (filter !== undefined) {
    if (AUTHENTICATION.has(filter)) return NO_ATTEMPT.has(refusal?.denial ?? '') ? undefined : 'authentication'
    if (AUTHORIZATION.has(filter)) return 'authorization'
    return filter === 'rate-limit' ? 'rate-limit' : undefined
  }
  if (outcome === 'malformed') return 'malformed'
  return BY_STATUS.get(status)
}

const BY_STATUS: ReadonlyMap<number, Offence> = new Map([
  [401, 'authentication'],
  [403, 'authorization'],
  [404, 'unknown-path'],
  [421, 'unknown-path'],
  [429, 'rate-limit'],
])

/** Why a TLS handshake came to nothing. One of these words, whatever OpenSSL has for it. */
export type HandshakeFailure = 'expired' | 'not-yet-valid' | 'untrusted' | 'no-certificate' | 'identity' | 'other'

const HANDSHAKE_FAILURES: ReadonlyMap<string, HandshakeFailure> = new Map([
  ['CERT_HAS_EXPIRED', 'expired'],
  ['CERT_NOT_YET_VALID', 'not-yet-valid'],
  ['ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE', 'no-certificate'],
  ['UNABLE_TO_GET_ISSUER_CERT', 'untrusted'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'untrusted'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'untrusted'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'untrusted'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'untrusted'],
  ['CERT_SIGNATURE_FAILURE', 'untrusted'],
  ['INVALID_CA', 'untrusted'],
  ['INVALID_PURPOSE', 'untrusted'],
])

/** Undefined for a connection that was not refused because of its handshake. */
export function handshakeFailureOf({ refusal }: Pick<ConnectionRecord, 'refusal'>): HandshakeFailure | undefined {
  if (refusal?.denial === 'peer-identity') return 'identity'
  if (refusal?.denial !== 'handshake-failed') return undefined
  return HANDSHAKE_FAILURES.get(refusal.detail ?? '') ?? 'other'
}
