import type { Denial } from '../../model/verdict.ts'

/** A token is required and the request has none. */
export const TOKEN_MISSING: Denial = {
  name: 'token-missing',
  status: 401,
  title: 'A token is required.',
}

/** Malformed, of an unknown issuer, for another audience, of a wrong type, or not signed by a key of its issuer. */
export const TOKEN_INVALID: Denial = {
  name: 'token-invalid',
  status: 401,
  title: 'The token is not valid here.',
}

export const TOKEN_EXPIRED: Denial = {
  name: 'token-expired',
  status: 401,
  title: 'The token has expired.',
}

/** `nbf` or `iat` is later than now, by more than clocks may differ. */
export const TOKEN_NOT_YET_VALID: Denial = {
  name: 'token-not-yet-valid',
  status: 401,
  title: 'The token is not valid yet.',
}

/** A TokenRevocation says that it counts no more. */
export const TOKEN_REVOKED: Denial = {
  name: 'token-revoked',
  status: 401,
  title: 'The token has been revoked.',
}

/** There is more time between `iat` and `exp` than MeshConfig `maxTokenLifetime` has, or nobody can say how much. */
export const TOKEN_LIVES_TOO_LONG: Denial = {
  name: 'token-lives-too-long',
  status: 401,
  title: 'The token is valid for longer than is accepted here.',
}

/** Which of two tokens speaks for the request, two readers may see differently (T24). */
export const TWO_TOKENS: Denial = {
  name: 'two-tokens',
  status: 400,
  title: 'The request has more than one token.',
}

/** The issuer's keys were never received, so nobody can say whether the token is good. */
export const KEYS_UNAVAILABLE: Denial = {
  name: 'keys-unavailable',
  status: 503,
  title: 'Tokens cannot be verified at the moment.',
}

/** This client sent too many tokens that did not verify; tokens known to be good still pass. */
export const TOO_MANY_BAD_TOKENS: Denial = {
  name: 'too-many-bad-tokens',
  status: 429,
  title: 'Too many tokens of this client were not valid.',
}

export const JWT_DENIALS: readonly Denial[] = [
  TOKEN_MISSING,
  TOKEN_INVALID,
  TOKEN_EXPIRED,
  TOKEN_NOT_YET_VALID,
  TOKEN_REVOKED,
  TOKEN_LIVES_TOO_LONG,
  TWO_TOKENS,
  KEYS_UNAVAILABLE,
  TOO_MANY_BAD_TOKENS,
]
