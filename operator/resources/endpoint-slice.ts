import type { JsonSchema } from '../../model/section.ts'
import { structuralReader } from './structural.ts'

/** On pods since Kubernetes 1.35: the zone of the Node that they run on. */
export const ZONE_LABEL = 'topology.kubernetes.io/zone'

/** What we read of a discovery.k8s.io EndpointSlice: where pods are. Which of them are up, they say themselves. */
export interface EndpointSlice {
  readonly endpoints?:
    | readonly {
        readonly zone?: string
        readonly targetRef?: { readonly kind?: string; readonly name?: string }
      }[]
    | null
}

export const ENDPOINT_SLICE_SCHEMA: JsonSchema = {
  type: 'object',
  properties: {
    endpoints: {
      type: 'array',
      nullable: true,
      maxItems: 1000,
      items: {
        type: 'object',
        properties: {
          zone: { type: 'string', maxLength: 253 },
          targetRef: {
            type: 'object',
            properties: { kind: { type: 'string', maxLength: 63 }, name: { type: 'string', maxLength: 253 } },
          },
        },
      },
    },
  },
}

export const readEndpointSlice = structuralReader<EndpointSlice>(ENDPOINT_SLICE_SCHEMA)
