import type { JsonSchema } from '../../model/section.ts'
import { AUTHENTICATION_SCHEMA } from '../jwt/schema.ts'

const HEADER_NAME: JsonSchema = { type: 'string', minLength: 1, maxLength: 64, pattern: '^[A-Za-z0-9-]+$' }

const DNS_NAME = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'

/**
 * What a policy, and each level of a MeshSecurityPolicy, may say. Defaults are in `combine` and not here: a level that
 * leaves a field out says nothing, and the next one is heard.
 */
export const API_KEYS_SCHEMA: JsonSchema = {
  type: 'object',
  description: AUTHENTICATION_SCHEMA['description'],
  properties: {
    apiKeys: {
      type: 'object',
      description:
        'apiKeys asks for an API key, by which a program or partner is known. A key that is there and not good is refused with 401 in any case. Where jwt is asked for as well, a request needs both, unless one of them is not required. Keys are never passed on to the application. Default: keys are not looked at.',
      minProperties: 1,
      properties: {
        required: {
          type: 'boolean',
          description:
            'required says whether a request without a key is refused with 401. True if any policy or floor says so, and by default: a policy that leaves it out asks for a key.',
        },
        secretRef: {
          type: 'object',
          description:
            'secretRef names the Secret whose entries are the keys, hashed, as hauberk api-key create writes them. Those of several policies add up; where a floor names one, its own are the only ones. Default: that of the defaults of a MeshSecurityPolicy; without any, requests are refused.',
          required: ['name'],
          properties: {
            name: {
              type: 'string',
              minLength: 1,
              maxLength: 253,
              pattern: DNS_NAME,
              description: 'name of the Secret. Required.',
            },
            namespace: {
              type: 'string',
              minLength: 1,
              maxLength: 63,
              pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
              description:
                'namespace of the Secret. Another one than that of the policy must permit it by a ReferenceGrant. Default: that of the policy; for a MeshSecurityPolicy hauberk-system.',
            },
          },
        },
        from: {
          type: 'array',
          minItems: 1,
          maxItems: 4,
          'x-kubernetes-list-type': 'atomic',
          description:
            'from lists where a key may be; never in a URL, which ends up in logs. A request with more than one key in these places gets 400. Default: the header x-api-key.',
          items: {
            type: 'object',
            description: 'One place: a header or a cookie.',
            properties: {
              header: {
                ...HEADER_NAME,
                description: 'header names a header field that holds the key. Exactly one of header and cookie is set.',
              },
              scheme: {
                type: 'string',
                minLength: 1,
                maxLength: 32,
                pattern: '^[A-Za-z][A-Za-z0-9-]*$',
                description:
                  'scheme is the word before the key, compared without regard to case; a header with another scheme holds no key. Default: none, the whole value is the key. Required for the header authorization.',
              },
              cookie: {
                type: 'string',
                minLength: 1,
                maxLength: 64,
                pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
                description:
                  'cookie names a cookie that holds the key, and takes with it what cookies bring: requests of other sites carry it too unless it is SameSite.',
              },
            },
            'x-kubernetes-validations': [
              { rule: 'has(self.header) != has(self.cookie)', message: 'exactly one of header and cookie must be set' },
              { rule: '!has(self.scheme) || has(self.header)', message: 'a cookie has no scheme' },
              {
                rule: "!has(self.header) || self.header.lowerAscii() != 'authorization' || has(self.scheme)",
                message: 'the header authorization needs a scheme, such as ApiKey',
              },
            ],
          },
        },
        clientHeader: {
          ...HEADER_NAME,
          description:
            'clientHeader is the name of a header that tells the application which client calls, such as x-client. What the client sent under this name is removed, with or without a key. Names that HTTP or the mesh use are refused. Default: the application is not told.',
        },
      },
    },
  },
}
