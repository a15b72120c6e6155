import * as v from 'valibot'

const seconds = v.pipe(v.number(), v.integer(), v.minValue(0))
const text = v.string()

/** What the cookies of a session hold. Times are seconds since the epoch. */
export const Session = v.strictObject({
  /** Of which issuer and client it is. */
  binding: text,
  /** Of this login and no other. */
  id: text,
  sub: text,
  /** The provider's name of the session (OpenID Connect Back-Channel Logout, 2.1). */
  sid: v.optional(text),
  /** When the provider issued the ID token of the login. */
  iat: seconds,
  /** When it ends, whatever was renewed. */
  until: seconds,
  accessToken: text,
  accessUntil: seconds,
  /** From when on the access token is renewed. */
  renewFrom: seconds,
  refreshToken: v.optional(text),
  /** As a hint to the provider at the logout. */
  idToken: v.optional(text),
})
export type Session = v.InferOutput<typeof Session>

/** What the cookie of a login that has begun holds. */
export const Login = v.strictObject({
  binding: text,
  state: text,
  nonce: text,
  /** RFC 7636, 4.1. */
  verifier: text,
  redirectUri: text,
  returnTo: text,
  until: seconds,
})
export type Login = v.InferOutput<typeof Login>
