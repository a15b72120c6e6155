import type { JsonSchema } from '../../model/section.ts'
import { structuralReader } from './structural.ts'

/** What we read of a gateway.networking.k8s.io ReferenceGrant. */
export interface ReferenceGrant {
  readonly spec: {
    readonly from: readonly { readonly group: string; readonly kind: string; readonly namespace: string }[]
    readonly to: readonly { readonly group: string; readonly kind: string; readonly name?: string }[]
  }
}

function references(other: string, required: readonly string[]): JsonSchema {
  return {
    type: 'array',
    maxItems: 16,
    items: {
      type: 'object',
      required,
      properties: { group: { type: 'string' }, kind: { type: 'string' }, [other]: { type: 'string', minLength: 1 } },
    },
  }
}

export const REFERENCE_GRANT_SCHEMA: JsonSchema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      required: ['from', 'to'],
      properties: {
        from: references('namespace', ['group', 'kind', 'namespace']),
        to: references('name', ['group', 'kind']),
      },
    },
  },
}

export const readReferenceGrant = structuralReader<ReferenceGrant>(REFERENCE_GRANT_SCHEMA)
