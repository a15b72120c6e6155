import type { JsonSchema } from '../model/section.ts'

/** A Service or a host that a policy has asked. */
export function backendRefSchema(description: string): JsonSchema {
  return {
    type: 'object',
    description,
    required: ['port'],
    properties: {
      name: {
        type: 'string',
        minLength: 1,
        maxLength: 63,
        pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
        description: 'name of a Service. Exactly one of name and host is set.',
      },
      namespace: {
        type: 'string',
        minLength: 1,
        maxLength: 63,
        pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
        description:
          'namespace of the Service. Another one than that of the policy must permit it by a ReferenceGrant. Default: that of the policy; a MeshSecurityPolicy has none and says one.',
      },
      host: {
        type: 'string',
        minLength: 1,
        maxLength: 253,
        pattern: '^[a-z0-9:]([-a-z0-9.:]*[a-z0-9])?$',
        description:
          'host outside of the mesh, called by HTTPS. MeshConfig egress has to name it and its port. Exactly one of name and host is set.',
      },
      port: { type: 'integer', minimum: 1, maximum: 65_535, description: 'port of the Service or host. Required.' },
    },
    'x-kubernetes-validations': [
      { rule: 'has(self.name) != has(self.host)', message: 'exactly one of name and host must be set' },
      { rule: '!has(self.namespace) || has(self.name)', message: 'a host is in no namespace' },
    ],
  }
}
