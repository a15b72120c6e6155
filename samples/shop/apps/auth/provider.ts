import Provider, { type ClientMetadata, type Configuration, errors, interactionPolicy, type JWKS } from 'oidc-provider'
import type { KeySet } from '../service/key-set.ts'
import { isStorefrontCallback } from './callback.ts'
import { MACHINE_SCOPES, PERSON_SCOPES, STOREFRONT } from './clients.ts'
import { renderErrorPage } from './pages.ts'
import type { createStore } from './store.ts'

/** Seconds. */
const LIFETIMES = {
  AccessToken: 5 * 60,
  ClientCredentials: 5 * 60,
  IdToken: 5 * 60,
  AuthorizationCode: 60,
  Interaction: 10 * 60,
  RefreshToken: 8 * 60 * 60,
  Session: 8 * 60 * 60,
  Grant: 8 * 60 * 60,
}

export interface ProviderOptions {
  readonly issuer: string
  readonly audience: string
  readonly basePath: string
  readonly publicHostnames: readonly string[]
  readonly clients: readonly ClientMetadata[]
  readonly cookieKey: string
  readonly isUser: (name: string) => boolean
  readonly store: ReturnType<typeof createStore>
}

/**
 * The authorization server, for one set of signing keys: OAuth 2.1 as far as the shop needs it.
 *
 * Code with PKCE (S256 only) for people, client credentials for machines, ES256 access tokens for one audience, and
 * refresh tokens that rotate. A new set of keys means a new provider over the same store.
 */
export function createProvider(options: ProviderOptions, keys: KeySet): Provider {
  const { audience, basePath, publicHostnames, isUser } = options
  const scopes = [...PERSON_SCOPES, ...MACHINE_SCOPES]

  const configuration: Configuration = {
    adapter: options.store,
    clients: options.clients,
    jwks: activeFirst(keys),
    scopes: ['openid', ...scopes],
    claims: { openid: ['sub'] },
    responseTypes: ['code'],
    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    expiresWithSession: () => false,
    ttl: LIFETIMES,
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
    allowOmittingSingleRegisteredRedirectUri: false,
    clientBasedCORS: () => false,
    routes: {
      authorization: '/authorize',
      token: '/token',
      revocation: '/token/revocation',
      jwks: '/jwks',
    },
    cookies: {
      keys: [options.cookieKey],
      names: { session: 'auth-session', interaction: 'auth-interaction', resume: 'auth-resume' },
      long: { signed: true, httpOnly: true, sameSite: 'lax', path: basePath },
      short: { signed: true, httpOnly: true, sameSite: 'lax' },
    },
    features: {
      devInteractions: { enabled: false },
      userinfo: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      dPoP: { enabled: false },
      clientCredentials: { enabled: true },
      revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        useGrantedResource: () => true,
        getResourceServerInfo(_ctx, resource) {
          if (resource !== audience) throw new errors.InvalidTarget()
          return {
            scope: scopes.join(' '),
            audience,
            accessTokenFormat: 'jwt',
            accessTokenTTL: LIFETIMES.AccessToken,
            jwt: { sign: { alg: 'ES256', kid: keys.active } },
          }
        },
      },
    },
    interactions: {
      policy: passwordEachTime(),
      url: (_ctx, interaction) => `${basePath}/interaction/${interaction.uid}`,
    },
    async findAccount(_ctx, name) {
      return isUser(name) ? { accountId: name, claims: () => ({ sub: name }) } : undefined
    },
    async loadExistingGrant(ctx) {
      const { client, account, provider, result } = ctx.oidc
      if (!client || !account || !result?.login) return undefined
      // One grant for each login: what revokes it ends this login's tokens and no other's.
      const grant = new provider.Grant({ clientId: client.clientId, accountId: account.accountId })
      grant.addOIDCScope(client.scope ?? '')
      grant.addResourceScope(audience, client.scope ?? '')
      await grant.save()
      return grant
    },
    renderError(ctx, { error, error_description }) {
      renderErrorPage(ctx.res, basePath, ctx.status, error, error_description)
      ctx.respond = false
    },
  }

  const provider = new Provider(options.issuer, configuration)
  // Only the mesh's gateway and services reach this server, and the gateway writes X-Forwarded-* anew.
  provider.proxy = true

  const { redirectUriAllowed } = provider.Client.prototype
  provider.Client.prototype.redirectUriAllowed = function (uri) {
    if (this.clientId !== STOREFRONT) return redirectUriAllowed.call(this, uri)
    const request = Provider.ctx
    return request !== undefined && isStorefrontCallback(uri, `${request.protocol}://${request.host}`, publicHostnames)
  }
  return provider
}

/** The library signs with the first key that fits, and publishes them all. */
function activeFirst({ active, keys }: KeySet): JWKS {
  const ordered = [...keys.filter(({ kid }) => kid === active), ...keys.filter(({ kid }) => kid !== active)]
  return { keys: ordered } as unknown as JWKS
}

/**
 * The password is asked for at every login, and consent never: all clients are the shop's own. So a logout is one, and
 * a program on the user's machine cannot slip a code out of a browser that is logged in (RFC 8252, 8.6).
 */
function passwordEachTime(): interactionPolicy.DefaultPolicy {
  const policy = interactionPolicy.base()
  policy.remove('consent')
  const { Check } = interactionPolicy
  const check = new Check('each_time', 'the password is asked for at every login', 'login_required', (ctx) =>
    ctx.oidc.result?.login ? Check.NO_NEED_TO_PROMPT : Check.REQUEST_PROMPT,
  )
  policy.get('login')?.checks.add(check, 0)
  return policy
}
