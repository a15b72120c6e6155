import * as v from 'valibot'

/**
 * How requests are sent to an upstream, as TrafficPolicies and HTTPRoutes have it. All of it since version 3: a sidecar that
 * speaks an older one does without, and keeps to its own defaults.
 */

const milliseconds = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(86_400_000))
const count = (max: number) => v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(max))
const atLeastOne = (max: number) => v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(max))
/** RFC 9110, 5.6.2. */
const token = v.pipe(v.string(), v.maxLength(256), v.regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/))

/** What a try can end as that another may follow. */
export const RetryCondition = v.picklist(['connect-failure', 'refused-stream', 'reset', 'timeout'])
export type RetryCondition = v.InferOutput<typeof RetryCondition>

/** When a request is tried again that nothing has been answered to. */
export const RetrySettings = v.strictObject({
  /** Tries after the first one. */
  attempts: count(10),
  on: v.pipe(v.array(RetryCondition), v.maxLength(4)),
  /** Statuses of responses that another try is made instead of. */
  statuses: v.pipe(v.array(v.pipe(v.number(), v.integer(), v.minValue(400), v.maxValue(599))), v.maxLength(32)),
  /** Requests of other methods are tried again only where nobody has seen them. */
  methods: v.pipe(v.array(token), v.maxLength(16)),
  /** The first pause; each further one is twice as long. Jittered: half of it to all of it. 0 is none. */
  backoffMs: count(60_000),
  maxBackoffMs: count(60_000),
  /** Requests with a longer body are tried again only where none of it was sent. */
  maxBodyBytes: count(1_048_576),
})
export type RetrySettings = v.InferOutput<typeof RetrySettings>

/** What is said of the time and tries of a request. What is absent, somebody else says. */
export const Delivery = v.strictObject({
  /** All tries and pauses until a response begins. 0 is no limit. */
  requestTimeoutMs: v.optional(count(86_400_000)),
  /** One try until its response begins. 0 is no limit. */
  tryTimeoutMs: v.optional(count(86_400_000)),
  retry: v.optional(RetrySettings),
})
export type Delivery = v.InferOutput<typeof Delivery>

/** Retries of one upstream at most: `percent` of its requests, and `minPerSecond` however few those are. */
export const RetryBudget = v.strictObject({ percent: count(100), minPerSecond: count(1_000) })
export type RetryBudget = v.InferOutput<typeof RetryBudget>

/** What one caller may have open towards an upstream. */
export const CircuitBreaker = v.strictObject({
  maxConnections: v.optional(atLeastOne(65_536)),
  maxInFlight: v.optional(atLeastOne(65_536)),
  /** Requests that wait while as many as may be are in flight; beyond it they are refused. */
  maxPending: count(65_536),
})
export type CircuitBreaker = v.InferOutput<typeof CircuitBreaker>

/** When an endpoint is put aside, and for how long. */
export const OutlierEjection = v.strictObject({
  /** Responses 5xx in a row; 0: they do not count. */
  serverErrors: count(1_000),
  /** Tries in a row that no response came of; 0: they do not count. */
  failures: count(1_000),
  /** The first time; it doubles each time that the endpoint comes back and fails again. */
  ejectionMs: milliseconds,
  maxEjectionMs: milliseconds,
  /** Of the upstream's endpoints at most. The last one never is. */
  maxPercent: atLeastOne(100),
})
export type OutlierEjection = v.InferOutput<typeof OutlierEjection>

/** What of a request decides which endpoint it goes to. A request without it goes to any. */
export const HashKey = v.strictObject({ from: v.picklist(['header', 'cookie']), name: token })
export type HashKey = v.InferOutput<typeof HashKey>

/** What the TrafficPolicies of a Service come to for one of its ports. */
export const UpstreamTraffic = v.strictObject({
  /** `TrafficPolicy/namespace/name@generation` of each that something of this is from. */
  origins: v.array(v.string()),
  delivery: v.optional(Delivery),
  connectTimeoutMs: v.optional(milliseconds),
  retryBudget: v.optional(RetryBudget),
  circuitBreaker: v.optional(CircuitBreaker),
  outlier: v.optional(OutlierEjection),
  /** Absent: the least loaded of two. */
  hash: v.optional(HashKey),
  /** An endpoint that is new among others gets its whole share only after this time. */
  warmUpMs: v.optional(milliseconds),
  /** Endpoints of the caller's zone are preferred until they are this loaded, in percent of what others are. */
  zone: v.optional(v.strictObject({ spillOverPercent: v.pipe(count(10_000), v.minValue(100)) })),
})
export type UpstreamTraffic = v.InferOutput<typeof UpstreamTraffic>

/** Copies of requests for somebody else; what becomes of them is nobody's concern. */
export const Mirror = v.strictObject({
  /** Name of an upstream. */
  upstream: v.string(),
  /** The share of the requests that is copied: `numerator` of `denominator`. */
  numerator: count(1_000_000),
  denominator: atLeastOne(1_000_000),
})
export type Mirror = v.InferOutput<typeof Mirror>

/** Requests of one session go to one endpoint for as long as it is there. */
export const Session = v.strictObject({
  /** What the client says it with, and is told in. */
  by: v.picklist(['cookie', 'header']),
  name: token,
  /** After this time it may be another endpoint. Absent: never. */
  absoluteTimeoutMs: v.optional(milliseconds),
  /** Cookies: kept beyond the end of the browser, for `absoluteTimeoutMs`. */
  isPermanent: v.boolean(),
})
export type Session = v.InferOutput<typeof Session>
