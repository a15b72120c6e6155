import * as v from 'valibot'
import { EXEMPTION_FIELDS } from '../exemptions/config.ts'
import { ALGORITHMS } from './algorithms.ts'

/** Bytes of a token at most, whatever an issuer allows (T23). */
export const MAX_TOKEN_BYTES = 8_192

/** Depth of a token's claims at most, the claims themselves being the first level (T23). */
export const MAX_CLAIMS_DEPTH = 16

/** Milliseconds that clocks may differ by at most (F10). */
export const MAX_CLOCK_SKEW_MS = 300_000

const name = v.pipe(v.string(), v.minLength(1), v.maxLength(253))
const text = v.pipe(v.string(), v.minLength(1), v.maxLength(2_048))
const headerName = v.pipe(v.string(), v.regex(/^[a-z0-9-]{1,64}$/))
const whole = (min: number, max: number) => v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max))

/** One TokenIssuer as its tokens are judged; its keys come as a document of their own, by `name`. */
export const IssuerConfig = v.strictObject({
  /** Of the TokenIssuer. */
  name,
  /** What `iss` must be, character by character. */
  issuer: text,
  /** `aud` must hold one of these. */
  audiences: v.pipe(v.array(text), v.minLength(1), v.maxLength(32)),
  algorithms: v.pipe(v.array(v.picklist(ALGORITHMS)), v.minLength(1), v.maxLength(ALGORITHMS.length)),
  /** Lower case, without `application/`; the empty string admits tokens that have no `typ`. */
  types: v.pipe(v.array(v.pipe(v.string(), v.maxLength(64))), v.minLength(1), v.maxLength(8)),
  clockSkewMs: whole(0, MAX_CLOCK_SKEW_MS),
  /** `exp` minus `iat` at most; `iat` is mandatory then. Absent: no limit. */
  maxLifetimeMs: v.optional(whole(1_000, 31_622_400_000)),
  maxTokenBytes: whole(256, MAX_TOKEN_BYTES),
  maxDepth: whole(1, MAX_CLAIMS_DEPTH),
  /** Verified tokens that one sidecar remembers; `maxEntries: 0` is none. */
  cache: v.strictObject({
    maxEntries: whole(0, 1_000_000),
    maxBytes: whole(0, 1_073_741_824),
    maxAgeMs: whole(0, 3_600_000),
  }),
})
export type IssuerConfig = v.InferOutput<typeof IssuerConfig>

/** Where a token may be. */
export const TokenLocation = v.variant('kind', [
  v.strictObject({
    kind: v.literal('header'),
    name: headerName,
    /** The authentication scheme before the token, lower case; absent: the whole value is the token. */
    scheme: v.optional(v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,31}$/))),
  }),
  v.strictObject({
    kind: v.literal('cookie'),
    name: v.pipe(v.string(), v.regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/)),
  }),
])
export type TokenLocation = v.InferOutput<typeof TokenLocation>

export const ClaimHeader = v.strictObject({
  /** A JSON Pointer (RFC 6901) into the claims. */
  claim: v.pipe(v.string(), v.maxLength(256)),
  header: headerName,
})
export type ClaimHeader = v.InferOutput<typeof ClaimHeader>

export const JwtConfig = v.strictObject({
  required: v.boolean(),
  issuers: v.pipe(v.array(IssuerConfig), v.minLength(1), v.maxLength(64)),
  locations: v.pipe(v.array(TokenLocation), v.minLength(1), v.maxLength(16)),
  /** `exchange`: it is taken off, and handed to the filter that exchanges it. Since 3. */
  forward: v.picklist(['strip', 'keep', 'exchange']),
  claimHeaders: v.pipe(v.array(ClaimHeader), v.maxLength(64)),
  ...EXEMPTION_FIELDS,
})
export type JwtConfig = v.InferOutput<typeof JwtConfig>
