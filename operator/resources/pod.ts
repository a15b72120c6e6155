import type { JsonSchema } from '../../model/section.ts'
import { structuralReader } from './structural.ts'

/** What we read of a pod's `spec`, be it a Pod's own or a template's. */
export interface PodSpec {
  readonly serviceAccountName?: string
  readonly containers?: readonly Container[]
  readonly initContainers?: readonly Container[]
}

export interface Container {
  readonly name?: string
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number; readonly protocol?: string }[]
}

/** What we read of a core/v1 Pod. */
export interface Pod {
  readonly spec: PodSpec
  readonly status?: {
    readonly phase?: string
    readonly podIP?: string
    /** Of both families where it has both; the first is `podIP`. */
    readonly podIPs?: readonly { readonly ip: string }[]
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
  }
}

const containers: JsonSchema = {
  type: 'array',
  items: {
    type: 'object',
    properties: {
      name: { type: 'string' },
      ports: {
        type: 'array',
        items: {
          type: 'object',
          required: ['containerPort'],
          properties: {
            name: { type: 'string' },
            containerPort: { type: 'integer', minimum: 1, maximum: 65535 },
            protocol: { type: 'string' },
          },
        },
      },
    },
  },
}

export const POD_SPEC_SCHEMA: JsonSchema = {
  type: 'object',
  properties: {
    serviceAccountName: { type: 'string', maxLength: 253 },
    containers,
    initContainers: containers,
  },
}

export const POD_SCHEMA: JsonSchema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: POD_SPEC_SCHEMA,
    status: {
      type: 'object',
      properties: {
        phase: { type: 'string' },
        podIP: { type: 'string' },
        podIPs: {
          type: 'array',
          items: { type: 'object', required: ['ip'], properties: { ip: { type: 'string' } } },
        },
        conditions: {
          type: 'array',
          items: {
            type: 'object',
            required: ['type', 'status'],
            properties: { type: { type: 'string' }, status: { type: 'string' } },
          },
        },
      },
    },
  },
}

export const readPod = structuralReader<Pod>(POD_SCHEMA)
