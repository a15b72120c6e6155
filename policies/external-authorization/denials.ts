import type { Denial } from '../../model/verdict.ts'

/** The service that was asked said no. Its own status may take the place of this one. */
export const EXTERNAL_AUTHORIZATION_DENIED: Denial = {
  name: 'external-authorization-denied',
  status: 403,
  title: 'The service that authorizes requests refused this one.',
}

/** There is no answer, or none that can be obeyed. */
export const EXTERNAL_AUTHORIZATION_UNAVAILABLE: Denial = {
  name: 'external-authorization-unavailable',
  status: 503,
  title: 'Requests cannot be authorized at the moment.',
}

export const EXTERNAL_AUTHORIZATION_DENIALS: readonly Denial[] = [
  EXTERNAL_AUTHORIZATION_DENIED,
  EXTERNAL_AUTHORIZATION_UNAVAILABLE,
]
