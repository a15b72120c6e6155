import type { JsonSchema, Section } from '../../model/section.ts'
import { KINDS, type KindDefinition } from '../resources/kinds.ts'

/** What a kind of ours is called beside its name, and what `kubectl get` shows of it. */
interface Presentation {
  readonly shortName: string
  readonly description: string
  readonly columns: readonly PrinterColumn[]
}

interface PrinterColumn {
  readonly name: string
  readonly type: 'string' | 'integer' | 'date'
  readonly jsonPath: string
  readonly description?: string
  readonly priority?: number
}

const condition = (type: string): PrinterColumn => ({
  name: type,
  type: 'string',
  jsonPath: `.status.conditions[?(@.type=="${type}")].status`,
})
const AGE: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }
const ATTACHED: PrinterColumn = {
  name: 'Attached',
  type: 'string',
  jsonPath: '.status.workloads.summary',
  description: 'Sidecars that acknowledged the policy, of those it selects.',
}

const PRESENTATIONS: Readonly<Record<string, Presentation>> = {
  SecurityPolicy: {
    shortName: 'hsp',
    description:
      'SecurityPolicy says who may call the workloads it is attached to, and how. It is written by the team that owns them.',
    columns: [
      { name: 'Target', type: 'string', jsonPath: '.spec.targetRefs[0].name' },
      { name: 'Mode', type: 'string', jsonPath: '.spec.mode' },
      { name: 'mTLS', type: 'string', jsonPath: '.spec.mtls.mode' },
      condition('Accepted'),
      condition('Programmed'),
      ATTACHED,
      AGE,
    ],
  },
  MeshSecurityPolicy: {
    shortName: 'mhsp',
    description:
      'MeshSecurityPolicy is a floor that no team can weaken, and defaults for where a team says nothing. It is written by the platform team.',
    columns: [
      { name: 'Mode', type: 'string', jsonPath: '.spec.mode' },
      condition('Accepted'),
      condition('Programmed'),
      ATTACHED,
      AGE,
    ],
  },
  TrafficPolicy: {
    shortName: 'htp',
    description:
      'TrafficPolicy is how requests are sent to a Service: how long is waited, what is tried again, how much at once, and to which endpoint. It is written by the team that owns the Service.',
    columns: [
      { name: 'Target', type: 'string', jsonPath: '.spec.targetRefs[0].name' },
      condition('Accepted'),
      condition('Programmed'),
      ATTACHED,
      AGE,
    ],
  },
  TokenIssuer: {
    shortName: 'hti',
    description: 'TokenIssuer is somebody whose tokens count: how they are told from others, and where the keys are.',
    columns: [
      { name: 'Issuer', type: 'string', jsonPath: '.spec.issuer' },
      condition('Accepted'),
      condition('ResolvedRefs'),
      AGE,
    ],
  },
  TokenRevocation: {
    shortName: 'htr',
    description: 'TokenRevocation is tokens that count no more, although they have not expired.',
    columns: [
      { name: 'Issuer', type: 'string', jsonPath: '.spec.issuer' },
      { name: 'Sub', type: 'string', jsonPath: '.spec.sub' },
      { name: 'Before', type: 'string', jsonPath: '.spec.issuedBefore' },
      { name: 'Until', type: 'string', jsonPath: '.spec.until' },
      condition('Accepted'),
      condition('Programmed'),
      ATTACHED,
      AGE,
    ],
  },
  MeshConfig: {
    shortName: 'hmc',
    description: 'MeshConfig holds for the whole mesh. The one that counts is named default.',
    columns: [
      { name: 'Trust domain', type: 'string', jsonPath: '.spec.trustDomain' },
      { name: 'Default', type: 'string', jsonPath: '.spec.authorization.default' },
      { name: 'CA', type: 'string', jsonPath: '.status.certificateAuthority.phase' },
      condition('Accepted'),
      AGE,
    ],
  },
  GatewayParameters: {
    shortName: 'hgp',
    description:
      "GatewayParameters is how a Gateway's pods and Service are made: how many, of which type, with which ports of the nodes.",
    columns: [
      { name: 'Replicas', type: 'integer', jsonPath: '.spec.replicas' },
      { name: 'Type', type: 'string', jsonPath: '.spec.service.type' },
      condition('Accepted'),
      AGE,
    ],
  },
}

const CONDITION_SCHEMA: JsonSchema = {
  type: 'object',
  required: ['type', 'status', 'reason', 'message', 'lastTransitionTime'],
  properties: {
    type: { type: 'string', maxLength: 316, description: 'type is the name of the condition.' },
    status: { type: 'string', enum: ['True', 'False', 'Unknown'], description: 'status is whether it holds.' },
    reason: { type: 'string', maxLength: 1024, description: 'reason is one stable word for why.' },
    message: { type: 'string', maxLength: 32768, description: 'message says why, to a person.' },
    observedGeneration: {
      type: 'integer',
      format: 'int64',
      minimum: 0,
      description: 'observedGeneration is the generation of the resource that the condition speaks of.',
    },
    lastTransitionTime: {
      type: 'string',
      format: 'date-time',
      description: 'lastTransitionTime is when status last changed.',
    },
  },
}

/** `status` of our kinds, as the status engine fills it. */
export const STATUS_SCHEMA: JsonSchema = {
  type: 'object',
  description: 'status is what became of the resource. It is written by the operator.',
  properties: {
    observedGeneration: {
      type: 'integer',
      format: 'int64',
      description: 'observedGeneration is the newest generation that the operator has acted on.',
    },
    conditions: {
      type: 'array',
      maxItems: 8,
      description:
        'conditions are Accepted (it is understood), ResolvedRefs (what it refers to is there) and Programmed (every selected sidecar obeys it).',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
      items: CONDITION_SCHEMA,
    },
    workloads: {
      type: 'object',
      description: 'workloads counts the sidecars that the resource selects.',
      properties: {
        selected: { type: 'integer', description: 'selected is how many sidecars it applies to.' },
        acknowledged: { type: 'integer', description: 'acknowledged is how many of them obey this generation.' },
        rejected: { type: 'integer', description: 'rejected is how many of them refused it.' },
        summary: { type: 'string', maxLength: 32, description: 'summary is acknowledged/selected, for kubectl get.' },
      },
    },
    dryRun: {
      type: 'object',
      description: 'dryRun is what the policy would have denied, were it enforced.',
      properties: {
        wouldDeny: {
          type: 'integer',
          format: 'int64',
          description: 'wouldDeny counts requests since the operator started.',
        },
        topRule: { type: 'string', maxLength: 253, description: 'topRule is the rule that would have denied most.' },
      },
    },
  },
}

/** The CustomResourceDefinitions of our kinds, assembled from the envelopes and the rooms' schemas. */
export function customResourceDefinitions(sections: readonly Section[]): readonly Readonly<Record<string, unknown>>[] {
  return KINDS.filter(({ specSchema }) => specSchema !== undefined).map((definition) => assemble(definition, sections))
}

function assemble(
  { kind, plural, namespaced, apiVersions, specSchema, statusProperties }: KindDefinition,
  sections: readonly Section[],
): Readonly<Record<string, unknown>> {
  const [group, version] = (apiVersions[0] ?? '').split('/')
  const presentation = PRESENTATIONS[kind]
  if (presentation === undefined || specSchema === undefined) throw new Error(`${kind} has no presentation`)
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}`, labels: { 'app.kubernetes.io/part-of': 'hauberk' } },
    spec: {
      group,
      scope: namespaced ? 'Namespaced' : 'Cluster',
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        shortNames: [presentation.shortName],
        categories: ['hauberk'],
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: presentation.columns,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description: presentation.description,
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string', description: `apiVersion is ${group}/${version}.` },
                kind: { type: 'string', description: `kind is ${kind}.` },
                metadata: { type: 'object' },
                spec: specSchema(sections),
                status: statusSchema(statusProperties),
              },
              ...(kind === 'MeshConfig' && {
                'x-kubernetes-validations': [
                  { rule: "self.metadata.name == 'default'", message: 'the only MeshConfig is the one named default' },
                ],
              }),
            },
          },
        },
      ],
    },
  }
}

function statusSchema(more: KindDefinition['statusProperties']): JsonSchema {
  if (more === undefined) return STATUS_SCHEMA
  return { ...STATUS_SCHEMA, properties: { ...(STATUS_SCHEMA['properties'] as object), ...more } }
}
