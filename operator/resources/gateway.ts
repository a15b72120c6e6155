import type { LabelSelector } from '../../model/resource.ts'
import type { JsonSchema } from '../../model/section.ts'
import { labelSelectorSchema } from './label-selector.ts'
import { structuralReader } from './structural.ts'

/** `spec.controllerName` of the GatewayClasses that are ours. */
export const CONTROLLER_NAME = 'hauberk.dev/gateway-controller'

/** A key of a listener's `tls.options`: `mesh` asks the mesh's own CA for the certificate of the listener's hostname. */
export const CERTIFICATE_OPTION = 'hauberk.dev/certificate'

/** What we read of a gateway.networking.k8s.io GatewayClass. */
export interface GatewayClass {
  readonly spec: { readonly controllerName: string }
}

export const GATEWAY_CLASS_SCHEMA: JsonSchema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: { type: 'object', required: ['controllerName'], properties: { controllerName: { type: 'string' } } },
  },
}

export const readGatewayClass = structuralReader<GatewayClass>(GATEWAY_CLASS_SCHEMA)

/** What we read of a gateway.networking.k8s.io Gateway. */
export interface Gateway {
  readonly spec: { readonly gatewayClassName: string; readonly listeners: readonly Listener[] }
}

export interface Listener {
  readonly name: string
  readonly port: number
  readonly protocol: string
  readonly hostname?: string
  readonly tls?: {
    readonly mode?: string
    readonly certificateRefs?: readonly SecretReference[]
    readonly options?: Readonly<Record<string, string>>
  }
  readonly allowedRoutes?: {
    readonly namespaces?: { readonly from?: 'All' | 'Same' | 'Selector' | 'None'; readonly selector?: LabelSelector }
    readonly kinds?: readonly { readonly group?: string; readonly kind: string }[]
  }
}

export interface SecretReference {
  readonly group?: string
  readonly kind?: string
  readonly namespace?: string
  readonly name: string
}

const text: JsonSchema = { type: 'string' }

export const GATEWAY_SCHEMA: JsonSchema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      required: ['gatewayClassName', 'listeners'],
      properties: {
        gatewayClassName: text,
        listeners: {
          type: 'array',
          minItems: 1,
          maxItems: 64,
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          items: {
            type: 'object',
            required: ['name', 'port', 'protocol'],
            properties: {
              name: { type: 'string', minLength: 1, maxLength: 253 },
              port: { type: 'integer', minimum: 1, maximum: 65535 },
              protocol: text,
              hostname: text,
              tls: {
                type: 'object',
                properties: {
                  mode: text,
                  options: { type: 'object', additionalProperties: text },
                  certificateRefs: {
                    type: 'array',
                    maxItems: 64,
                    items: {
                      type: 'object',
                      required: ['name'],
                      properties: { group: text, kind: text, namespace: text, name: text },
                    },
                  },
                },
              },
              allowedRoutes: {
                type: 'object',
                properties: {
                  namespaces: {
                    type: 'object',
                    properties: {
                      from: { type: 'string', enum: ['All', 'Same', 'Selector', 'None'] },
                      selector: labelSelectorSchema('selector chooses namespaces by label.'),
                    },
                  },
                  kinds: {
                    type: 'array',
                    items: { type: 'object', required: ['kind'], properties: { group: text, kind: text } },
                  },
                },
              },
            },
          },
        },
      },
    },
  },
}

export const readGateway = structuralReader<Gateway>(GATEWAY_SCHEMA)
