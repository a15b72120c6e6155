import * as v from 'valibot'
import { EXEMPTION_FIELDS } from '../exemptions/config.ts'
import { IssuerConfig } from '../jwt/config.ts'

/** Milliseconds that a provider may take to answer. */
export const MAX_TIMEOUT_MS = 8_000

/** Milliseconds from a login to the next one. */
export const MIN_SESSION_MS = 60_000
export const MAX_SESSION_MS = 2_592_000_000

/** Texts that cookies are sealed by: one that seals, and those before it. */
export const MAX_COOKIE_KEYS = 8

/** Characters of a cookie key at least: 32 of base64 are 192 bits. */
export const MIN_COOKIE_KEY_CHARACTERS = 32

const whole = (min: number, max: number) => v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max))
const text = (max: number) => v.pipe(v.string(), v.minLength(1), v.maxLength(max))
/** One normal form, without a query: what `RequestView.path` can be. */
const path = v.pipe(v.string(), v.regex(/^(?:\/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+$/), v.maxLength(256))
/** A path at the same host, or a URL by HTTPS: where a browser is sent. */
const endpoint = v.pipe(v.string(), v.regex(/^(?:https:\/\/[a-z0-9]|\/[A-Za-z0-9_~-])[\x21\x24-\x7e]{0,1000}$/))

/** Whoever is asked on the mesh's behalf. */
export const ProviderUpstream = v.strictObject({
  upstream: text(512),
  authority: text(320),
})
export type ProviderUpstream = v.InferOutput<typeof ProviderUpstream>

export const OidcConfig = v.strictObject({
  required: v.boolean(),
  /** How ID tokens and logout tokens are judged; `audiences` is the client alone. */
  issuer: IssuerConfig,
  /** The first is asked for the discovery document, and for all that it says to be at no other's host. */
  upstreams: v.pipe(v.array(ProviderUpstream), v.minLength(1), v.maxLength(4)),
  discoveryPath: v.pipe(v.string(), v.regex(/^\/[\x21\x22\x24-\x7e]{0,1023}$/)),
  /** Where browsers are sent, where the discovery document is not to say it. */
  authorizationEndpoint: v.optional(endpoint),
  endSessionEndpoint: v.optional(endpoint),
  timeoutMs: whole(1, MAX_TIMEOUT_MS),
  clientId: text(256),
  /** Absent: a public client, which has PKCE alone. */
  clientSecret: v.optional(text(1_024)),
  clientAuthentication: v.picklist(['basic', 'post', 'none']),
  scopes: v.pipe(
    v.array(v.pipe(v.string(), v.regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/))),
    v.minLength(1),
    v.maxLength(32),
  ),
  /** What else the authorization endpoint is told. */
  parameters: v.pipe(
    v.array(v.strictObject({ name: v.pipe(v.string(), v.regex(/^[a-z_]{1,64}$/)), value: text(1_024) })),
    v.maxLength(8),
  ),
  /** The first seals; all of them open. Secrets. */
  cookieKeys: v.pipe(
    v.array(v.pipe(v.string(), v.minLength(MIN_COOKIE_KEY_CHARACTERS), v.maxLength(1_024))),
    v.minLength(1),
    v.maxLength(MAX_COOKIE_KEYS),
  ),
  /** Behind `__Host-`. */
  cookieName: v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,31}$/)),
  /** Milliseconds from a login to the next one, whatever is renewed meanwhile. */
  maxAgeMs: whole(MIN_SESSION_MS, MAX_SESSION_MS),
  paths: v.strictObject({ callback: path, login: path, logout: path, backChannelLogout: path }),
  /** Where a browser is after a logout, once the provider has sent it back. Absent: the provider is not asked to. */
  afterLogout: v.optional(v.union([v.literal('/'), path])),
  /** Other origins whose pages may change things with a session. */
  trustedOrigins: v.pipe(v.array(v.pipe(v.string(), v.regex(/^https:\/\/[a-z0-9.-]+(?::\d{1,5})?$/))), v.maxLength(16)),
  ...EXEMPTION_FIELDS,
})
export type OidcConfig = v.InferOutput<typeof OidcConfig>
