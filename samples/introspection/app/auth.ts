import type { RequestListener } from 'node:http'
import Provider, { errors } from 'oidc-provider'

const AUDIENCE = 'https://bank.example/accounts'
const SCOPES = 'accounts:read accounts:write'

/** An authorization server whose access tokens are random characters: what they stand for, only it knows. */
export function createAuth(branchSecret: string): RequestListener {
  const machine = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] }
  const provider = new Provider('https://auth.bank.example', {
    clients: [
      { ...machine, client_id: 'branch', client_secret: branchSecret, scope: SCOPES },
      // The mesh has no secret here: by its policy, this server is asked by the sidecars of accounts and by nobody else.
      { client_id: 'mesh', token_endpoint_auth_method: 'none', grant_types: [], redirect_uris: [], response_types: [] },
    ],
    scopes: SCOPES.split(' '),
    routes: { token: '/token', introspection: '/introspect' },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (_ctx, client) => client.clientId === 'mesh' },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => AUDIENCE,
        getResourceServerInfo(_ctx, resource) {
          if (resource !== AUDIENCE) throw new errors.InvalidTarget()
          return { scope: SCOPES, audience: AUDIENCE, accessTokenFormat: 'opaque', accessTokenTTL: 300 }
        },
      },
    },
  })
  provider.proxy = true
  return provider.callback()
}
