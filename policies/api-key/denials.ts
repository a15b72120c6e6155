import type { Denial } from '../../model/verdict.ts'

/** A key is required and the request has none. */
export const API_KEY_MISSING: Denial = {
  name: 'api-key-missing',
  status: 401,
  title: 'An API key is required.',
}

/** No key of the policy's Secrets. */
export const API_KEY_INVALID: Denial = {
  name: 'api-key-invalid',
  status: 401,
  title: 'The API key is not valid here.',
}

export const API_KEY_EXPIRED: Denial = {
  name: 'api-key-expired',
  status: 401,
  title: 'The API key has expired.',
}

/** Which of two keys speaks for the request, two readers may see differently. */
export const TWO_API_KEYS: Denial = {
  name: 'two-api-keys',
  status: 400,
  title: 'The request has more than one API key.',
}

export const API_KEY_DENIALS: readonly Denial[] = [API_KEY_MISSING, API_KEY_INVALID, API_KEY_EXPIRED, TWO_API_KEYS]
