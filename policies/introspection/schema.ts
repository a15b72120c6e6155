import type { JsonSchema } from '../../model/section.ts'
import { AUTHENTICATION_SCHEMA } from '../jwt/schema.ts'

type Properties = Readonly<Record<string, JsonSchema>>

/** Where tokens are and what the application is told of them is said as for `jwt`. */
const JWT = ((AUTHENTICATION_SCHEMA['properties'] as Properties)['jwt'] as JsonSchema)['properties'] as Properties

/** What a policy, and each level of a MeshSecurityPolicy, may say. */
export const INTROSPECTION_SCHEMA: JsonSchema = {
  type: 'object',
  description: AUTHENTICATION_SCHEMA['description'],
  properties: {
    introspection: {
      type: 'object',
      description:
        'introspection asks for a token that says nothing by itself, and has its issuer asked about it (RFC 7662). A token that is there and not active is refused with 401 in any case, one that nobody can be asked about with 503. Single-valued: a floor, then the most specific policy, then defaults. Default: such tokens are not looked at.',
      required: ['issuers'],
      properties: {
        required: {
          type: 'boolean',
          description: 'required says whether a request without a token is refused with 401. Default: true.',
        },
        issuers: {
          type: 'array',
          minItems: 1,
          maxItems: 4,
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          description:
            'issuers lists the TokenIssuers whose tokens are good; each has to have introspection. They are asked one after the other, until one knows the token. Required.',
          items: {
            type: 'object',
            description: 'One issuer.',
            required: ['name'],
            properties: {
              name: {
                type: 'string',
                minLength: 1,
                maxLength: 253,
                pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
                description: 'name of a TokenIssuer. No default.',
              },
            },
          },
        },
        from: JWT['from'] as JsonSchema,
        forward: {
          type: 'string',
          enum: ['Strip', 'Keep'],
          description: 'forward says whether the application gets the token (Keep) or not (Strip). Default: Strip.',
        },
        claimHeaders: {
          ...(JWT['claimHeaders'] as JsonSchema),
          description:
            'claimHeaders lists headers that tell the application what the issuer says of the token. What the client sent under these names is removed, with or without a token. Default: none.',
        },
      },
    },
  },
}
