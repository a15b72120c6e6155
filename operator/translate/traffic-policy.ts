import type {
  CircuitBreaker,
  Delivery,
  HashKey,
  OutlierEjection,
  RetryBudget,
  RetryCondition,
  RetrySettings,
} from '../../contract/traffic.ts'
import { parseDuration } from '../../model/duration.ts'
import { formatOrigin } from '../../model/origin.ts'
import { generationOf, type Resource, resourceKey } from '../../model/resource.ts'
import { type Issue, under } from '../../model/result.ts'
import { reviewTrafficPolicy } from '../resources/review-traffic.ts'
import { checkSpec } from '../resources/spec.ts'
import {
  TRAFFIC_DEFAULTS,
  TRAFFIC_POLICY_SPEC_SCHEMA,
  type TrafficPolicySpec,
  type TrafficRetry,
  type TrafficTargetRef,
} from '../resources/traffic-policy.ts'

/** A TrafficPolicy, read, with every default put in. One that cannot be read says nothing: it closes nothing either. */
export interface TrafficPolicy {
  /** `TrafficPolicy/namespace/name`. */
  readonly key: string
  /** `TrafficPolicy/namespace/name@generation`. */
  readonly origin: string
  readonly createdAt: string
  readonly targetRefs: readonly TrafficTargetRef[]
  readonly parts: TrafficParts
  /** What is wrong with it, path from the root of the resource. */
  readonly issues: readonly Issue[]
}

/** What one policy says. Each part is taken or left as a whole; timeouts one by one. */
export interface TrafficParts {
  readonly requestTimeoutMs?: number
  readonly tryTimeoutMs?: number
  readonly connectTimeoutMs?: number
  readonly retry?: { readonly settings: RetrySettings; readonly budget: RetryBudget }
  readonly circuitBreaker?: CircuitBreaker
  readonly outlier?: OutlierEjection
  readonly hash?: HashKey
  readonly warmUpMs?: number
  readonly zone?: { readonly spillOverPercent: number }
}

/** Sections that say something only where there are requests to see. */
export const HTTP_PARTS: readonly (keyof TrafficParts)[] = ['requestTimeoutMs', 'tryTimeoutMs', 'retry', 'hash']

/** What each part is called where it was written. */
export const PART_FIELDS: Readonly<Record<keyof TrafficParts, string>> = {
  requestTimeoutMs: 'timeouts.request',
  tryTimeoutMs: 'timeouts.try',
  connectTimeoutMs: 'timeouts.connect',
  retry: 'retry',
  circuitBreaker: 'circuitBreaker',
  outlier: 'outlierEjection',
  hash: 'loadBalancing.hash',
  warmUpMs: 'loadBalancing.warmUp',
  zone: 'loadBalancing.zonePreference',
}

const read = new WeakMap<Resource, TrafficPolicy>()

/** Reads a TrafficPolicy; remembers, weakly, what it read. */
export function readTrafficPolicy(resource: Resource): TrafficPolicy {
  const known = read.get(resource)
  if (known !== undefined) return known
  const policy = readAnew(resource)
  read.set(resource, policy)
  return policy
}

function readAnew(resource: Resource): TrafficPolicy {
  const { kind, metadata } = resource
  const { namespace, name, creationTimestamp = '' } = metadata
  const wrong = checkSpec(TRAFFIC_POLICY_SPEC_SCHEMA, resource.spec ?? {})
  const generation = generationOf(resource)
  const common = {
    key: resourceKey(kind, namespace, name),
    origin: `${kind}/${formatOrigin({ kind, ...(namespace !== undefined && { namespace }), name, generation })}`,
    createdAt: creationTimestamp,
  }
  if (wrong.length > 0) {
    return { ...common, targetRefs: [], parts: {}, issues: wrong.map((found) => under('spec', found)) }
  }
  const spec = resource.spec as TrafficPolicySpec
  const issues = reviewTrafficPolicy(spec).map((found) => under('spec', found))
  return { ...common, targetRefs: spec.targetRefs, parts: partsOf(spec), issues }
}

function partsOf({ timeouts = {}, retry, circuitBreaker, outlierEjection, loadBalancing = {} }: TrafficPolicySpec) {
  const { request, try: once, connect } = timeouts
  const { hash, warmUp, zonePreference } = loadBalancing
  const parts: TrafficParts = {
    ...(request !== undefined && { requestTimeoutMs: millisecondsOf(request) }),
    ...(once !== undefined && { tryTimeoutMs: millisecondsOf(once) }),
    ...(connect !== undefined && { connectTimeoutMs: millisecondsOf(connect) }),
    ...(retry !== undefined && { retry: retryOf(retry) }),
    ...(circuitBreaker !== undefined && {
      circuitBreaker: { ...TRAFFIC_DEFAULTS.circuitBreaker, ...circuitBreaker },
    }),
    ...(outlierEjection !== undefined && { outlier: outlierOf(outlierEjection) }),
    ...(hash !== undefined && { hash: hashOf(hash) }),
    ...(warmUp !== undefined && { warmUpMs: millisecondsOf(warmUp) }),
    ...(zonePreference !== undefined && { zone: { ...TRAFFIC_DEFAULTS.zonePreference, ...zonePreference } }),
  }
  return parts
}

const CONDITIONS: Readonly<Record<NonNullable<TrafficRetry['conditions']>[number], RetryCondition>> = {
  ConnectFailure: 'connect-failure',
  RefusedStream: 'refused-stream',
  Reset: 'reset',
  Timeout: 'timeout',
}

function retryOf({ backoff = {}, budget = {}, ...retry }: TrafficRetry): NonNullable<TrafficParts['retry']> {
  const defaults = TRAFFIC_DEFAULTS.retry
  const { attempts = defaults.attempts, conditions = defaults.conditions, maxBodyBytes = defaults.maxBodyBytes } = retry
  const baseMs = backoff.base === undefined ? defaults.baseMs : millisecondsOf(backoff.base)
  const maxMs = backoff.max === undefined ? defaults.maxMs : millisecondsOf(backoff.max)
  return {
    settings: {
      attempts,
      on: [...new Set(conditions.map((condition) => CONDITIONS[condition]))].sort(),
      statuses: [...new Set(retry.statusCodes ?? defaults.statusCodes)].sort((a, b) => a - b),
      methods: [...new Set(retry.methods ?? defaults.methods)].sort(),
      backoffMs: baseMs,
      maxBackoffMs: Math.max(baseMs, maxMs),
      maxBodyBytes,
    },
    budget: {
      percent: budget.percent ?? defaults.percent,
      minPerSecond: budget.minPerSecond ?? defaults.minPerSecond,
    },
  }
}

function outlierOf(spec: NonNullable<TrafficPolicySpec['outlierEjection']>): OutlierEjection {
  const defaults = TRAFFIC_DEFAULTS.outlierEjection
  const ejectionMs = spec.ejection === undefined ? defaults.ejectionMs : millisecondsOf(spec.ejection)
  const maxMs = spec.maxEjection === undefined ? defaults.maxEjectionMs : millisecondsOf(spec.maxEjection)
  return {
    serverErrors: spec.serverErrors ?? defaults.serverErrors,
    failures: spec.failures ?? defaults.failures,
    ejectionMs,
    maxEjectionMs: Math.max(ejectionMs, maxMs),
    maxPercent: spec.maxEjectedPercent ?? defaults.maxEjectedPercent,
  }
}

function hashOf({
  header,
  cookie = '',
}: NonNullable<NonNullable<TrafficPolicySpec['loadBalancing']>['hash']>): HashKey {
  return header === undefined ? { from: 'cookie', name: cookie } : { from: 'header', name: header.toLowerCase() }
}

/** Of a duration that its schema has passed. */
function millisecondsOf(text: string): number {
  const parsed = parseDuration(text)
  return parsed.ok ? parsed.value : 0
}

/** What of a policy is about the time and tries of a request. */
export function deliveryOf({ requestTimeoutMs, tryTimeoutMs, retry }: TrafficParts): Delivery | undefined {
  const delivery: Delivery = {
    ...(requestTimeoutMs !== undefined && { requestTimeoutMs }),
    ...(tryTimeoutMs !== undefined && { tryTimeoutMs }),
    ...(retry !== undefined && { retry: retry.settings }),
  }
  return Object.keys(delivery).length === 0 ? undefined : delivery
}
