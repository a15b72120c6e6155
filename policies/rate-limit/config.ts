import * as v from 'valibot'

/** Limits at one place at most, over all policies. */
export const MAX_LIMITS = 64

/** Milliseconds of `per` at most: the longest month. Sidecars that speak version 1 or 2 of the contract know a day at most. */
export const MAX_PER_MS = 31 * 86_400_000

/** Milliseconds of `per` at most for sidecars that speak version 1 or 2 of the contract. */
export const MAX_EARLIER_PER_MS = 86_400_000

export const MAX_REQUESTS = 1_000_000

const text = v.pipe(v.string(), v.minLength(1), v.maxLength(1024))
const requests = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(MAX_REQUESTS))

/** What tells clients apart. The parts of a key are taken together. */
export const KeyPart = v.variant('kind', [
  v.strictObject({ kind: v.literal('service-account') }),
  v.strictObject({ kind: v.literal('ip') }),
  /** Whom an API key says to call. Since 3. */
  v.strictObject({ kind: v.literal('client') }),
  /** A JSON Pointer into the claims of the verified token. */
  v.strictObject({ kind: v.literal('claim'), claim: text }),
  /** In lower case. */
  v.strictObject({ kind: v.literal('header'), name: text }),
  /** A variable of `paths`. */
  v.strictObject({ kind: v.literal('path'), variable: text }),
])
export type KeyPart = v.InferOutput<typeof KeyPart>

export const Limit = v.strictObject({
  name: text,
  /** `Kind/namespace/name` of the policy, which with `name` says whose buckets these are. */
  policy: text,
  /** `namespace/name@generation`. */
  origin: text,
  mode: v.picklist(['enforce', 'dry-run']),
  /** Empty: all clients share one bucket. */
  key: v.pipe(v.array(KeyPart), v.maxLength(4)),
  methods: v.optional(v.pipe(v.array(text), v.minLength(1), v.maxLength(16))),
  paths: v.optional(v.pipe(v.array(text), v.minLength(1), v.maxLength(64))),
  requests,
  perMs: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(MAX_PER_MS)),
  /** Requests that may come at once. */
  burst: requests,
  /** All replicas of the workload count together; absent: each by itself. Since 3. */
  scope: v.optional(v.literal('shared')),
})
export type Limit = v.InferOutput<typeof Limit>

export const RateLimitConfig = v.strictObject({ limits: v.pipe(v.array(Limit), v.maxLength(MAX_LIMITS)) })
export type RateLimitConfig = v.InferOutput<typeof RateLimitConfig>

/** Whether any limit of a config that a section made is one that replicas divide. */
export function hasSharedLimit(config: unknown): boolean {
  const { limits } = config as Partial<RateLimitConfig>
  return limits?.some(({ scope }) => scope === 'shared') === true
}
