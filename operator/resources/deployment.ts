import type { JsonSchema } from '../../model/section.ts'
import { POD_SPEC_SCHEMA, type PodSpec } from './pod.ts'
import { structuralReader } from './structural.ts'

/** What we read of an apps/v1 Deployment. */
export interface Deployment {
  readonly spec: {
    readonly template: {
      readonly metadata?: {
        readonly labels?: Readonly<Record<string, string>>
        readonly annotations?: Readonly<Record<string, string>>
      }
      readonly spec: PodSpec
    }
  }
}

const strings: JsonSchema = { type: 'object', additionalProperties: { type: 'string' } }

export const DEPLOYMENT_SCHEMA: JsonSchema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      required: ['template'],
      properties: {
        template: {
          type: 'object',
          required: ['spec'],
          properties: {
            metadata: { type: 'object', properties: { labels: strings, annotations: strings } },
            spec: POD_SPEC_SCHEMA,
          },
        },
      },
    },
  },
}

export const readDeployment = structuralReader<Deployment>(DEPLOYMENT_SCHEMA)
