import type { JsonSchema } from '../../model/section.ts'
import { backendRefSchema } from '../backend-ref-schema.ts'
import { AUTHENTICATION_SCHEMA } from '../jwt/schema.ts'

const DURATION = '^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$'
const DNS_SUBDOMAIN = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'

const path = (description: string): JsonSchema => ({
  type: 'string',
  minLength: 2,
  maxLength: 256,
  pattern: '^(/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+$',
  description,
})

const endpoint = (description: string): JsonSchema => ({
  type: 'string',
  minLength: 2,
  maxLength: 1_000,
  pattern: '^(https://[a-z0-9]|/[A-Za-z0-9_~-])[!$-~]*$',
  description,
})

const SECRET_NAME: JsonSchema = {
  type: 'string',
  minLength: 1,
  maxLength: 253,
  pattern: DNS_SUBDOMAIN,
  description: 'name of the Secret. Required.',
}

const SECRET_NAMESPACE: JsonSchema = {
  type: 'string',
  minLength: 1,
  maxLength: 63,
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
  description:
    'namespace of the Secret. Another one than that of the policy must permit it by a ReferenceGrant. Default: that of the policy; for a MeshSecurityPolicy hauberk-system.',
}

/** What a policy, and each level of a MeshSecurityPolicy, may say. */
export const OIDC_SCHEMA: JsonSchema = {
  type: 'object',
  description: AUTHENTICATION_SCHEMA['description'],
  properties: {
    oidc: {
      type: 'object',
      description:
        'oidc has people log in at a Gateway, by OpenID Connect, and keeps their session in sealed cookies: the services behind it see the access token, and no cookie of it. Browsers are sent to the provider, everybody else gets 401. For Gateways and their routes only; elsewhere it refuses every request. Single-valued: a floor, then the most specific policy, then defaults. Default: nobody logs in here.',
      required: ['issuer', 'provider', 'clientId', 'cookieKeysRef'],
      properties: {
        required: {
          type: 'boolean',
          description:
            'required says whether a request without a session is sent to log in, or refused. With false it goes on without a user, and people log in at paths.login. Default: true.',
        },
        issuer: {
          type: 'object',
          description: 'issuer is the provider as the mesh knows it. Required.',
          required: ['name'],
          properties: {
            name: {
              type: 'string',
              minLength: 1,
              maxLength: 253,
              pattern: DNS_SUBDOMAIN,
              description: 'name of a TokenIssuer with jwks: its keys verify ID tokens and logout tokens. Required.',
            },
          },
        },
        provider: {
          type: 'object',
          description: 'provider says how the provider is reached. Required.',
          required: ['backendRef'],
          properties: {
            backendRef: backendRefSchema(
              'backendRef is who is asked for the discovery document and for tokens, over the connections of the gateway. Required.',
            ),
            moreBackendRefs: {
              type: 'array',
              minItems: 1,
              maxItems: 3,
              'x-kubernetes-list-type': 'atomic',
              description:
                'moreBackendRefs are other hosts at which the discovery document says that endpoints are. One that is at none of them is not asked. Default: none.',
              items: backendRefSchema('A Service or a host.'),
            },
            discoveryPath: {
              type: 'string',
              minLength: 1,
              maxLength: 1_024,
              pattern: '^/[!-~]*$',
              description:
                'discoveryPath is where the discovery document is. Default: /.well-known/openid-configuration below the path of the issuer.',
            },
            authorizationEndpoint: endpoint(
              'authorizationEndpoint is where browsers log in: a URL by HTTPS, or a path at the same host. Default: what the discovery document says, if it is by HTTPS.',
            ),
            endSessionEndpoint: endpoint(
              'endSessionEndpoint is where browsers log out: a URL by HTTPS, or a path at the same host. Default: what the discovery document says, if it is by HTTPS; without it a logout ends the session here alone.',
            ),
            timeout: {
              type: 'string',
              maxLength: 32,
              pattern: DURATION,
              description: 'timeout is how long the provider may take to answer, at most 8s. Default: 5s.',
            },
          },
        },
        clientId: {
          type: 'string',
          minLength: 1,
          maxLength: 256,
          pattern: '^[ -~]+$',
          description: 'clientId is whom the provider knows the gateway as. Required.',
        },
        clientSecretRef: {
          type: 'object',
          description:
            'clientSecretRef names the client secret. Default: none, the client is public and has PKCE alone.',
          required: ['name'],
          properties: {
            name: SECRET_NAME,
            namespace: SECRET_NAMESPACE,
            key: {
              type: 'string',
              minLength: 1,
              maxLength: 253,
              pattern: '^[-._a-zA-Z0-9]+$',
              description: 'key is the entry of the Secret. Default: client-secret.',
            },
          },
        },
        clientAuthentication: {
          type: 'string',
          enum: ['Basic', 'Post'],
          description:
            'clientAuthentication says how the client secret is told: in the header authorization (Basic), or in the body (Post). Default: Basic.',
        },
        scopes: {
          type: 'array',
          minItems: 1,
          maxItems: 31,
          'x-kubernetes-list-type': 'set',
          items: { type: 'string', minLength: 1, maxLength: 256, pattern: '^[!#-\\[\\]-~]+$' },
          description:
            'scopes lists what is asked for besides openid, such as offline_access where refresh tokens want it. Default: openid alone.',
        },
        parameters: {
          type: 'array',
          minItems: 1,
          maxItems: 8,
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          description:
            'parameters lists what else the provider is told when somebody logs in, such as resource or prompt. Default: none.',
          items: {
            type: 'object',
            description: 'One parameter.',
            required: ['name', 'value'],
            properties: {
              name: {
                type: 'string',
                minLength: 1,
                maxLength: 64,
                pattern: '^[a-z_]+$',
                description: 'name of the parameter. Required.',
              },
              value: {
                type: 'string',
                minLength: 1,
                maxLength: 1_024,
                description: 'value of the parameter. Required.',
              },
            },
          },
        },
        cookieKeysRef: {
          type: 'object',
          description:
            'cookieKeysRef names the Secret whose entries, 1 to 8 random texts of 32 characters or more, seal cookies. The last by name seals, and all of them open: add one to replace them, and take the old ones out after maxAge. Required.',
          required: ['name'],
          properties: { name: SECRET_NAME, namespace: SECRET_NAMESPACE },
        },
        cookieName: {
          type: 'string',
          minLength: 1,
          maxLength: 32,
          pattern: '^[a-z][a-z0-9-]*$',
          description: 'cookieName is the name of the cookies, behind __Host-. Default: hauberk.',
        },
        maxAge: {
          type: 'string',
          maxLength: 32,
          pattern: DURATION,
          description:
            'maxAge is how long a session lasts, whatever is renewed meanwhile: 1m to 720h. It ends before where its tokens do and cannot be renewed. Default: 8h.',
        },
        paths: {
          type: 'object',
          description: 'paths are those that the gateway answers itself. A route of the policy has to lead there.',
          properties: {
            callback: path(
              'callback is where the provider sends browsers back to: register https://HOST and this there. Default: /oauth2/callback.',
            ),
            login: path(
              'login begins a login, and goes on at the path that its parameter return_to says. Default: /oauth2/login.',
            ),
            logout: path(
              'logout ends the session here and at the provider, when a page of the same host asks for it by GET or POST. Default: /oauth2/logout.',
            ),
            backChannelLogout: path(
              'backChannelLogout is where the provider tells of sessions that are over. Default: /oauth2/backchannel-logout.',
            ),
            afterLogout: {
              type: 'string',
              minLength: 1,
              maxLength: 256,
              pattern: '^(/|(/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+)$',
              description:
                'afterLogout is where the provider sends a browser after a logout: register https://HOST and this there. Default: none, the provider shows what it shows; without one, the browser goes to /.',
            },
          },
        },
        trustedOrigins: {
          type: 'array',
          minItems: 1,
          maxItems: 16,
          'x-kubernetes-list-type': 'set',
          items: {
            type: 'string',
            minLength: 9,
            maxLength: 300,
            pattern: '^https://[a-z0-9.-]+(:[0-9]{1,5})?$',
          },
          description:
            'trustedOrigins lists other origins whose pages may send what changes something with a session. Default: none, only pages of the same origin may.',
        },
      },
    },
  },
}
