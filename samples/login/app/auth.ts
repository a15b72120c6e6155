import { timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { join } from 'node:path'
import Provider, { errors, interactionPolicy, type JWKS } from 'oidc-provider'

const ISSUER = 'https://id.login.example'
const AUDIENCE = 'https://desk.login.example'
const HOSTNAME = 'login.localhost'

/** An OpenID provider that knows one person. Browsers see it below `/id`, the gateway asks it for tokens at `/token`. */
export function createAuth(secretsDir: string): RequestListener {
  const secret = (name: string) => readFileSync(join(secretsDir, name), 'utf8').trim()
  const password = Buffer.from(secret('password'))
  const provider = new Provider(ISSUER, {
    clients: [
      {
        client_id: 'gateway',
        client_secret: secret('client'),
        redirect_uris: [`https://${HOSTNAME}/oauth2/callback`],
        post_logout_redirect_uris: [`https://${HOSTNAME}/`],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        backchannel_logout_uri: `https://${HOSTNAME}/oauth2/backchannel-logout`,
        backchannel_logout_session_required: true,
        id_token_signed_response_alg: 'ES256',
      },
    ],
    jwks: { keys: JSON.parse(secret('jwks.json')).keys } as JWKS,
    scopes: ['openid', 'offline_access'],
    responseTypes: ['code'],
    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: () => true,
    ttl: { AccessToken: 120, AuthorizationCode: 60, IdToken: 300, Interaction: 600, RefreshToken: 3_600 },
    clientAuthMethods: ['client_secret_basic'],
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    routes: {
      authorization: '/id/authorize',
      end_session: '/id/end',
      token: '/token',
      revocation: '/revoke',
      jwks: '/jwks',
    },
    cookies: {
      keys: [secret('cookie-key')],
      long: { signed: true, httpOnly: true, sameSite: 'lax', path: '/id' },
      short: { signed: true, httpOnly: true, sameSite: 'lax', path: '/id' },
    },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => AUDIENCE,
        useGrantedResource: () => true,
        getResourceServerInfo(_ctx, resource) {
          if (resource !== AUDIENCE) throw new errors.InvalidTarget()
          return { scope: 'openid', audience: AUDIENCE, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }
        },
      },
    },
    interactions: {
      policy: withoutConsent(),
      url: (_ctx, { uid }) => `/id/interaction/${uid}`,
    },
    findAccount: (_ctx, name) => (name === 'ann' ? { accountId: name, claims: () => ({ sub: name }) } : undefined),
    async loadExistingGrant({ oidc: { client, account, provider } }) {
      if (!client || !account) return undefined
      const grant = new provider.Grant({ clientId: client.clientId, accountId: account.accountId })
      grant.addOIDCScope('openid offline_access')
      grant.addResourceScope(AUDIENCE, 'openid')
      await grant.save()
      return grant
    },
  })
  provider.proxy = true
  const { prototype } = provider.Client
  // On a laptop the port is what is free: host and path are those that are registered.
  const isOurs = (path: string) => (uri: string) => {
    const url = URL.parse(uri)
    return url?.protocol === 'https:' && url.hostname === HOSTNAME && uri === `${url.origin}${path}`
  }
  prototype.redirectUriAllowed = isOurs('/oauth2/callback')
  prototype.postLogoutRedirectUriAllowed = isOurs('/')

  const answer = provider.callback()
  return (request, response) => {
    if (!request.url?.startsWith('/id/interaction/')) {
      answer(request, response)
      return
    }
    logIn(provider, password, request, response).catch((error: unknown) => {
      response.statusCode = 400
      response.end(error instanceof Error ? error.message : 'no')
    })
  }
}

/** One form: a name, a password. */
async function logIn(provider: Provider, password: Buffer, request: IncomingMessage, response: ServerResponse) {
  const { uid } = await provider.interactionDetails(request, response)
  if (request.method === 'POST') {
    const form = new URLSearchParams(await textOf(request))
    const given = Buffer.from(form.get('password') ?? '')
    if (form.get('name') === 'ann' && given.length === password.length && timingSafeEqual(given, password)) {
      await provider.interactionFinished(request, response, { login: { accountId: 'ann' } })
      return
    }
    response.statusCode = 401
  }
  response.setHeader('content-type', 'text/html; charset=utf-8')
  response.end(`<!doctype html>
<title>Sign in</title>
<form method="post" action="/id/interaction/${uid}">
<label>Name <input name="name" autocomplete="username"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button>Sign in</button>
</form>
`)
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk
    if (text.length > 4_096) throw new Error('the form is too long')
  }
  return text
}

/** Who logs in at their own desk is not asked whether the desk may know them. */
function withoutConsent(): interactionPolicy.DefaultPolicy {
  const policy = interactionPolicy.base()
  policy.remove('consent')
  return policy
}
