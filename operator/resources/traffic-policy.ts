import { DURATION_PATTERN } from '../../model/duration.ts'
import type { JsonSchema } from '../../model/section.ts'

/** `spec` of a TrafficPolicy: how callers send requests to a Service. Durations as in Gateway API. */
export interface TrafficPolicySpec {
  readonly targetRefs: readonly TrafficTargetRef[]
  readonly timeouts?: TrafficTimeouts
  readonly retry?: TrafficRetry
  readonly circuitBreaker?: {
    readonly maxConnections?: number
    readonly maxInFlight?: number
    readonly maxPending?: number
  }
  readonly outlierEjection?: {
    readonly serverErrors?: number
    readonly failures?: number
    readonly ejection?: string
    readonly maxEjection?: string
    readonly maxEjectedPercent?: number
  }
  readonly loadBalancing?: {
    readonly hash?: { readonly header?: string; readonly cookie?: string }
    readonly warmUp?: string
    readonly zonePreference?: { readonly spillOverPercent?: number }
  }
}

export interface TrafficTargetRef {
  readonly group?: string
  readonly kind: 'Service'
  readonly name: string
  readonly sectionName?: string
}

export interface TrafficTimeouts {
  readonly request?: string
  readonly try?: string
  readonly connect?: string
}

export interface TrafficRetry {
  readonly attempts?: number
  readonly conditions?: readonly ('ConnectFailure' | 'RefusedStream' | 'Reset' | 'Timeout')[]
  readonly statusCodes?: readonly number[]
  readonly methods?: readonly string[]
  readonly backoff?: { readonly base?: string; readonly max?: string }
  readonly maxBodyBytes?: number
  readonly budget?: { readonly percent?: number; readonly minPerSecond?: number }
}

/** What holds where a section is there and says nothing more. Times in milliseconds. */
export const TRAFFIC_DEFAULTS = {
  retry: {
    attempts: 2,
    conditions: ['ConnectFailure', 'RefusedStream', 'Reset'],
    statusCodes: [],
    /** Safe to repeat: RFC 9110, 9.2.2. */
    methods: ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'],
    baseMs: 25,
    maxMs: 250,
    maxBodyBytes: 65_536,
    percent: 20,
    minPerSecond: 3,
  },
  circuitBreaker: { maxPending: 256 },
  outlierEjection: { serverErrors: 5, failures: 3, ejectionMs: 10_000, maxEjectionMs: 300_000, maxEjectedPercent: 50 },
  zonePreference: { spillOverPercent: 200 },
} as const

const DAY = "duration(self) <= duration('24h')"

function duration(description: string, rule: string, message: string): JsonSchema {
  return {
    type: 'string',
    description,
    pattern: DURATION_PATTERN,
    maxLength: 32,
    'x-kubernetes-validations': [{ rule, message }],
  }
}

function timeout(name: string, description: string): JsonSchema {
  return duration(description, DAY, `${name} is at most 24h`)
}

function span(name: string, description: string, most = '24h'): JsonSchema {
  const rule = `duration(self) >= duration('1ms') && duration(self) <= duration('${most}')`
  return duration(description, rule, `${name} is from 1ms to ${most}`)
}

function integer(description: string, minimum: number, maximum: number, more: JsonSchema = {}): JsonSchema {
  return { type: 'integer', description, minimum, maximum, ...more }
}

/** RFC 9110, 5.6.2. */
const TOKEN = "^[!#$%&'*+\\-.^_`|~0-9A-Za-z]+$"

const TARGET_REF: JsonSchema = {
  type: 'object',
  required: ['kind', 'name'],
  properties: {
    group: {
      type: 'string',
      description: 'group is the API group of kind: empty, for Service. Default: empty.',
      enum: [''],
    },
    kind: { type: 'string', description: 'kind is what the policy is about.', enum: ['Service'] },
    name: {
      type: 'string',
      description: 'name is the name of the Service, in the namespace of the policy.',
      minLength: 1,
      maxLength: 253,
    },
    sectionName: {
      type: 'string',
      description:
        'sectionName is the name of one port of the Service. What such a policy says goes before what one for the whole Service says. Default: all ports.',
      minLength: 1,
      maxLength: 253,
    },
  },
}

const RETRY: JsonSchema = {
  type: 'object',
  description:
    'retry is when a request is tried again, preferably at another endpoint, and nothing of the answer was passed on yet. Default: once, where the endpoint has not seen the request.',
  properties: {
    attempts: integer('attempts is how many tries may follow the first. Default: 2.', 0, 10, {
      default: TRAFFIC_DEFAULTS.retry.attempts,
    }),
    // Not `on`: YAML 1.1 reads that as true.
    conditions: {
      type: 'array',
      description:
        'conditions are what a try may have ended as: ConnectFailure (no connection), RefusedStream (an HTTP/2 peer has not looked at it), Reset (it broke off before the response began), Timeout (timeouts.try passed). Default: the first three.',
      maxItems: 4,
      'x-kubernetes-list-type': 'set',
      default: TRAFFIC_DEFAULTS.retry.conditions,
      items: { type: 'string', enum: ['ConnectFailure', 'RefusedStream', 'Reset', 'Timeout'] },
    },
    statusCodes: {
      type: 'array',
      description:
        'statusCodes are statuses of responses that another try is made instead of, such as 502, 503 and 504. Default: none.',
      maxItems: 32,
      'x-kubernetes-list-type': 'set',
      items: { type: 'integer', minimum: 400, maximum: 599 },
    },
    methods: {
      type: 'array',
      description:
        'methods are those of requests that may be made twice. Others are tried again only where no endpoint has seen them. Default: the idempotent ones, which are GET, HEAD, OPTIONS, TRACE, PUT and DELETE.',
      maxItems: 16,
      'x-kubernetes-list-type': 'set',
      items: { type: 'string', pattern: TOKEN, minLength: 1, maxLength: 32 },
    },
    backoff: {
      type: 'object',
      description: 'backoff is the pause before a try. Half of it to all of it, at random.',
      properties: {
        base: span('base', 'base is the first pause; each further one is twice as long. Default: 25ms.', '1m'),
        max: span('max', 'max is the longest pause. Default: 250ms, or base where that is longer.', '1m'),
      },
    },
    maxBodyBytes: integer(
      'maxBodyBytes is how long a body may be that is kept to be sent again. A request with a longer one is tried again only where none of it was sent. Default: 65536.',
      0,
      1_048_576,
      { default: TRAFFIC_DEFAULTS.retry.maxBodyBytes },
    ),
    budget: {
      type: 'object',
      description: 'budget bounds the retries of one caller towards the Service, over the last ten seconds.',
      properties: {
        percent: integer('percent is how many retries there may be for a hundred requests. Default: 20.', 0, 100, {
          default: TRAFFIC_DEFAULTS.retry.percent,
        }),
        minPerSecond: integer('minPerSecond is how many there may be however few requests. Default: 3.', 0, 1_000, {
          default: TRAFFIC_DEFAULTS.retry.minPerSecond,
        }),
      },
    },
  },
}

/** The schema of `TrafficPolicy.spec`. */
export const TRAFFIC_POLICY_SPEC_SCHEMA: JsonSchema = {
  type: 'object',
  description:
    'spec is how requests are sent to the Services that the policy names, by the sidecar of each caller and by gateways. What an HTTPRoute says itself (timeouts, retry) goes before it.',
  required: ['targetRefs'],
  properties: {
    targetRefs: {
      type: 'array',
      description: 'targetRefs are 1 to 16 Services of the namespace of the policy.',
      minItems: 1,
      maxItems: 16,
      'x-kubernetes-list-type': 'atomic',
      items: TARGET_REF,
    },
    timeouts: {
      type: 'object',
      description: 'timeouts are how long is waited. A request that ran out of time is answered 504.',
      properties: {
        request: timeout(
          'request',
          'request is the time for all tries and the pauses between them, until a response begins; 0s is no limit. Default: MeshConfig requestTimeout.',
        ),
        try: timeout(
          'try',
          'try is the time for one try, until its response begins; 0s is no limit. Default: as long as request has left.',
        ),
        connect: span('connect', 'connect is the time for a connection, TLS included. Default: 1s.', '1m'),
      },
    },
    retry: RETRY,
    circuitBreaker: {
      type: 'object',
      description:
        'circuitBreaker bounds what one caller has open towards the Service. What is beyond it is answered 503 with Retry-After at once.',
      properties: {
        maxConnections: integer(
          'maxConnections is how many connections there may be, to all endpoints together. Default: 1024 for each endpoint.',
          1,
          65_536,
        ),
        maxInFlight: integer(
          'maxInFlight is how many requests may be under way. Further ones wait. Default: as many as connections and streams allow.',
          1,
          65_536,
        ),
        maxPending: integer(
          'maxPending is how many requests may wait while maxInFlight are under way. Default: 256.',
          0,
          65_536,
          { default: TRAFFIC_DEFAULTS.circuitBreaker.maxPending },
        ),
      },
    },
    outlierEjection: {
      type: 'object',
      description:
        'outlierEjection is when an endpoint gets no requests for a while. Default: after 3 tries in a row that failed, for 2s at first; 5xx do not count.',
      properties: {
        serverErrors: integer(
          'serverErrors is how many responses 5xx in a row put an endpoint aside; 0: they do not count. Default: 5.',
          0,
          1_000,
          { default: TRAFFIC_DEFAULTS.outlierEjection.serverErrors },
        ),
        failures: integer(
          'failures is how many tries in a row without a response put an endpoint aside; 0: they do not count. Default: 3.',
          0,
          1_000,
          { default: TRAFFIC_DEFAULTS.outlierEjection.failures },
        ),
        ejection: span(
          'ejection',
          'ejection is for how long, the first time. It doubles each time that the endpoint comes back and fails. Default: 10s.',
        ),
        maxEjection: span(
          'maxEjection',
          'maxEjection is for how long at most. Default: 5m, or ejection where that is longer.',
        ),
        maxEjectedPercent: integer(
          'maxEjectedPercent is how many of a hundred endpoints may be put aside at once: one may always be, and the last never is. Default: 50.',
          1,
          100,
          { default: TRAFFIC_DEFAULTS.outlierEjection.maxEjectedPercent },
        ),
      },
    },
    loadBalancing: {
      type: 'object',
      description:
        'loadBalancing is which endpoint a request goes to. Default: of two at random the one with less to do, by its requests and by how long it takes.',
      properties: {
        hash: {
          type: 'object',
          description:
            'hash sends requests with the same value to the same endpoint as long as that is there and not overloaded. Requests without it go to any. Default: none.',
          properties: {
            header: {
              type: 'string',
              description: 'header is the name of the header with the value.',
              pattern: TOKEN,
              minLength: 1,
              maxLength: 256,
            },
            cookie: {
              type: 'string',
              description: 'cookie is the name of the cookie with the value.',
              pattern: TOKEN,
              minLength: 1,
              maxLength: 256,
            },
          },
          'x-kubernetes-validations': [
            { rule: 'has(self.header) != has(self.cookie)', message: 'hash is by either a header or a cookie' },
          ],
        },
        warmUp: span(
          'warmUp',
          'warmUp is how long an endpoint that is new among others takes to come to its whole share. Default: none.',
          '1h',
        ),
        zonePreference: {
          type: 'object',
          description:
            "zonePreference prefers endpoints of the caller's zone (topology.kubernetes.io/zone) as long as one of them is up. {} is with defaults. Default: none.",
          properties: {
            spillOverPercent: integer(
              'spillOverPercent is how loaded an endpoint of the zone may be, in percent of one elsewhere, before a request goes there. Default: 200.',
              100,
              10_000,
              { default: TRAFFIC_DEFAULTS.zonePreference.spillOverPercent },
            ),
          },
        },
      },
    },
  },
}
