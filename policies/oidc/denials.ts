import type { Denial } from '../../model/verdict.ts'

/** There is no session, and whoever asks is no browser that could be sent to log in. */
export const LOGIN_REQUIRED: Denial = {
  name: 'login-required',
  status: 401,
  title: 'A login is required.',
}

/** What came back from the provider is not the end of a login that this browser began, or does not hold. */
export const LOGIN_FAILED: Denial = {
  name: 'login-failed',
  status: 400,
  title: 'The login could not be finished. Please try again.',
}

/** The provider says no. */
export const LOGIN_REFUSED: Denial = {
  name: 'login-refused',
  status: 403,
  title: 'The login was refused.',
}

/** The provider does not answer, so nobody can be logged in, and no session be renewed. */
export const LOGIN_UNAVAILABLE: Denial = {
  name: 'login-unavailable',
  status: 503,
  title: 'Nobody can log in at the moment.',
}

/** A page of another site has sent a request that changes something, with this browser's session. */
export const CROSS_SITE_REQUEST: Denial = {
  name: 'cross-site-request',
  status: 403,
  title: 'This request came from another site.',
}

/** A session and a token of the client's own: which one speaks for the request, two readers may see differently (T24). */
export const SESSION_AND_TOKEN: Denial = {
  name: 'session-and-token',
  status: 400,
  title: 'The request has a session and a token.',
}

/** What says that sessions are over is not by the provider, or does not say so. */
export const LOGOUT_TOKEN_INVALID: Denial = {
  name: 'logout-token-invalid',
  status: 400,
  title: 'The logout token is not valid.',
}

export const OIDC_DENIALS: readonly Denial[] = [
  LOGIN_REQUIRED,
  LOGIN_FAILED,
  LOGIN_REFUSED,
  LOGIN_UNAVAILABLE,
  CROSS_SITE_REQUEST,
  SESSION_AND_TOKEN,
  LOGOUT_TOKEN_INVALID,
]
