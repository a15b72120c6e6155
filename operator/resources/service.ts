import type { JsonSchema } from '../../model/section.ts'
import { structuralReader } from './structural.ts'

/** What we read of a core/v1 Service. */
export interface Service {
  readonly spec: {
    readonly type?: string
    /** `None` for a headless Service. */
    readonly clusterIP?: string
    /** Of both families where it has both; the first is `clusterIP`. */
    readonly clusterIPs?: readonly string[]
    readonly selector?: Readonly<Record<string, string>>
    readonly publishNotReadyAddresses?: boolean
    readonly ports?: readonly ServicePort[]
  }
}

export interface ServicePort {
  readonly name?: string
  readonly protocol?: string
  readonly port: number
  /** A number, or the name of a container port; absent: the same as `port`. */
  readonly targetPort?: number | string
  readonly appProtocol?: string
}

export const SERVICE_SCHEMA: JsonSchema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      properties: {
        type: { type: 'string' },
        clusterIP: { type: 'string' },
        clusterIPs: { type: 'array', maxItems: 2, items: { type: 'string' } },
        selector: { type: 'object', additionalProperties: { type: 'string' } },
        publishNotReadyAddresses: { type: 'boolean' },
        ports: {
          type: 'array',
          maxItems: 256,
          items: {
            type: 'object',
            required: ['port'],
            properties: {
              name: { type: 'string' },
              protocol: { type: 'string', enum: ['TCP', 'UDP', 'SCTP'] },
              port: { type: 'integer', minimum: 1, maximum: 65535 },
              targetPort: { 'x-kubernetes-int-or-string': true },
              appProtocol: { type: 'string' },
            },
          },
        },
      },
    },
  },
}

/** The addresses of its own that a Service has: none where it is headless. */
export function clusterAddresses({ spec }: Service): readonly string[] {
  const written = spec.clusterIPs ?? (spec.clusterIP === undefined ? [] : [spec.clusterIP])
  return written.filter((address) => address !== '' && address !== 'None')
}

export function isHeadless({ spec }: Service): boolean {
  return spec.clusterIP === 'None' || spec.clusterIPs?.[0] === 'None'
}

export const readService = structuralReader<Service>(SERVICE_SCHEMA)
