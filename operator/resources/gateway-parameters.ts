import { type Issue, under } from '../../model/result.ts'
import type { JsonSchema } from '../../model/section.ts'
import { checkStructure } from './structural.ts'

/** `spec` of a GatewayParameters: how a Gateway's pods and Service are made on a cluster. On a laptop it has no effect. */
export interface GatewayParametersSpec {
  readonly replicas?: number
  readonly service?: GatewayServiceParameters
  readonly pod?: GatewayPodParameters
}

export interface GatewayServiceParameters {
  readonly type?: 'LoadBalancer' | 'NodePort' | 'ClusterIP'
  readonly nodePorts?: readonly { readonly port: number; readonly nodePort: number }[]
  readonly externalTrafficPolicy?: 'Local' | 'Cluster'
  readonly loadBalancerClass?: string
  readonly loadBalancerSourceRanges?: readonly string[]
  readonly annotations?: Readonly<Record<string, string>>
}

export interface GatewayPodParameters {
  readonly annotations?: Readonly<Record<string, string>>
  readonly workers?: number
  readonly resources?: {
    readonly requests?: Readonly<Partial<Record<ResourceName, Quantity>>>
    readonly limits?: Readonly<Partial<Record<ResourceName, Quantity>>>
  }
  readonly nodeSelector?: Readonly<Record<string, string>>
  readonly tolerations?: readonly Toleration[]
}

export type ResourceName = 'cpu' | 'memory' | 'ephemeral-storage'

/** `resource.Quantity`. */
export type Quantity = string | number

/** `core/v1` Toleration. */
export interface Toleration {
  readonly key?: string
  readonly operator?: 'Exists' | 'Equal'
  readonly value?: string
  readonly effect?: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute'
  readonly tolerationSeconds?: number
}

/** `resource.Quantity`, as Kubernetes' own schemas have it, without a sign. */
const QUANTITY =
  '^(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$'

/** A label's key or an annotation's: an optional DNS subdomain and a name. */
const QUALIFIED_NAME = '^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'

/** Keys with which Kubernetes or Hauberk would let somebody loosen what a gateway's pods may do. */
const RESERVED_KEYS = [
  "!key.startsWith('hauberk.dev/')",
  "!key.startsWith('container.apparmor.security.beta.kubernetes.io/')",
  "!key.startsWith('seccomp.security.alpha.kubernetes.io/')",
].join(' && ')

function annotations(description: string): JsonSchema {
  return {
    type: 'object',
    description,
    maxProperties: 32,
    additionalProperties: { type: 'string', maxLength: 4096 },
    'x-kubernetes-validations': [
      {
        rule: `self.all(key, ${RESERVED_KEYS})`,
        message: 'annotations of hauberk.dev, AppArmor and seccomp are not for parameters to say',
      },
    ],
  }
}

function quantities(description: string): JsonSchema {
  const quantity = (name: ResourceName, what: string): JsonSchema => ({
    description: `${name} is ${what}`,
    anyOf: [{ type: 'integer' }, { type: 'string' }],
    pattern: QUANTITY,
    maxLength: 32,
    'x-kubernetes-int-or-string': true,
  })
  return {
    type: 'object',
    description,
    properties: {
      cpu: quantity('cpu', 'in cores: 500m is half of one.'),
      memory: quantity('memory', 'in bytes: 256Mi.'),
      'ephemeral-storage': quantity('ephemeral-storage', 'in bytes of the node that logs take: 64Mi.'),
    },
  }
}

const port: JsonSchema = { type: 'integer', minimum: 1, maximum: 65535 }

/** The schema of `GatewayParameters.spec`. */
export const GATEWAY_PARAMETERS_SPEC_SCHEMA: JsonSchema = {
  type: 'object',
  description:
    'spec is how the pods and the Service of a Gateway are made. Gateways name it in infrastructure.parametersRef, GatewayClasses in parametersRef; what a Gateway names counts before what its class names, field by field.',
  properties: {
    replicas: {
      type: 'integer',
      description:
        'replicas is how many pods serve the Gateway. With more than one, a PodDisruptionBudget keeps all but one of them. Default: 2.',
      minimum: 1,
      maximum: 32,
    },
    service: {
      type: 'object',
      description: 'service is how the Gateway is reached. Its ports are the ports of the listeners.',
      properties: {
        type: {
          type: 'string',
          description:
            "type is the type of the Service. LoadBalancer: the cluster's load balancer gives it an address. NodePort: a port on each node. ClusterIP: from within the cluster only. Default: LoadBalancer.",
          enum: ['LoadBalancer', 'NodePort', 'ClusterIP'],
        },
        nodePorts: {
          type: 'array',
          description:
            'nodePorts are the ports on the nodes, by port of a listener, for NodePort and LoadBalancer. Default: Kubernetes chooses.',
          maxItems: 64,
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['port'],
          items: {
            type: 'object',
            required: ['port', 'nodePort'],
            properties: {
              port: { ...port, description: 'port is the port of a listener.' },
              nodePort: {
                ...port,
                description:
                  'nodePort is the port on each node; clusters take 30000 to 32767 unless they are told otherwise.',
              },
            },
          },
        },
        externalTrafficPolicy: {
          type: 'string',
          description:
            'externalTrafficPolicy says which pods a node sends calls from outside to, for NodePort and LoadBalancer. Local: those on that node, and the address of the client is seen, which rules and limits by address need. Cluster: any, and the client looks like a node. Default: Local.',
          enum: ['Local', 'Cluster'],
        },
        loadBalancerClass: {
          type: 'string',
          description:
            "loadBalancerClass is which load balancer to use, for LoadBalancer. It cannot be changed later. Default: the cluster's own.",
          minLength: 1,
          maxLength: 317,
          pattern: QUALIFIED_NAME,
        },
        loadBalancerSourceRanges: {
          type: 'array',
          description:
            'loadBalancerSourceRanges are the address ranges that the load balancer lets in, where it can tell. Default: all.',
          maxItems: 64,
          'x-kubernetes-list-type': 'set',
          items: { type: 'string', minLength: 1, maxLength: 43, pattern: '^[0-9a-fA-F:.]+/[0-9]{1,3}$' },
        },
        annotations: annotations(
          'annotations are put on the Service: load balancers and DNS controllers read theirs there. Default: none.',
        ),
      },
      'x-kubernetes-validations': [
        {
          rule: "!has(self.type) || self.type == 'LoadBalancer' || (!has(self.loadBalancerClass) && !has(self.loadBalancerSourceRanges))",
          message: 'loadBalancerClass and loadBalancerSourceRanges are for type LoadBalancer',
        },
        {
          rule: "!has(self.type) || self.type != 'ClusterIP' || (!has(self.nodePorts) && !has(self.externalTrafficPolicy))",
          message: 'nodePorts and externalTrafficPolicy are not for type ClusterIP',
        },
      ],
    },
    pod: {
      type: 'object',
      description: 'pod is about the pods that serve the Gateway.',
      properties: {
        annotations: annotations('annotations are put on the pods. Default: none.'),
        workers: {
          type: 'integer',
          description:
            'workers is how many threads of a pod serve. Each takes a core under load, and some 25 MB of memory. Default: 1.',
          minimum: 1,
          maximum: 16,
        },
        resources: {
          type: 'object',
          description:
            'resources is what a pod asks of its node, and the most that it gets. Default: those of the installation.',
          properties: {
            requests: quantities('requests is what a node must have free.'),
            limits: quantities('limits is the most that a pod may use.'),
          },
        },
        nodeSelector: {
          type: 'object',
          description: 'nodeSelector are labels that a node must have. Default: any node.',
          maxProperties: 16,
          additionalProperties: { type: 'string', maxLength: 63 },
        },
        tolerations: {
          type: 'array',
          description: 'tolerations are taints of nodes that do not keep the pods away. Default: none.',
          maxItems: 16,
          'x-kubernetes-list-type': 'atomic',
          items: {
            type: 'object',
            properties: {
              key: { type: 'string', maxLength: 317, description: 'key is the key of the taint. Default: every key.' },
              operator: {
                type: 'string',
                enum: ['Exists', 'Equal'],
                description: 'operator says whether value must be that of the taint. Default: Equal.',
              },
              value: { type: 'string', maxLength: 63, description: 'value is the value of the taint.' },
              effect: {
                type: 'string',
                enum: ['NoSchedule', 'PreferNoSchedule', 'NoExecute'],
                description: 'effect is the effect of the taint. Default: every effect.',
              },
              tolerationSeconds: {
                type: 'integer',
                format: 'int64',
                description: 'tolerationSeconds is for how long NoExecute is borne. Default: for ever.',
                minimum: 0,
              },
            },
          },
        },
      },
    },
  },
}

/** What is wrong with the shape of a GatewayParameters, with paths from its root. */
export function checkGatewayParameters(spec: unknown): readonly Issue[] {
  return checkStructure(GATEWAY_PARAMETERS_SPEC_SCHEMA, spec ?? {}, 'refuse').map((found) => under('spec', found))
}

/** What counts where a Gateway and its class both name parameters: field by field, the Gateway's first. */
export function mergeParameters(
  gateway: GatewayParametersSpec,
  gatewayClass: GatewayParametersSpec,
): GatewayParametersSpec {
  return {
    ...gatewayClass,
    ...gateway,
    ...((gateway.service ?? gatewayClass.service) && { service: { ...gatewayClass.service, ...gateway.service } }),
    ...((gateway.pod ?? gatewayClass.pod) && { pod: { ...gatewayClass.pod, ...gateway.pod } }),
  }
}
