import { DURATION_PATTERN } from '../../model/duration.ts'
import type { JsonSchema } from '../../model/section.ts'
import { backendRefSchema } from '../backend-ref-schema.ts'
import { AUTHENTICATION_SCHEMA } from '../jwt/schema.ts'

const headerNames = (description: string): JsonSchema => ({
  type: 'array',
  maxItems: 32,
  'x-kubernetes-list-type': 'set',
  description,
  items: { type: 'string', minLength: 1, maxLength: 64, pattern: "^[A-Za-z0-9!#$%&'*+.^`|~-]+$" },
})

/** What a policy, and each level of a MeshSecurityPolicy, may say. */
export const EXT_AUTH_SCHEMA: JsonSchema = {
  type: 'object',
  description: AUTHENTICATION_SCHEMA['description'],
  properties: {
    extAuth: {
      type: 'object',
      description:
        'extAuth has another service decide on each request, after the rules of authorization have allowed it. Where a floor names one, both that and the one of the nearest policy have to allow. Exempt requests are not asked about. Default: nobody is asked.',
      required: ['backendRef'],
      properties: {
        backendRef: backendRefSchema(
          'backendRef names the service that is asked. Its own policies must let the workloads call it that ask. Required.',
        ),
        protocol: {
          type: 'string',
          enum: ['HTTP', 'GRPC'],
          description:
            'protocol is what the service speaks. HTTP: 2xx allows, 5xx is no answer, and any other status denies. GRPC: envoy.service.auth.v3.Authorization, at a port with appProtocol kubernetes.io/h2c. Default: HTTP.',
        },
        path: {
          type: 'string',
          minLength: 1,
          maxLength: 1_024,
          pattern: '^/[!"$-~]*$',
          description:
            'path is asked for by GET where the protocol is HTTP; x-asked-method and x-asked-uri say what the request is. Default: the path and method of the request itself.',
        },
        timeout: {
          type: 'string',
          maxLength: 32,
          pattern: DURATION_PATTERN,
          description:
            'timeout is how long the answer may take, at most 5s. A request without an answer is refused. Default: 1s.',
        },
        failOpen: {
          type: 'boolean',
          description:
            'failOpen lets a request pass where the service is not there, too slow, or answers that it cannot tell; never where too much is asked at once, or where its answer is not understood. In a SecurityPolicy it counts only where a floor says allowFailOpen. Default: false.',
        },
        requestHeaders: headerNames(
          'requestHeaders lists headers of the request that the service is told, as the application would get them: what a policy strips, it does not get. Default: authorization.',
        ),
        upstreamHeaders: headerNames(
          'upstreamHeaders lists headers of an answer that allows which the application is told; what the client sent under these names is removed. Names that HTTP or the mesh use are not passed on. Default: none for HTTP; for GRPC whatever the service says.',
        ),
        clientHeaders: headerNames(
          'clientHeaders lists headers of an answer that denies which the client is told. Default: content-type, location, retry-after, set-cookie and www-authenticate for HTTP; for GRPC whatever the service says.',
        ),
        context: {
          type: 'array',
          maxItems: 16,
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          description: 'context lists what a service that speaks GRPC is told as context_extensions. Default: nothing.',
          items: {
            type: 'object',
            description: 'One entry.',
            required: ['name', 'value'],
            properties: {
              name: { type: 'string', minLength: 1, maxLength: 128, description: 'name of the entry. Required.' },
              value: { type: 'string', maxLength: 1_024, description: 'value of the entry. Required.' },
            },
          },
        },
        cache: {
          type: 'object',
          description:
            'cache has answers remembered, denials for half as long and at most 5s, anything else never. Default: every request is asked about.',
          required: ['key', 'ttl'],
          properties: {
            key: {
              type: 'array',
              minItems: 1,
              maxItems: 6,
              'x-kubernetes-list-type': 'set',
              description:
                'key lists what an answer depends on. Who calls and the headers that the service is told always count, whether identity is listed or not. Required.',
              items: { type: 'string', enum: ['identity', 'method', 'path', 'query', 'host', 'clientIp'] },
            },
            ttl: {
              type: 'string',
              maxLength: 32,
              pattern: DURATION_PATTERN,
              description: 'ttl is how long an answer that allows is remembered, at most 1h. Required.',
            },
          },
        },
      },
      'x-kubernetes-validations': [
        {
          rule: "!has(self.path) || !has(self.protocol) || self.protocol == 'HTTP'",
          message: 'path is for protocol HTTP',
        },
        {
          rule: "!has(self.context) || (has(self.protocol) && self.protocol == 'GRPC')",
          message: 'context is for protocol GRPC',
        },
      ],
    },
  },
}

/** What only the floor of a MeshSecurityPolicy may say. */
export const EXT_AUTH_FLOOR_SCHEMA: JsonSchema = {
  type: 'object',
  properties: {
    allowFailOpen: {
      type: 'boolean',
      description:
        'allowFailOpen says whether policies may have extAuth fail open. Where several floors speak of it, all have to permit it. Default: false.',
    },
  },
}
