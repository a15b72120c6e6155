import * as v from 'valibot'
import { MAX_TOKEN_TTL_SECONDS, MIN_TOKEN_TTL_SECONDS } from '../../model/internal-tokens.ts'
import { IssuerConfig } from '../jwt/config.ts'

/** Words of a scope, of all that floors and policies name together: each names 1,024 characters at most. */
export const MAX_SCOPES = 1_024

/** Claims that a policy may put into tokens. */
export const MAX_CONTEXT_CLAIMS = 16

/** One word of a scope (RFC 6749, 3.3). */
const scope = v.pipe(v.string(), v.regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/))

/** How internal tokens of requests are judged. */
export const InternalTokenConfig = v.strictObject({
  required: v.boolean(),
  /** The token service, which is the one issuer there is: in a list, as every filter that verifies tokens has it. */
  issuers: v.pipe(v.array(IssuerConfig), v.length(1)),
  /** All of them must be in the token. */
  scope: v.pipe(v.array(scope), v.maxLength(MAX_SCOPES)),
  /** `user`: a token that a workload has for itself does not do. */
  subject: v.picklist(['user', 'any']),
  /** `caller`: it must have been made for whoever is at the other end of the connection. */
  binding: v.picklist(['caller', 'none']),
  forward: v.picklist(['strip', 'keep']),
})
export type InternalTokenConfig = v.InferOutput<typeof InternalTokenConfig>

/** What tokens are like that a workload's own calls go on with. */
export const TokenRelayConfig = v.strictObject({
  /** Sorted. Absent: what the token has that the call is made for; a workload's own token has none. */
  scope: v.optional(v.pipe(v.array(scope), v.maxLength(MAX_SCOPES))),
  ttlSeconds: v.pipe(v.number(), v.integer(), v.minValue(MIN_TOKEN_TTL_SECONDS), v.maxValue(MAX_TOKEN_TTL_SECONDS)),
})
export type TokenRelayConfig = v.InferOutput<typeof TokenRelayConfig>

/** What the token is like that a request goes on with. */
export const TokenExchangeConfig = v.strictObject({
  /** Sorted. Absent: what the user's token has. */
  scope: v.optional(v.pipe(v.array(scope), v.maxLength(MAX_SCOPES))),
  ttlSeconds: v.pipe(v.number(), v.integer(), v.minValue(MIN_TOKEN_TTL_SECONDS), v.maxValue(MAX_TOKEN_TTL_SECONDS)),
  /** JSON Pointers (RFC 6901) into the claims of the user's token, sorted. */
  claims: v.pipe(v.array(v.pipe(v.string(), v.maxLength(256))), v.maxLength(MAX_CONTEXT_CLAIMS)),
})
export type TokenExchangeConfig = v.InferOutput<typeof TokenExchangeConfig>
