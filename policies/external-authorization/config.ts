import * as v from 'valibot'
import { EXEMPTION_FIELDS } from '../exemptions/config.ts'

/** Milliseconds that an answer may take, and that one may be remembered. */
export const MAX_TIMEOUT_MS = 5_000
export const MAX_TTL_MS = 3_600_000

/** Lower case. */
const headerName = v.pipe(v.string(), v.regex(/^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/))
const headerNames = v.pipe(v.array(headerName), v.maxLength(64))
const text = (max: number) => v.pipe(v.string(), v.maxLength(max))
const whole = (min: number, max: number) => v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max))

/** What an answer may depend on besides who asks, which it always does. */
export const CacheKeyPart = v.picklist(['identity', 'method', 'path', 'query', 'host', 'clientIp'])
export type CacheKeyPart = v.InferOutput<typeof CacheKeyPart>

/** One service that is asked. */
export const AuthorizerConfig = v.strictObject({
  upstream: v.pipe(v.string(), v.minLength(1), v.maxLength(512)),
  /** `Host` there. */
  authority: v.pipe(v.string(), v.minLength(1), v.maxLength(320)),
  protocol: v.picklist(['http', 'grpc']),
  /** http only: what is asked for, by GET. Absent: what the request itself asks for, by its own method. */
  path: v.optional(v.pipe(v.string(), v.regex(/^\/[\x21\x22\x24-\x7e]{0,1023}$/))),
  timeoutMs: whole(1, MAX_TIMEOUT_MS),
  /** Whether the request passes where nobody could be asked. */
  failOpen: v.boolean(),
  /** Headers of the request that the service is told. */
  requestHeaders: headerNames,
  /** Headers of an answer that allows which the application is told; nobody else may set them. grpc: absent, all of them. */
  upstreamHeaders: v.optional(headerNames),
  /** Headers of an answer that denies which the client is told. grpc: absent, all of them. */
  clientHeaders: v.optional(headerNames),
  /** grpc only: `context_extensions`. */
  context: v.pipe(v.array(v.strictTuple([text(128), text(1_024)])), v.maxLength(32)),
  cache: v.optional(
    v.strictObject({
      /** Besides `identity`, which always counts. */
      key: v.pipe(v.array(CacheKeyPart), v.maxLength(6)),
      ttlMs: whole(1, MAX_TTL_MS),
    }),
  ),
})
export type AuthorizerConfig = v.InferOutput<typeof AuthorizerConfig>

export const ExternalAuthorizationConfig = v.strictObject({
  /** Each of them has to allow: that of the floor, and that of the nearest policy. */
  authorizers: v.pipe(v.array(AuthorizerConfig), v.minLength(1), v.maxLength(2)),
  /** `namespace/name`: whom the request is for. */
  workload: v.pipe(v.string(), v.maxLength(512)),
  ...EXEMPTION_FIELDS,
})
export type ExternalAuthorizationConfig = v.InferOutput<typeof ExternalAuthorizationConfig>
