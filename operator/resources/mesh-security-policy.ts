import type { LabelSelector } from '../../model/resource.ts'
import type { JsonSchema, Section } from '../../model/section.ts'
import { labelSelectorSchema } from './label-selector.ts'
import { POLICY_MODE_SCHEMA, type PolicyMode } from './policy-mode.ts'
import { mergeProperties } from './structural.ts'

/** Where a MeshSecurityPolicy is enforced: at the sidecars of workloads, at gateways. */
export type EnforcementRole = 'Sidecar' | 'Gateway'

/** The envelope of `MeshSecurityPolicy.spec`. */
export interface MeshSecurityPolicySpec {
  readonly namespaceSelector?: LabelSelector
  readonly roles?: readonly EnforcementRole[]
  readonly mode?: PolicyMode
  readonly floor?: Readonly<Record<string, unknown>>
  readonly defaults?: Readonly<Record<string, unknown>>
}

/** The schema of `MeshSecurityPolicy.spec`: the envelope, and the sections under `floor` and `defaults`. */
export function meshSecurityPolicySpecSchema(sections: readonly Section[]): JsonSchema {
  return {
    type: 'object',
    description: 'spec is what the platform team asks of the namespaces that it selects.',
    properties: {
      namespaceSelector: labelSelectorSchema(
        'namespaceSelector chooses namespaces by label (kubernetes.io/metadata.name is the name). Default: {}, which is every namespace.',
      ),
      roles: {
        type: 'array',
        description:
          'roles are where the policy is enforced. Sidecar: in front of every workload of the selected namespaces. Gateway: on the routes of the selected namespaces at a gateway, where callers are from outside and have no mesh identity. Default: [Sidecar].',
        minItems: 1,
        maxItems: 2,
        default: ['Sidecar'],
        'x-kubernetes-list-type': 'set',
        items: { type: 'string', enum: ['Sidecar', 'Gateway'] },
      },
      mode: POLICY_MODE_SCHEMA,
      floor: {
        type: 'object',
        description:
          'floor is what nobody may weaken: each section holds wherever the policy is enforced, whatever a SecurityPolicy says. Default: none.',
        properties: mergeProperties(
          ...sections.map((section) => section.schema),
          ...sections.map((section) => section.floorSchema ?? {}),
        ),
      },
      defaults: {
        type: 'object',
        description:
          'defaults is what holds where a team says nothing: each section applies where no SecurityPolicy has that section. Default: none.',
        properties: mergeProperties(...sections.map((section) => section.schema)),
      },
    },
  }
}
