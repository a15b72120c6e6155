import type { Denial } from '../../model/verdict.ts'

/** A token is required and the request has none. */
export const OPAQUE_TOKEN_MISSING: Denial = {
  name: 'opaque-token-missing',
  status: 401,
  title: 'A token is required.',
}

/** No issuer says that it is active; or it is for somebody else, or its time is over. */
export const OPAQUE_TOKEN_INACTIVE: Denial = {
  name: 'opaque-token-inactive',
  status: 401,
  title: 'The token is not valid here.',
}

/** Which of two tokens speaks for the request, two readers may see differently (T24). */
export const TWO_OPAQUE_TOKENS: Denial = {
  name: 'two-opaque-tokens',
  status: 400,
  title: 'The request has more than one token.',
}

/** The issuer did not answer, so nobody can say whether the token is good. */
export const INTROSPECTION_UNAVAILABLE: Denial = {
  name: 'introspection-unavailable',
  status: 503,
  title: 'Tokens cannot be verified at the moment.',
}

/** This client sent too many tokens that nobody knows; tokens known to be good still pass. */
export const TOO_MANY_UNKNOWN_TOKENS: Denial = {
  name: 'too-many-unknown-tokens',
  status: 429,
  title: 'Too many tokens of this client were not valid.',
}

export const INTROSPECTION_DENIALS: readonly Denial[] = [
  OPAQUE_TOKEN_MISSING,
  OPAQUE_TOKEN_INACTIVE,
  TWO_OPAQUE_TOKENS,
  INTROSPECTION_UNAVAILABLE,
  TOO_MANY_UNKNOWN_TOKENS,
]
