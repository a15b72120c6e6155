import type { TargetRef } from '../../model/resource.ts'
import type { JsonSchema, Section } from '../../model/section.ts'
import { labelSelectorSchema } from './label-selector.ts'
import { POLICY_MODE_SCHEMA, type PolicyMode } from './policy-mode.ts'
import { mergeProperties } from './structural.ts'

/** What a SecurityPolicy may be attached to, with the API group of each. */
export const TARGET_GROUPS = {
  Service: '',
  Pod: '',
  HTTPRoute: 'gateway.networking.k8s.io',
  GRPCRoute: 'gateway.networking.k8s.io',
  TLSRoute: 'gateway.networking.k8s.io',
  TCPRoute: 'gateway.networking.k8s.io',
  Gateway: 'gateway.networking.k8s.io',
} as const

/** The envelope of `SecurityPolicy.spec`; the sections are read by their rooms. */
export interface SecurityPolicySpec {
  readonly targetRefs: readonly TargetRef[]
  readonly mode?: PolicyMode
  readonly [section: string]: unknown
}

const TARGET_REF_SCHEMA: JsonSchema = {
  type: 'object',
  required: ['kind'],
  properties: {
    group: {
      type: 'string',
      description:
        'group is the API group of kind: gateway.networking.k8s.io for Gateway and the kinds of routes, empty for Service and Pod. Default: the one that belongs to kind.',
      maxLength: 253,
    },
    kind: {
      type: 'string',
      description:
        'kind is what the policy is attached to. Service and Pod are enforced by the sidecars of the pods behind them, Gateway and the kinds of routes at the gateway. Connections of a TLSRoute or TCPRoute are judged by what is known of them: who calls, and from where.',
      enum: Object.keys(TARGET_GROUPS),
    },
    name: {
      type: 'string',
      description: 'name is the name of the target, in the namespace of the policy. Required but for Pod.',
      minLength: 1,
      maxLength: 253,
    },
    sectionName: {
      type: 'string',
      description:
        'sectionName narrows the target to one part of it: the port of a Service, the listener of a Gateway or the rule of a route, each by its name. Such a policy is more specific than one for the whole target. Default: the whole target.',
      minLength: 1,
      maxLength: 253,
    },
    selector: labelSelectorSchema(
      'selector chooses pods of the namespace by label; {} is all of them. Required for Pod, refused for every other kind.',
    ),
  },
  'x-kubernetes-validations': [
    {
      rule: "self.kind == 'Pod' ? has(self.selector) && !has(self.name) && !has(self.sectionName) : has(self.name) && !has(self.selector)",
      message: 'Pod takes a selector and no name or sectionName; every other kind takes a name and no selector',
    },
    {
      rule: "!has(self.group) || self.group == (self.kind in ['HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute', 'Gateway'] ? 'gateway.networking.k8s.io' : '')",
      message: 'group is gateway.networking.k8s.io for Gateway and the kinds of routes, and empty for Service and Pod',
    },
  ],
}

/** The schema of `SecurityPolicy.spec`: the envelope and what every section adds to it. */
export function securityPolicySpecSchema(sections: readonly Section[]): JsonSchema {
  return {
    type: 'object',
    description: 'spec is what the policy asks of the requests to its targets.',
    required: ['targetRefs'],
    properties: mergeProperties(
      {
        targetRefs: {
          type: 'array',
          description:
            'targetRefs are what the policy is attached to: 1 to 16 Services, pods, Gateways or routes of its own namespace. An empty list is invalid and never means everything.',
          minItems: 1,
          maxItems: 16,
          'x-kubernetes-list-type': 'atomic',
          items: TARGET_REF_SCHEMA,
        },
        mode: POLICY_MODE_SCHEMA,
      },
      ...sections.map((section) => section.schema),
    ),
  }
}
