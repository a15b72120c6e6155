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
  readonly spec: { readonly controllerName: string; readonly parametersRef?: ParametersReference }
}

export interface ParametersReference {
  readonly group: string
  readonly kind: string
  readonly name: string
  /** A Gateway's reference has none: it is in the namespace of the Gateway. */
  readonly namespace?: string
}

const text: JsonSchema = { type: 'string' }

const parametersRef: JsonSchema = {
  type: 'object',
  required: ['group', 'kind', 'name'],
  properties: { group: text, kind: text, name: { type: 'string', minLength: 1, maxLength: 253 }, namespace: text },
}

export const GATEWAY_CLASS_SCHEMA: JsonSchema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: { type: 'object', required: ['controllerName'], properties: { controllerName: text, parametersRef } },
  },
}

export const readGatewayClass = structuralReader<GatewayClass>(GATEWAY_CLASS_SCHEMA)

/** What we read of a gateway.networking.k8s.io Gateway. */
export interface Gateway {
  readonly spec: {
    readonly gatewayClassName: string
    readonly listeners: readonly Listener[]
    readonly addresses?: readonly unknown[]
    readonly infrastructure?: {
      readonly labels?: Readonly<Record<string, string>>
      readonly annotations?: Readonly<Record<string, string>>
      readonly parametersRef?: ParametersReference
    }
    readonly tls?: {
      readonly backend?: { readonly clientCertificateRef?: unknown }
      readonly frontend?: {
        readonly default?: FrontendTls
        readonly perPort?: readonly { readonly port: number; readonly tls?: FrontendTls }[]
      }
    }
  }
}

/** What is asked of the certificates of clients. */
export interface FrontendTls {
  readonly validation?: unknown
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

const stringMap: JsonSchema = { type: 'object', maxProperties: 16, additionalProperties: text }
const frontendTls: JsonSchema = { type: 'object', properties: { validation: { type: 'object' } } }

export const GATEWAY_SCHEMA: JsonSchema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      required: ['gatewayClassName', 'listeners'],
      properties: {
        gatewayClassName: text,
        addresses: { type: 'array', maxItems: 16 },
        infrastructure: {
          type: 'object',
          properties: { labels: stringMap, annotations: stringMap, parametersRef },
        },
        tls: {
          type: 'object',
          properties: {
            backend: { type: 'object' },
            frontend: {
              type: 'object',
              properties: {
                default: frontendTls,
                perPort: {
                  type: 'array',
                  maxItems: 64,
                  items: {
                    type: 'object',
                    required: ['port'],
                    properties: { port: { type: 'integer', minimum: 1, maximum: 65535 }, tls: frontendTls },
                  },
                },
              },
            },
          },
        },
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
