import { DURATION_PATTERN } from '../../model/duration.ts'
import type { JsonSchema } from '../../model/section.ts'
import { structuralReader } from './structural.ts'

/** What we read of a gateway.networking.k8s.io HTTPRoute. */
export interface HTTPRoute {
  readonly spec: {
    readonly parentRefs?: readonly ParentRef[]
    readonly hostnames?: readonly string[]
    readonly rules?: readonly HTTPRouteRule[]
  }
}

export interface ParentRef {
  readonly group?: string
  readonly kind?: string
  readonly namespace?: string
  readonly name: string
  readonly sectionName?: string
  readonly port?: number
}

export interface HTTPRouteRule {
  readonly name?: string
  readonly matches?: readonly HTTPRouteMatch[]
  readonly filters?: readonly HTTPRouteFilter[]
  readonly backendRefs?: readonly BackendRef[]
  readonly timeouts?: { readonly request?: string; readonly backendRequest?: string }
  readonly retry?: HTTPRouteRetry
  readonly sessionPersistence?: SessionPersistence
}

/** Experimental channel (GEP-1731). */
export interface HTTPRouteRetry {
  readonly codes?: readonly number[]
  readonly attempts?: number
  readonly backoff?: string
}

/** Experimental channel (GEP-1619). */
export interface SessionPersistence {
  readonly sessionName?: string
  readonly absoluteTimeout?: string
  readonly idleTimeout?: string
  readonly type?: string
  readonly cookieConfig?: { readonly lifetimeType?: string }
}

/** Fields of a rule that only the experimental channel of Gateway API has. */
export const EXPERIMENTAL_FIELDS = ['retry', 'sessionPersistence'] as const

export interface HTTPRouteMatch {
  readonly path?: { readonly type?: string; readonly value?: string }
  readonly headers?: readonly ValueMatch[]
  readonly queryParams?: readonly ValueMatch[]
  readonly method?: string
}

export interface ValueMatch {
  readonly type?: string
  readonly name: string
  readonly value: string
}

export interface HTTPRouteFilter {
  readonly type: string
  readonly requestHeaderModifier?: HeaderModifier
  readonly responseHeaderModifier?: HeaderModifier
  readonly requestRedirect?: {
    readonly scheme?: string
    readonly hostname?: string
    readonly path?: PathModifier
    readonly port?: number
    readonly statusCode?: number
  }
  readonly urlRewrite?: { readonly hostname?: string; readonly path?: PathModifier }
  readonly requestMirror?: {
    readonly backendRef: BackendRef
    readonly percent?: number
    readonly fraction?: { readonly numerator: number; readonly denominator?: number }
  }
}

export interface HeaderModifier {
  readonly set?: readonly { readonly name: string; readonly value: string }[]
  readonly add?: readonly { readonly name: string; readonly value: string }[]
  readonly remove?: readonly string[]
}

export interface PathModifier {
  readonly type: string
  readonly replaceFullPath?: string
  readonly replacePrefixMatch?: string
}

export interface BackendRef {
  readonly group?: string
  readonly kind?: string
  readonly namespace?: string
  readonly name: string
  readonly port?: number
  readonly weight?: number
  readonly filters?: readonly unknown[]
}

const text: JsonSchema = { type: 'string' }
const port: JsonSchema = { type: 'integer', minimum: 1, maximum: 65535 }
const duration: JsonSchema = { type: 'string', pattern: DURATION_PATTERN }

const header: JsonSchema = {
  type: 'object',
  required: ['name', 'value'],
  properties: { name: { type: 'string', minLength: 1, maxLength: 256 }, value: { type: 'string', maxLength: 4096 } },
}

const headerModifier: JsonSchema = {
  type: 'object',
  properties: {
    set: { type: 'array', maxItems: 16, items: header },
    add: { type: 'array', maxItems: 16, items: header },
    remove: { type: 'array', maxItems: 16, items: text },
  },
}

const pathModifier: JsonSchema = {
  type: 'object',
  required: ['type'],
  properties: {
    type: text,
    replaceFullPath: { type: 'string', maxLength: 1024 },
    replacePrefixMatch: { type: 'string', maxLength: 1024 },
  },
}

/** One header or query parameter of a match. */
export const VALUE_MATCH_SCHEMA: JsonSchema = {
  type: 'object',
  required: ['name', 'value'],
  properties: {
    type: text,
    name: { type: 'string', minLength: 1, maxLength: 256 },
    value: { type: 'string', maxLength: 4096 },
  },
}

/** A backend of a rule, with its weight. */
export const BACKEND_REF_SCHEMA: JsonSchema = {
  type: 'object',
  required: ['name'],
  properties: {
    group: text,
    kind: text,
    namespace: text,
    name: text,
    port,
    weight: { type: 'integer', minimum: 0, maximum: 1_000_000 },
    filters: { type: 'array' },
  },
}

/** What a route of any kind is attached to. */
export const PARENT_REFS_SCHEMA: JsonSchema = {
  type: 'array',
  maxItems: 32,
  items: {
    type: 'object',
    required: ['name'],
    properties: { group: text, kind: text, namespace: text, name: text, sectionName: text, port },
  },
}

/** The filters of a rule. */
export const ROUTE_FILTERS_SCHEMA: JsonSchema = {
  type: 'array',
  maxItems: 16,
  items: {
    type: 'object',
    required: ['type'],
    properties: {
      type: text,
      requestHeaderModifier: headerModifier,
      responseHeaderModifier: headerModifier,
      requestRedirect: {
        type: 'object',
        properties: {
          scheme: text,
          hostname: text,
          path: pathModifier,
          port,
          statusCode: { type: 'integer' },
        },
      },
      urlRewrite: { type: 'object', properties: { hostname: text, path: pathModifier } },
      requestMirror: {
        type: 'object',
        required: ['backendRef'],
        properties: {
          backendRef: BACKEND_REF_SCHEMA,
          percent: { type: 'integer', minimum: 0, maximum: 100 },
          fraction: {
            type: 'object',
            required: ['numerator'],
            properties: {
              numerator: { type: 'integer', minimum: 0, maximum: 1_000_000 },
              denominator: { type: 'integer', minimum: 1, maximum: 1_000_000 },
            },
          },
        },
      },
    },
  },
}

/** Experimental channel (GEP-1619). */
export const SESSION_PERSISTENCE_SCHEMA: JsonSchema = {
  type: 'object',
  properties: {
    sessionName: { type: 'string', maxLength: 128 },
    absoluteTimeout: duration,
    idleTimeout: duration,
    type: text,
    cookieConfig: { type: 'object', properties: { lifetimeType: text } },
  },
}

export const HTTP_ROUTE_SCHEMA: JsonSchema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      properties: {
        parentRefs: PARENT_REFS_SCHEMA,
        hostnames: { type: 'array', maxItems: 16, items: text },
        rules: {
          type: 'array',
          maxItems: 16,
          items: {
            type: 'object',
            properties: {
              name: text,
              matches: {
                type: 'array',
                maxItems: 64,
                items: {
                  type: 'object',
                  properties: {
                    path: { type: 'object', properties: { type: text, value: { type: 'string', maxLength: 1024 } } },
                    headers: { type: 'array', maxItems: 16, items: VALUE_MATCH_SCHEMA },
                    queryParams: { type: 'array', maxItems: 16, items: VALUE_MATCH_SCHEMA },
                    method: text,
                  },
                },
              },
              filters: ROUTE_FILTERS_SCHEMA,
              backendRefs: {
                type: 'array',
                maxItems: 16,
                items: BACKEND_REF_SCHEMA,
              },
              timeouts: { type: 'object', properties: { request: duration, backendRequest: duration } },
              retry: {
                type: 'object',
                properties: {
                  codes: { type: 'array', maxItems: 32, items: { type: 'integer', minimum: 400, maximum: 599 } },
                  attempts: { type: 'integer', minimum: 0 },
                  backoff: duration,
                },
              },
              sessionPersistence: SESSION_PERSISTENCE_SCHEMA,
            },
          },
        },
      },
    },
  },
}

export const readHTTPRoute = structuralReader<HTTPRoute>(HTTP_ROUTE_SCHEMA)
