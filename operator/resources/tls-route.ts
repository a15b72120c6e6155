import type { JsonSchema } from '../../model/section.ts'
import { BACKEND_REF_SCHEMA, type BackendRef, PARENT_REFS_SCHEMA, type ParentRef } from './http-route.ts'
import { structuralReader } from './structural.ts'

/** What we read of a gateway.networking.k8s.io TLSRoute. */
export interface TLSRoute {
  readonly spec: {
    readonly parentRefs?: readonly ParentRef[]
    /** What clients ask for by SNI. */
    readonly hostnames: readonly string[]
    readonly rules: readonly StreamRouteRule[]
  }
}

/** A rule of a TLSRoute or TCPRoute: where connections go. */
export interface StreamRouteRule {
  readonly name?: string
  readonly backendRefs?: readonly BackendRef[]
}

/** The rules of a TLSRoute or TCPRoute: one, in the version that is preferred; earlier ones take more. */
export const STREAM_RULES_SCHEMA: JsonSchema = {
  type: 'array',
  minItems: 1,
  maxItems: 16,
  items: {
    type: 'object',
    properties: {
      name: { type: 'string' },
      backendRefs: { type: 'array', maxItems: 16, items: BACKEND_REF_SCHEMA },
    },
  },
}

export const TLS_ROUTE_SCHEMA: JsonSchema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      required: ['hostnames', 'rules'],
      properties: {
        parentRefs: PARENT_REFS_SCHEMA,
        hostnames: { type: 'array', minItems: 1, maxItems: 1024, items: { type: 'string' } },
        rules: STREAM_RULES_SCHEMA,
      },
    },
  },
}

export const readTLSRoute = structuralReader<TLSRoute>(TLS_ROUTE_SCHEMA)
