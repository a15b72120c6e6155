import * as v from 'valibot'
import { MAX_TOKEN_TTL_SECONDS, MIN_TOKEN_TTL_SECONDS } from '../model/internal-tokens.ts'

/**
 * How a sidecar gets internal tokens from an operator: OAuth 2.0 Token Exchange (RFC 8693) as
 * draft-ietf-oauth-transaction-tokens-08 profiles it, one POST of a form over mTLS. Who asks is proven by the SVID of the
 * connection and by nothing else.
 */
export const TOKEN_PATH = '/v1/token'

/** Where the public keys are, as a JWKS (RFC 7517, 5). Sidecars have them pushed; this is for everybody else. */
export const TOKEN_KEYS_PATH = '/v1/jwks.json'

/** Bytes of a request body at most: a token of 8,192 and what else is said. */
export const MAX_TOKEN_REQUEST_BYTES = 16_384

/** Bytes of an answer at most. */
export const MAX_TOKEN_ANSWER_BYTES = 16_384

/** `grant_type` (RFC 8693, 2.1). */
export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'

/** `requested_token_type`, and of a `subject_token` that was made here (section 4.1 of the draft). */
export const TXN_TOKEN = 'urn:ietf:params:oauth:token-type:txn_token'

/** `subject_token_type` of what a TokenIssuer has signed (RFC 8693, 3). */
export const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'

/** `subject_token_type` of a workload that asks for itself: `{"sub": <its SPIFFE id>}` (section 4.2.2 of the draft). */
export const UNSIGNED_JSON = 'urn:ietf:params:oauth:token-type:unsigned_json'

/** What `request_details` holds, as JSON. */
export const TokenRequestDetails = v.strictObject({
  /** Seconds. No more than the caller's policy says. */
  ttl: v.pipe(v.number(), v.integer(), v.minValue(MIN_TOKEN_TTL_SECONDS), v.maxValue(MAX_TOKEN_TTL_SECONDS)),
  /** JSON Pointers into the claims of the subject's token. No others than the caller's policy names. */
  claims: v.pipe(v.array(v.pipe(v.string(), v.maxLength(256))), v.maxLength(16)),
})
export type TokenRequestDetails = v.InferOutput<typeof TokenRequestDetails>

/** RFC 8693, 2.2.1. */
export const TokenAnswer = v.object({
  access_token: v.pipe(v.string(), v.minLength(1), v.maxLength(8_192)),
  issued_token_type: v.literal(TXN_TOKEN),
  token_type: v.literal('N_A'),
  /** Seconds. */
  expires_in: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(MAX_TOKEN_TTL_SECONDS)),
  scope: v.optional(v.string()),
})
export type TokenAnswer = v.InferOutput<typeof TokenAnswer>

/** RFC 6749, 5.2. `error_description` is stable, kebab-case. */
export const TokenProblem = v.object({
  error: v.string(),
  error_description: v.optional(v.string()),
})
export type TokenProblem = v.InferOutput<typeof TokenProblem>
