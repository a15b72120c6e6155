import { MAX_PATH_PATTERN_LENGTH } from '../../model/match/path.ts'
import type { JsonSchema } from '../../model/section.ts'

const ISSUER_NAME: JsonSchema = {
  type: 'string',
  minLength: 1,
  maxLength: 253,
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
}

const HEADER_NAME: JsonSchema = { type: 'string', minLength: 1, maxLength: 64, pattern: '^[A-Za-z0-9-]+$' }

const exemptEntries = (description: string): JsonSchema => ({
  type: 'array',
  maxItems: 32,
  'x-kubernetes-list-type': 'atomic',
  description,
  items: {
    type: 'object',
    description: 'One kind of request: its method must be one of methods and its path match one of paths.',
    required: ['paths'],
    properties: {
      methods: {
        type: 'array',
        minItems: 1,
        maxItems: 16,
        items: { type: 'string', minLength: 1, maxLength: 32, pattern: '^[A-Z][A-Z-]*$' },
        'x-kubernetes-list-type': 'set',
        description: 'methods lists HTTP methods, in capitals. Default: every method.',
      },
      paths: {
        type: 'array',
        minItems: 1,
        maxItems: 32,
        items: { type: 'string', minLength: 1, maxLength: MAX_PATH_PATTERN_LENGTH, pattern: '^/' },
        'x-kubernetes-list-type': 'set',
        description:
          'paths lists patterns such as /healthz, /users/{userId}/photo or /public/{**}. No default, at least one.',
      },
    },
  },
})

const from: JsonSchema = {
  type: 'array',
  minItems: 1,
  maxItems: 4,
  'x-kubernetes-list-type': 'atomic',
  description:
    'from lists where a token may be. A request with more than one token in these places gets 400. Default: the header authorization with the scheme Bearer.',
  items: {
    type: 'object',
    description: 'One place: a header or a cookie.',
    properties: {
      header: {
        ...HEADER_NAME,
        description: 'header names a header field that holds the token. Exactly one of header and cookie is set.',
      },
      scheme: {
        type: 'string',
        minLength: 1,
        maxLength: 32,
        pattern: '^[A-Za-z][A-Za-z0-9-]*$',
        description:
          'scheme is the word before the token, compared without regard to case; a header with another scheme holds no token. Default: none, the whole value is the token. Required for the header authorization.',
      },
      cookie: {
        type: 'string',
        minLength: 1,
        maxLength: 64,
        pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
        description:
          'cookie names a cookie that holds the token, and takes with it what cookies bring: requests of other sites carry it too unless it is SameSite.',
      },
    },
    'x-kubernetes-validations': [
      { rule: 'has(self.header) != has(self.cookie)', message: 'exactly one of header and cookie must be set' },
      { rule: '!has(self.scheme) || has(self.header)', message: 'a cookie has no scheme' },
      {
        rule: "!has(self.header) || self.header.lowerAscii() != 'authorization' || has(self.scheme)",
        message: 'the header authorization needs a scheme, such as Bearer',
      },
    ],
  },
}

/**
 * What a policy, and each level of a MeshSecurityPolicy, may say. `required`, `from` and `forward` have their defaults in
 * `combine` and not here: a level that leaves one out says nothing, and the next one is heard.
 */
export const AUTHENTICATION_SCHEMA: JsonSchema = {
  type: 'object',
  description: 'authentication says how the user behind a request is known. Default: no user is asked for.',
  properties: {
    jwt: {
      type: 'object',
      description:
        'jwt asks for a JSON Web Token. A token that is there and not good is refused with 401 in any case; while the keys of its issuer were never received, with 503. Default: tokens are not looked at.',
      properties: {
        required: {
          type: 'boolean',
          description:
            'required says whether a request without a token is refused with 401. True if any policy or floor says so, and by default: a policy that leaves it out asks for a token.',
        },
        issuers: {
          type: 'array',
          minItems: 1,
          maxItems: 16,
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          description:
            'issuers lists the TokenIssuers whose tokens are good; any one verifies. The lists of floor and policies add up. Default: those of the defaults of a MeshSecurityPolicy; without any, requests are refused.',
          items: {
            type: 'object',
            description: 'One issuer.',
            required: ['name'],
            properties: { name: { ...ISSUER_NAME, description: 'name of a TokenIssuer. No default.' } },
          },
        },
        from,
        forward: {
          type: 'string',
          enum: ['Strip', 'Keep', 'Exchange'],
          description:
            'forward says whether the application gets the token (Keep), nothing (Strip), or an internal token in its place (Exchange), which internalToken describes. Only a gateway exchanges: with Exchange, each of its requests goes on with an internal token, one without a user with that of the gateway itself; elsewhere Exchange is Strip. Keep counts only where every floor that speaks of it says so too. Default: Strip.',
        },
        claimHeaders: {
          type: 'array',
          maxItems: 16,
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['header'],
          description:
            'claimHeaders lists headers that tell the application what is in the token. What the client sent under these names is removed, with or without a token. Lists of several policies add up. Default: none.',
          items: {
            type: 'object',
            description: 'One header.',
            required: ['claim', 'header'],
            properties: {
              claim: {
                type: 'string',
                minLength: 2,
                maxLength: 256,
                pattern: '^/',
                description:
                  'claim is a JSON Pointer (RFC 6901) into the claims, such as /sub or /org/dept. A list is joined by commas; a claim that is an object, or that no header can hold unchanged, sets no header. No default.',
              },
              header: {
                ...HEADER_NAME,
                description:
                  'header is the name of the header. Names that HTTP or the mesh use are refused. No default.',
              },
            },
          },
        },
      },
    },
    exempt: exemptEntries(
      'exempt lists requests that need no token: user authentication is skipped, mTLS and deny rules never are. Where a floor speaks of authentication, only what its allowExempt permits. An empty list turns that of the defaults off. Default: none.',
    ),
  },
}

/** What only the floor of a MeshSecurityPolicy may say. */
export const AUTHENTICATION_FLOOR_SCHEMA: JsonSchema = {
  type: 'object',
  properties: {
    jwt: {
      type: 'object',
      properties: {
        onlyIssuers: {
          type: 'array',
          minItems: 1,
          maxItems: 16,
          items: ISSUER_NAME,
          'x-kubernetes-list-type': 'set',
          description:
            'onlyIssuers lists the TokenIssuers that policies may name; others are left out, and a workload that has no other refuses. It is the set itself where nobody names an issuer. Default: any.',
        },
      },
    },
    allowExempt: exemptEntries(
      'allowExempt lists the requests that policies may exempt. A floor that speaks of authentication and leaves it out permits none. Default: none.',
    ),
  },
}
