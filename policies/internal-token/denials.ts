import type { Denial } from '../../model/verdict.ts'

/** An internal token is required and the request has none. */
export const INTERNAL_TOKEN_MISSING: Denial = {
  name: 'internal-token-missing',
  status: 401,
  title: 'An internal token is required.',
}

/** Malformed, of another trust domain, or not signed by the token service. */
export const INTERNAL_TOKEN_INVALID: Denial = {
  name: 'internal-token-invalid',
  status: 401,
  title: 'The internal token is not valid here.',
}

export const INTERNAL_TOKEN_EXPIRED: Denial = {
  name: 'internal-token-expired',
  status: 401,
  title: 'The internal token has expired.',
}

/** Exactly one may be sent (draft-ietf-oauth-transaction-tokens-08, 5.1). */
export const TWO_INTERNAL_TOKENS: Denial = {
  name: 'two-internal-tokens',
  status: 400,
  title: 'The request has more than one internal token.',
}

/** It was made for another workload than the one that sent it: somebody passes on what was given to them (T26). */
export const INTERNAL_TOKEN_REPLAYED: Denial = {
  name: 'internal-token-replayed',
  status: 403,
  title: 'The internal token was made for another caller.',
}

/** A user is asked for, and the token is one that a workload has for itself. */
export const INTERNAL_TOKEN_WITHOUT_USER: Denial = {
  name: 'internal-token-without-user',
  status: 403,
  title: 'The internal token speaks for no user.',
}

/** Its scope lacks something that this service asks for. */
export const INTERNAL_TOKEN_SCOPE: Denial = {
  name: 'internal-token-scope',
  status: 403,
  title: 'The scope of the internal token does not suffice.',
}

/** The keys of the token service were never received, so nobody can say whether the token is good. */
export const INTERNAL_TOKEN_UNVERIFIABLE: Denial = {
  name: 'internal-token-unverifiable',
  status: 503,
  title: 'Internal tokens cannot be verified at the moment.',
}

/** There is no room to remember one more request that is in work, by whose token its calls would be told. */
export const TOO_MANY_LIVE_REQUESTS: Denial = {
  name: 'too-many-live-requests',
  status: 503,
  title: 'Too many requests are in work here.',
}

export const INTERNAL_TOKEN_DENIALS: readonly Denial[] = [
  INTERNAL_TOKEN_MISSING,
  INTERNAL_TOKEN_INVALID,
  INTERNAL_TOKEN_EXPIRED,
  TWO_INTERNAL_TOKENS,
  INTERNAL_TOKEN_REPLAYED,
  INTERNAL_TOKEN_WITHOUT_USER,
  INTERNAL_TOKEN_SCOPE,
  INTERNAL_TOKEN_UNVERIFIABLE,
  TOO_MANY_LIVE_REQUESTS,
]

/** The token service was not reached, and no token is kept that is still good. */
export const INTERNAL_TOKEN_UNAVAILABLE: Denial = {
  name: 'internal-token-unavailable',
  status: 503,
  title: 'No internal token can be had at the moment.',
}

/** The token service gives no token for this user, here. */
export const INTERNAL_TOKEN_REFUSED: Denial = {
  name: 'internal-token-refused',
  status: 403,
  title: 'The token service has refused this request.',
}

export const TOKEN_EXCHANGE_DENIALS: readonly Denial[] = [INTERNAL_TOKEN_UNAVAILABLE, INTERNAL_TOKEN_REFUSED]

/** Requests of different users with one trace id are in work: nobody can say for which of them this call is made (T34). */
export const INTERNAL_TOKEN_AMBIGUOUS: Denial = {
  name: 'internal-token-ambiguous',
  status: 403,
  title: 'Nobody can say for whom this call is made.',
}

export const TOKEN_RELAY_DENIALS: readonly Denial[] = [INTERNAL_TOKEN_AMBIGUOUS, ...TOKEN_EXCHANGE_DENIALS]
