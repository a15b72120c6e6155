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
const NO_ATTEMPT: ReadonlySet<string> = new Set([
  ...['token-missing', 'api-key-missing', 'internal-token-missing'],
  ...['login-required', 'login-unavailable', 'cross-site-request'],
  ...['keys-unavailable', 'internal-token-unverifiable', 'internal-token-unavailable'],
])

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

/** What alerts are about. Each is counted from 0 on, so that the first one is seen. */
export const THREATS = [
  'failed-login',
  'privilege-probe',
  'unknown-path',
  'rate-limit',
  'forged-token',
  'replayed-token',
  'bad-certificate',
  'plaintext',
  'smuggling',
  'flood',
  'breakout',
] as const
export type Threat = (typeof THREATS)[number]

/** Denials that tell of a threat by themselves. What counts by who caused it is an {@link Offence} too. */
const THREAT_DENIALS: Readonly<Partial<Record<Threat, readonly string[]>>> = {
  'forged-token': [
    ...['token-invalid', 'two-tokens', 'api-key-invalid', 'two-api-keys'],
    ...['internal-token-invalid', 'two-internal-tokens', 'logout-token-invalid'],
  ],
  'privilege-probe': ['database-user-refused', 'database-refused', 'replication-refused'],
  // Tokens that were good: whoever sends them again and again has kept what is over.
  'replayed-token': [
    ...['token-expired', 'token-revoked', 'api-key-expired'],
    ...['internal-token-expired', 'internal-token-replayed'],
  ],
  plaintext: ['plaintext-refused'],
  // What two readers could read differently (T12, T14, T15, T17, T24).
  smuggling: [
    ...['te-and-cl', 'te-on-http10', 'duplicate-content-length', 'bad-content-length'],
    ...['duplicate-transfer-encoding', 'bad-transfer-encoding', 'body-not-allowed'],
    ...['bad-chunk-size', 'chunk-too-big', 'bad-chunk-extension', 'bad-chunk-end', 'bad-trailer', 'forbidden-trailer'],
    ...['space-before-colon', 'bad-header-name', 'bad-header-value', 'folded-header', 'bare-cr', 'bare-lf'],
    ...['underscore-header', 'connection-names-protected-header', 'duplicate-authorization', 'duplicate-header'],
    ...['duplicate-host', 'bad-host', 'host-differs-from-target'],
    ...['double-escape', 'ambiguous-path', 'bad-escape', 'target-with-fragment'],
  ],
  flood: [
    ...['http2-flood', 'too-many-bad-tokens', 'connection-limit', 'request-timeout'],
    ...['too-many-headers', 'head-too-long', 'chunk-extension-too-long', 'trailers-too-long'],
  ],
  // A workload that calls where it has no business, or somebody who uses its doors (T10, T33, T35).
  breakout: [
    ...['outbound-unknown-host', 'outbound-unknown-address', 'outbound-forbidden-address', 'outbound-host-mismatch'],
    ...['proxy-credential', 'foreign-process', 'not-captured', 'undeclared-port'],
  ],
}

const THREAT_BY_DENIAL: ReadonlyMap<string, Threat> = new Map(
  THREATS.flatMap((threat) => (THREAT_DENIALS[threat] ?? []).map((denial) => [denial, threat] as const)),
)

const THREAT_BY_OFFENCE: Readonly<Record<Offence, Threat | undefined>> = {
  authentication: 'failed-login',
  authorization: 'privilege-probe',
  'unknown-path': 'unknown-path',
  'rate-limit': 'rate-limit',
  malformed: undefined,
}

/** What a refusal counts as by its name. */
export function threatOfDenial(denial: string): Threat | undefined {
  return THREAT_BY_DENIAL.get(denial)
}

/** What it counts as by what was tried. */
export function threatOfOffence(offence: Offence): Threat | undefined {
  return THREAT_BY_OFFENCE[offence]
}

/** Whether a certificate was shown that is none of this mesh. */
export function isBadCertificate(failure: HandshakeFailure): boolean {
  return failure !== 'other' && failure !== 'no-certificate'
}
