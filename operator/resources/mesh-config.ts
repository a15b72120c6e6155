import { DURATION_PATTERN } from '../../model/duration.ts'
import type { JsonSchema } from '../../model/section.ts'

/** The one MeshConfig that counts. */
export const MESH_CONFIG_NAME = 'default'

/** What a tenant may be allowed to keep from the mesh. */
export const OPT_OUTS = ['ExcludePorts', 'SkipInjection', 'HostNetwork', 'Privileged', 'InlineSecrets'] as const
export type OptOut = (typeof OPT_OUTS)[number]

export interface MeshConfigSpec {
  readonly trustDomain?: string
  readonly certificates?: {
    readonly lifetime?: string
    readonly rootGeneration?: number
    readonly distrustedRoots?: readonly string[]
  }
  readonly authorization?: { readonly default?: 'Deny' | 'Allow' }
  readonly egress?: readonly {
    readonly name: string
    readonly hosts?: readonly string[]
    readonly cidrs?: readonly string[]
    readonly ports: readonly number[]
  }[]
  readonly trustedHops?: number
  readonly optOuts?: readonly {
    readonly name: string
    readonly namespaces: readonly string[]
    readonly allow: readonly OptOut[]
  }[]
  readonly requestTimeout?: string
  readonly maxTokenLifetime?: string
  readonly rateLimitStore?: {
    readonly redis: {
      readonly backendRef: { readonly name: string; readonly namespace: string; readonly port: number }
    }
  }
  readonly telemetry?: {
    readonly tracing?: { readonly endpoint?: string; readonly samplingRatio?: number }
  }
}

/** A Service by its name in the cluster, or a host by HTTPS. */
const ENDPOINT_PATTERN =
  '^(http://[a-z0-9]([-a-z0-9]*[a-z0-9])?\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.svc(\\.cluster\\.local)?)?|https://[a-z0-9]([-a-z0-9.]*[a-z0-9])?)(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$'

const port: JsonSchema = { type: 'integer', minimum: 1, maximum: 65535 }

function duration(description: string, rest: JsonSchema = {}): JsonSchema {
  return { type: 'string', description, maxLength: 24, pattern: DURATION_PATTERN, ...rest }
}

/** The schema of `MeshConfig.spec`. */
export const MESH_CONFIG_SPEC_SCHEMA: JsonSchema = {
  type: 'object',
  description: 'spec is what holds for the whole mesh.',
  properties: {
    trustDomain: {
      type: 'string',
      description:
        'trustDomain is the first part of every identity: spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT. The certificate authority is made for it: to change it is to start anew. Default: cluster.local.',
      default: 'cluster.local',
      minLength: 1,
      maxLength: 255,
      pattern: '^[a-z0-9._-]+$',
    },
    certificates: {
      type: 'object',
      description: 'certificates is about the certificates of workloads.',
      default: {},
      properties: {
        lifetime: duration(
          'lifetime is how long a certificate is valid; it is renewed at half of that. 30s to 168h. Default: 24h.',
          {
            default: '24h',
            'x-kubernetes-validations': [
              {
                rule: "duration(self) >= duration('30s') && duration(self) <= duration('168h')",
                message: 'lifetime is from 30s to 168h',
              },
            ],
          },
        ),
        rootGeneration: {
          type: 'integer',
          description:
            'rootGeneration counts the roots of the mesh: raise it by one to have the root replaced. A new root is made and trusted everywhere, then it signs, then the old one is retired, each step when every sidecar has followed the one before. A lower number changes nothing. A root that is brought in the Secret hauberk-ca-custom-root comes first. Default: 1.',
          minimum: 1,
          maximum: 1_000_000,
          default: 1,
        },
        distrustedRoots: {
          type: 'array',
          description:
            'distrustedRoots is for an emergency: the SHA-256 fingerprints of roots that nobody may trust any more, in hex, with or without colons. They are dropped at once and connections by their leave are cut; where the signing root is among them, the next one signs, and workloads without a new certificate are cut off until they have one. Default: none.',
          maxItems: 16,
          'x-kubernetes-list-type': 'set',
          items: {
            type: 'string',
            minLength: 64,
            maxLength: 95,
            pattern: '^([0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2}$',
          },
        },
      },
    },
    authorization: {
      type: 'object',
      description: 'authorization is what holds for workloads that no authorization policy speaks of.',
      default: {},
      properties: {
        default: {
          type: 'string',
          description:
            'default is what becomes of a request to a workload without any authorization policy. Deny answers 403 no-policy. Allow lets every caller of the mesh in. Default: Deny.',
          enum: ['Deny', 'Allow'],
          default: 'Deny',
        },
      },
    },
    egress: {
      type: 'array',
      description:
        'egress are the destinations outside of the mesh that workloads may call; every other one is refused. Default: none.',
      maxItems: 128,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      items: {
        type: 'object',
        required: ['name', 'ports'],
        properties: {
          name: {
            type: 'string',
            description: 'name is what logs call the destination.',
            minLength: 1,
            maxLength: 63,
            pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
          },
          hosts: {
            type: 'array',
            description:
              'hosts are host names; *. at the front stands for one label or more. A Service whose pods are outside of the mesh is named here too, as NAME.NAMESPACE.svc. Default: none.',
            maxItems: 32,
            'x-kubernetes-list-type': 'set',
            items: {
              type: 'string',
              minLength: 1,
              maxLength: 253,
              pattern: '^(\\*\\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
            },
          },
          cidrs: {
            type: 'array',
            description: 'cidrs are address ranges, IPv4 or IPv6. Default: none.',
            maxItems: 32,
            'x-kubernetes-list-type': 'set',
            items: {
              type: 'string',
              minLength: 1,
              maxLength: 43,
              pattern: '^[0-9a-fA-F:.]+/[0-9]{1,3}$',
            },
          },
          ports: {
            type: 'array',
            description: 'ports are the ports that may be called there; none are implied.',
            minItems: 1,
            maxItems: 32,
            'x-kubernetes-list-type': 'set',
            items: port,
          },
        },
        'x-kubernetes-validations': [
          {
            rule: '(has(self.hosts) && size(self.hosts) > 0) || (has(self.cidrs) && size(self.cidrs) > 0)',
            message: 'name at least one host or CIDR',
          },
        ],
      },
    },
    optOuts: {
      type: 'array',
      description:
        'optOuts are the exceptions from the rule that every pod of an opted-in namespace has a sidecar that nothing gets round. What no entry allows is refused when the pod is created. Default: none.',
      maxItems: 64,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      items: {
        type: 'object',
        required: ['name', 'namespaces', 'allow'],
        properties: {
          name: {
            type: 'string',
            description: 'name is what messages call the exception.',
            minLength: 1,
            maxLength: 63,
            pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
          },
          namespaces: {
            type: 'array',
            description:
              'namespaces are the namespaces that it is for, by name: its labels may be for tenants to change.',
            minItems: 1,
            maxItems: 128,
            'x-kubernetes-list-type': 'set',
            items: { type: 'string', minLength: 1, maxLength: 63, pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$' },
          },
          allow: {
            type: 'array',
            description:
              'allow says what pods there may do. ExcludePorts: annotations that keep ports and address ranges from being captured. SkipInjection: the label hauberk.dev/inject: disabled; the pod has no sidecar. HostNetwork: hostNetwork; the pod has no sidecar. Privileged: containers that could get round the sidecar beside them (privileged, NET_ADMIN and the like, shared processes, hostPath); the pod is injected all the same. InlineSecrets: passwords, tokens and keys that are written into variables and arguments of containers.',
            minItems: 1,
            maxItems: 5,
            'x-kubernetes-list-type': 'set',
            items: { type: 'string', enum: [...OPT_OUTS] },
          },
        },
      },
    },
    trustedHops: {
      type: 'integer',
      description:
        'trustedHops is how many proxies of your own stand in front of the gateways: as many entries of X-Forwarded-For, from the right, are believed. Default: 0, the address of the connection is the client.',
      minimum: 0,
      maximum: 16,
      default: 0,
    },
    requestTimeout: duration(
      'requestTimeout is how long a request may take where its HTTPRoute does not say; then it is answered 504. 0s is no limit. Default: 30s.',
      {
        default: '30s',
        'x-kubernetes-validations': [
          { rule: "duration(self) <= duration('24h')", message: 'requestTimeout is at most 24h' },
        ],
      },
    ),
    rateLimitStore: {
      type: 'object',
      description:
        'rateLimitStore is where limits of scope Shared are counted for all replicas of a workload together. Requests never wait for it; while it does not answer, each replica enforces its share of the limit. Default: none, each replica enforces its share.',
      required: ['redis'],
      properties: {
        redis: {
          type: 'object',
          description: 'redis is one Redis, from version 6 on. Required.',
          required: ['backendRef'],
          properties: {
            backendRef: {
              type: 'object',
              description:
                'backendRef names the Service of the Redis. Its pod has a sidecar, which by its policies lets in the workloads that have such limits: they call it by mutual TLS, without a password. Required.',
              required: ['name', 'namespace', 'port'],
              properties: {
                name: {
                  type: 'string',
                  description: 'name is the name of the Service. Required.',
                  minLength: 1,
                  maxLength: 63,
                  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
                },
                namespace: {
                  type: 'string',
                  description: 'namespace is the namespace of the Service. Required.',
                  minLength: 1,
                  maxLength: 63,
                  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
                },
                port: { ...port, description: 'port is a port of the Service, of opaque TCP. Required.' },
              },
            },
          },
        },
      },
    },
    telemetry: {
      type: 'object',
      description: 'telemetry is what the mesh tells of the requests in it, beside metrics and logs.',
      properties: {
        tracing: {
          type: 'object',
          description:
            'tracing has every sidecar and gateway record a part of the requests as spans of W3C traces. The trace ids that clients from outside send are replaced at gateways. Absent: nothing is recorded, and headers of traces are passed on as they come.',
          properties: {
            endpoint: {
              type: 'string',
              description:
                'endpoint is the collector that spans are posted to, by OTLP over HTTP at ENDPOINT/v1/traces: http://NAME.NAMESPACE:PORT for a Service of the mesh, whose policies have to let the workloads in, or https://HOST for a host outside that egress names. Absent: nothing is recorded, and traces are passed on with their ids.',
              minLength: 1,
              maxLength: 512,
              pattern: ENDPOINT_PATTERN,
            },
            samplingRatio: {
              type: 'number',
              description:
                'samplingRatio is what part of the traces that begin in the mesh is recorded, from 0 to 1. A request that belongs to a trace is recorded if the trace is. Default: 0.01.',
              minimum: 0,
              maximum: 1,
              default: 0.01,
            },
          },
        },
      },
    },
    maxTokenLifetime: duration(
      'maxTokenLifetime is the longest time between iat and exp of a token that is accepted; a longer one is refused. Default: no limit but the one of its issuer.',
      {
        'x-kubernetes-validations': [
          { rule: "duration(self) >= duration('1s')", message: 'maxTokenLifetime is at least 1s' },
        ],
      },
    ),
  },
}

/** What `MeshConfig.status` has besides conditions. */
export const MESH_CONFIG_STATUS_PROPERTIES: Readonly<Record<string, JsonSchema>> = {
  certificateAuthority: {
    type: 'object',
    description: 'certificateAuthority is how the roots of the mesh stand.',
    properties: {
      phase: {
        type: 'string',
        description:
          'phase is stable, or how far the replacement of a root has come: distributing (the next root is trusted as it arrives), signing (it signs, and everybody gets a new certificate), retiring (the old root is out, as everybody acknowledges).',
        enum: ['stable', 'distributing', 'signing', 'retiring'],
      },
      roots: {
        type: 'array',
        description: 'roots are the roots that count, the one that signs first.',
        maxItems: 64,
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['fingerprint'],
        items: {
          type: 'object',
          required: ['fingerprint', 'notAfter', 'use'],
          properties: {
            fingerprint: {
              type: 'string',
              maxLength: 64,
              description: 'fingerprint is the SHA-256 of the certificate, in hex.',
            },
            notAfter: { type: 'string', format: 'date-time', description: 'notAfter is when it ends.' },
            use: {
              type: 'string',
              enum: ['Signing', 'Next', 'Old', 'Leaving'],
              description:
                'use is Signing (it signs), Next (it will), Old (it did, and is trusted still) or Leaving (it is out, and not everybody has said so).',
            },
          },
        },
      },
      waitingFor: {
        type: 'array',
        maxItems: 20,
        'x-kubernetes-list-type': 'atomic',
        description: 'waitingFor names whom the next step waits for; a part of them where they are many.',
        items: { type: 'string', maxLength: 512 },
      },
      waiting: { type: 'integer', description: 'waiting is how many the next step waits for.' },
      problem: {
        type: 'string',
        maxLength: 1024,
        description: 'problem is why the root that is wanted cannot be had.',
      },
    },
  },
}
