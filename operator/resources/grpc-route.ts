import type { JsonSchema } from '../../model/section.ts'
import {
  BACKEND_REF_SCHEMA,
  type BackendRef,
  type HTTPRouteFilter,
  PARENT_REFS_SCHEMA,
  type ParentRef,
  ROUTE_FILTERS_SCHEMA,
  SESSION_PERSISTENCE_SCHEMA,
  type SessionPersistence,
  VALUE_MATCH_SCHEMA,
  type ValueMatch,
} from './http-route.ts'
import { structuralReader } from './structural.ts'

/** What we read of a gateway.networking.k8s.io GRPCRoute. */
export interface GRPCRoute {
  readonly spec: {
    readonly parentRefs?: readonly ParentRef[]
    readonly hostnames?: readonly string[]
    readonly rules?: readonly GRPCRouteRule[]
  }
}

export interface GRPCRouteRule {
  readonly name?: string
  readonly matches?: readonly GRPCRouteMatch[]
  /** Those of HTTPRoutes, without redirects and rewrites. */
  readonly filters?: readonly HTTPRouteFilter[]
  readonly backendRefs?: readonly BackendRef[]
  /** Experimental channel (GEP-1619). */
  readonly sessionPersistence?: SessionPersistence
}

export interface GRPCRouteMatch {
  readonly method?: { readonly type?: string; readonly service?: string; readonly method?: string }
  readonly headers?: readonly ValueMatch[]
}

const name: JsonSchema = { type: 'string', maxLength: 1024 }

export const GRPC_ROUTE_SCHEMA: JsonSchema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      properties: {
        parentRefs: PARENT_REFS_SCHEMA,
        hostnames: { type: 'array', maxItems: 16, items: { type: 'string' } },
        rules: {
          type: 'array',
          maxItems: 16,
          items: {
            type: 'object',
            properties: {
              name: { type: 'string' },
              matches: {
                type: 'array',
                maxItems: 64,
                items: {
                  type: 'object',
                  properties: {
                    method: { type: 'object', properties: { type: { type: 'string' }, service: name, method: name } },
                    headers: { type: 'array', maxItems: 16, items: VALUE_MATCH_SCHEMA },
                  },
                },
              },
              filters: ROUTE_FILTERS_SCHEMA,
              backendRefs: { type: 'array', maxItems: 16, items: BACKEND_REF_SCHEMA },
              sessionPersistence: SESSION_PERSISTENCE_SCHEMA,
            },
          },
        },
      },
    },
  },
}

export const readGRPCRoute = structuralReader<GRPCRoute>(GRPC_ROUTE_SCHEMA)
