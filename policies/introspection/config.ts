import * as v from 'valibot'
import { EXEMPTION_FIELDS } from '../exemptions/config.ts'
import { ClaimHeader, MAX_CLOCK_SKEW_MS, TokenLocation } from '../jwt/config.ts'

/** Milliseconds that an authorization server may take to answer, and that an active token may be remembered. */
export const MAX_TIMEOUT_MS = 5_000
export const MAX_AGE_MS = 3_600_000

const whole = (min: number, max: number) => v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max))
const text = v.pipe(v.string(), v.minLength(1), v.maxLength(2_048))

/** One TokenIssuer that is asked about its tokens (RFC 7662). */
export const IntrospectedIssuer = v.strictObject({
  /** Of the TokenIssuer. */
  name: v.pipe(v.string(), v.minLength(1), v.maxLength(253)),
  /** What `iss` must be where an answer has it, character by character. */
  issuer: text,
  audiences: v.pipe(v.array(text), v.minLength(1), v.maxLength(32)),
  /** False: an answer that says nothing of an audience is for everybody. */
  requiresAudience: v.boolean(),
  clockSkewMs: whole(0, MAX_CLOCK_SKEW_MS),
  /** `exp` minus `iat` at most; both are mandatory then. */
  maxLifetimeMs: v.optional(whole(1_000, 31_622_400_000)),
  upstream: v.pipe(v.string(), v.minLength(1), v.maxLength(512)),
  authority: v.pipe(v.string(), v.minLength(1), v.maxLength(320)),
  path: v.pipe(v.string(), v.regex(/^\/[\x21\x22\x24-\x7e]{0,1023}$/)),
  /** Whom the mesh is known as there, where no secret proves it. */
  clientId: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(256))),
  /** What proves who asks, as a header value: a secret. Absent: the mesh's own TLS has to do. */
  authorization: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(4_096))),
  timeoutMs: whole(1, MAX_TIMEOUT_MS),
  /** Milliseconds that an active token is remembered at most; 0 is not at all. */
  maxAgeMs: whole(0, MAX_AGE_MS),
})
export type IntrospectedIssuer = v.InferOutput<typeof IntrospectedIssuer>

export const IntrospectionConfig = v.strictObject({
  required: v.boolean(),
  /** Asked one after the other, until one knows the token. */
  issuers: v.pipe(v.array(IntrospectedIssuer), v.minLength(1), v.maxLength(4)),
  locations: v.pipe(v.array(TokenLocation), v.minLength(1), v.maxLength(4)),
  forward: v.picklist(['strip', 'keep']),
  claimHeaders: v.pipe(v.array(ClaimHeader), v.maxLength(16)),
  ...EXEMPTION_FIELDS,
})
export type IntrospectionConfig = v.InferOutput<typeof IntrospectionConfig>
