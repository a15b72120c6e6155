import type { JsonSchema } from '../../model/section.ts'
import { PARENT_REFS_SCHEMA, type ParentRef } from './http-route.ts'
import { structuralReader } from './structural.ts'
import { STREAM_RULES_SCHEMA, type StreamRouteRule } from './tls-route.ts'

/** What we read of a gateway.networking.k8s.io TCPRoute. */
export interface TCPRoute {
  readonly spec: {
    readonly parentRefs?: readonly ParentRef[]
    readonly rules: readonly StreamRouteRule[]
  }
}

export const TCP_ROUTE_SCHEMA: JsonSchema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      required: ['rules'],
      properties: { parentRefs: PARENT_REFS_SCHEMA, rules: STREAM_RULES_SCHEMA },
    },
  },
}

export const readTCPRoute = structuralReader<TCPRoute>(TCP_ROUTE_SCHEMA)
