import type { Ended } from './ended-sessions.ts'

/** Bytes of the form that brings a logout token. */
export const MAX_LOGOUT_FORM_BYTES = 16_384

const EVENT = 'http://schemas.openid.net/event/backchannel-logout'

/** The one logout token of a form; undefined where there is none, or more than one. */
export function logoutTokenOf(form: Uint8Array): string | undefined {
  const tokens = new URLSearchParams(new TextDecoder().decode(form)).getAll('logout_token')
  return tokens.length === 1 && tokens[0] !== '' ? tokens[0] : undefined
}

/**
 * What the claims of a verified logout token end (OpenID Connect Back-Channel Logout 1.0, 2.6); a text says why it is none.
 * An ID token is none: it has no event, and may have a nonce.
 */
export function endedBy(claims: Readonly<Record<string, unknown>>): Ended | string {
  const { events, nonce, sid, sub } = claims
  if (typeof events !== 'object' || events === null || !Object.hasOwn(events, EVENT)) return 'it is about no logout'
  const event = (events as Readonly<Record<string, unknown>>)[EVENT]
  if (typeof event !== 'object' || event === null) return 'its event is no object'
  if (nonce !== undefined) return 'it has a nonce'
  if (claims['iat'] === undefined || claims['jti'] === undefined) return 'iat or jti is missing'
  if (sid !== undefined && (typeof sid !== 'string' || sid === '')) return 'sid is not a string'
  if (sub !== undefined && typeof sub !== 'string') return 'sub is not a string'
  if (sid === undefined && sub === undefined) return 'it names neither a session nor a person'
  return { ...(sid !== undefined && { sid }), ...(sub !== undefined && { sub }) }
}
