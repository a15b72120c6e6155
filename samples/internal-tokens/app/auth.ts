import { generateKeyPairSync } from 'node:crypto'
import type { RequestListener } from 'node:http'
import Provider, { errors } from 'oidc-provider'

const AUDIENCE = 'https://depot.example/api'
const SCOPES = 'orders.read orders.write'

/** An authorization server of JWTs (RFC 9068), whose clients `ann` and `bob` stand for people here. */
export function createAuth(secret: string): RequestListener {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const person = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [], scope: SCOPES }
  const provider = new Provider('https://auth.depot.example', {
    clients: ['ann', 'bob'].map((name) => ({
      ...person,
      client_id: name,
      client_secret: secret,
      id_token_signed_response_alg: 'ES256',
    })),
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256', use: 'sig' }] },
    scopes: SCOPES.split(' '),
    routes: { token: '/token', jwks: '/jwks' },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => AUDIENCE,
        getResourceServerInfo(_ctx, resource) {
          if (resource !== AUDIENCE) throw new errors.InvalidTarget()
          const jwt = { sign: { alg: 'ES256' } } as const
          return { scope: SCOPES, audience: AUDIENCE, accessTokenFormat: 'jwt', accessTokenTTL: 300, jwt }
        },
      },
    },
  })
  provider.proxy = true
  return provider.callback()
}
