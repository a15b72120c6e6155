/**
 * Signature algorithms that an issuer may be allowed: asymmetric ones alone (RFC 7518, 3.1; RFC 8037; RFC 9864).
 * `none` and the HMAC family are not in it: no config can name them.
 */
export const ALGORITHMS = [
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
] as const
export type Algorithm = (typeof ALGORITHMS)[number]

/** What an issuer that names no algorithms is allowed. */
export const DEFAULT_ALGORITHMS: readonly Algorithm[] = ['ES256', 'EdDSA', 'PS256', 'RS256']
