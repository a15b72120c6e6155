import * as v from 'valibot'
import { EXEMPTION_FIELDS } from '../exemptions/config.ts'
import { TokenLocation } from '../jwt/config.ts'

/** Keys at one place at most, over all Secrets of all policies there. */
export const MAX_KEYS = 4_096

/** Characters of the name of a client. */
export const MAX_CLIENT_LENGTH = 63

/** Of a client: it is a label of metrics, a field of logs, and a value of a header. */
export const CLIENT_ID = /^[a-z0-9](?:[-a-z0-9._]{0,61}[a-z0-9])?$/

/** SHA-256 as base64url without padding. */
export const KEY_HASH = /^[A-Za-z0-9_-]{43}$/

/** One key. Of the key itself nothing is known but its hash. */
export const ApiKey = v.strictObject({
  client: v.pipe(v.string(), v.regex(CLIENT_ID)),
  /** Of the key's characters as they are sent, `hauberk_` and all. */
  sha256: v.pipe(v.string(), v.regex(KEY_HASH)),
  /** Milliseconds since the epoch. Absent: it does not expire. */
  expiresAtMs: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(8.64e15))),
})
export type ApiKey = v.InferOutput<typeof ApiKey>

export const ApiKeyConfig = v.strictObject({
  required: v.boolean(),
  keys: v.pipe(v.array(ApiKey), v.maxLength(MAX_KEYS)),
  locations: v.pipe(v.array(TokenLocation), v.minLength(1), v.maxLength(16)),
  /** Tells the application who calls, under this name; what the client sent under it is removed. */
  clientHeader: v.optional(v.pipe(v.string(), v.regex(/^[a-z0-9-]{1,64}$/))),
  ...EXEMPTION_FIELDS,
})
export type ApiKeyConfig = v.InferOutput<typeof ApiKeyConfig>
