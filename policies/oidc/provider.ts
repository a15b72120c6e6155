import * as oauth from 'oauth4webapi'
import type { BackendCalls } from '../../model/backend-calls.ts'
import type { FilterClock } from '../../model/filter.ts'
import { SharedAnswers } from '../shared-answers.ts'
import type { OidcConfig, ProviderUpstream } from './config.ts'
import type { Login } from './session.ts'

/** Bytes of an answer of the provider. */
const MAX_ANSWER_BYTES = 65_536

/** Milliseconds that a discovery document counts, and that it counts where there is no newer one. */
export const DISCOVERY_MS = 600_000
export const STALE_DISCOVERY_MS = 86_400_000

/** Seconds that an access token is believed to last whose end nobody says. */
const UNSAID_SECONDS = 300

/** Why there are no tokens. `detail` holds nothing that is secret. */
export interface NoTokens {
  /** `refused`: the provider says no. `invalid`: what came is not what a login ends with. `unavailable`: nobody can say. */
  readonly kind: 'refused' | 'invalid' | 'unavailable'
  readonly detail: string
}

/** A discovery document, which may have members of any names: apart from what we say of it. */
interface Discovered {
  readonly kind: 'metadata'
  readonly metadata: oauth.AuthorizationServer
}

/** What a provider hands out. The ID token's claims were compared, its signature was not. */
export interface Tokens {
  readonly kind: 'tokens'
  readonly accessToken: string
  /** Seconds from now. */
  readonly lastsSeconds: number
  readonly refreshToken?: string
  readonly idToken?: string
}

/** Where a browser is sent, as a URL or a path at its own host. */
export type Destination = { readonly kind: 'destination'; readonly url: string } | NoTokens

/**
 * The OpenID provider as one policy uses it: authorization code with PKCE (RFC 7636, S256), the answer's `state` and `iss`
 * (RFC 9207), the ID token's `nonce` (OpenID Connect Core, 3.1.3.7). What crosses the wire is oauth4webapi's; where it goes is ours:
 * an upstream of the config, whatever a discovery document says.
 */
export class Provider {
  readonly #config: OidcConfig
  readonly #calls: BackendCalls | undefined
  readonly #clock: FilterClock
  readonly #client: oauth.Client
  readonly #authentication: oauth.ClientAuth
  readonly #discovered: SharedAnswers<Discovered | NoTokens>
  #last: { readonly found: Discovered; readonly atMs: number } | undefined

  constructor(config: OidcConfig, calls: BackendCalls | undefined, clock: FilterClock) {
    this.#config = config
    this.#calls = calls
    this.#clock = clock
    this.#client = {
      client_id: config.clientId,
      [oauth.clockSkew]: Math.round((clock.now() - Date.now()) / 1_000),
      [oauth.clockTolerance]: config.issuer.clockSkewMs / 1_000,
    }
    this.#authentication = authenticationOf(config)
    this.#discovered = new SharedAnswers<Discovered | NoTokens>({
      now: clock.monotonic,
      maxAnswers: 2,
      overloaded: { kind: 'unavailable', detail: 'too many questions are under way' },
      keepMs: ({ kind }) => (kind === 'metadata' ? DISCOVERY_MS : 0),
    })
  }

  /** What a browser is to come back with, and what only we know of it. */
  newSecrets(): Pick<Login, 'state' | 'nonce' | 'verifier'> {
    return {
      state: oauth.generateRandomState(),
      nonce: oauth.generateRandomNonce(),
      verifier: oauth.generateRandomCodeVerifier(),
    }
  }

  async authorizationUrl({ state, nonce, verifier, redirectUri }: Login): Promise<Destination> {
    const { clientId, scopes, parameters } = this.#config
    const endpoint = await this.#endpointForBrowsers(this.#config.authorizationEndpoint, 'authorization_endpoint')
    if (endpoint.kind !== 'destination') return endpoint
    return withParameters(endpoint.url, [
      // Ours come last: nothing that a policy adds can stand in for them.
      ...parameters.map(({ name, value }) => [name, value] as const),
      ['client_id', clientId],
      ['response_type', 'code'],
      ['redirect_uri', redirectUri],
      ['scope', scopes.join(' ')],
      ['state', state],
      ['nonce', nonce],
      ['code_challenge', await oauth.calculatePKCECodeChallenge(verifier)],
      ['code_challenge_method', 'S256'],
    ])
  }

  /** Where the provider ends its own session (OpenID Connect RP-Initiated Logout 1.0, 2); undefined where it has no such place. */
  async endSessionUrl(idToken: string | undefined, backTo: string | undefined): Promise<string | undefined> {
    const endpoint = await this.#endpointForBrowsers(this.#config.endSessionEndpoint, 'end_session_endpoint')
    if (endpoint.kind !== 'destination') return undefined
    const to = withParameters(endpoint.url, [
      ['client_id', this.#config.clientId],
      ...(idToken === undefined ? [] : [['id_token_hint', idToken] as const]),
      ...(backTo === undefined ? [] : [['post_logout_redirect_uri', backTo] as const]),
    ])
    return to.url
  }

  /** Redeems what a browser came back with. */
  redeem(callback: URLSearchParams, { state, nonce, verifier, redirectUri }: Login): Promise<Tokens | NoTokens> {
    return this.#ask(async (as) => {
      const parameters = oauth.validateAuthResponse(as, this.#client, callback, state)
      const response = await oauth.authorizationCodeGrantRequest(
        as,
        this.#client,
        this.#authentication,
        parameters,
        redirectUri,
        verifier,
        this.#options(),
      )
      return await oauth.processAuthorizationCodeResponse(as, this.#client, response, {
        expectedNonce: nonce,
        requireIdToken: true,
      })
    })
  }

  refresh(refreshToken: string): Promise<Tokens | NoTokens> {
    return this.#ask(async (as) => {
      const client = this.#client
      const response = await oauth.refreshTokenGrantRequest(
        as,
        client,
        this.#authentication,
        refreshToken,
        this.#options(),
      )
      return await oauth.processRefreshTokenResponse(as, client, response)
    })
  }

  /** Has a refresh token count no more (RFC 7009), if the provider can do that and is there. */
  async revoke(refreshToken: string): Promise<void> {
    const found = await this.#metadata()
    if (found.kind !== 'metadata' || found.metadata.revocation_endpoint === undefined) return
    const { metadata } = found
    const options = this.#options()
    await oauth.revocationRequest(metadata, this.#client, this.#authentication, refreshToken, options).catch(() => {})
  }

  async #ask(run: (as: oauth.AuthorizationServer) => Promise<oauth.TokenEndpointResponse>): Promise<Tokens | NoTokens> {
    const found = await this.#metadata()
    if (found.kind !== 'metadata') return found
    try {
      const { access_token, expires_in, refresh_token, id_token, token_type } = await run(found.metadata)
      if (token_type !== 'bearer') return { kind: 'invalid', detail: 'the access token is no bearer token' }
      if (!FIELD_VALUE.test(access_token)) return { kind: 'invalid', detail: 'the access token has odd characters' }
      return {
        kind: 'tokens',
        accessToken: access_token,
        lastsSeconds: expires_in ?? UNSAID_SECONDS,
        ...(refresh_token !== undefined && { refreshToken: refresh_token }),
        ...(id_token !== undefined && { idToken: id_token }),
      }
    } catch (error) {
      return noTokensBy(error)
    }
  }

  async #endpointForBrowsers(
    configured: string | undefined,
    name: 'authorization_endpoint' | 'end_session_endpoint',
  ): Promise<Destination> {
    if (configured !== undefined) return { kind: 'destination', url: configured }
    const found = await this.#metadata()
    if (found.kind !== 'metadata') return found
    const url = found.metadata[name]
    // A browser is sent nowhere in plaintext, and to no script.
    if (url === undefined || !url.startsWith('https://') || !URL.canParse(url)) {
      return { kind: 'unavailable', detail: `its discovery document has no ${name} by HTTPS` }
    }
    return { kind: 'destination', url }
  }

  /** What there was before counts for a day where the provider does not answer. */
  async #metadata(): Promise<Discovered | NoTokens> {
    const known = this.#discovered.get('')
    if (known !== undefined) return known
    const found = await this.#discovered.ask('', () => this.#discover(), undefined)
    const nowMs = this.#clock.monotonic()
    if (found.kind === 'metadata') {
      this.#last = { found, atMs: nowMs }
      return found
    }
    return this.#last !== undefined && nowMs < this.#last.atMs + STALE_DISCOVERY_MS ? this.#last.found : found
  }

  async #discover(): Promise<Discovered | NoTokens> {
    const { issuer, upstreams, discoveryPath } = this.#config
    const [first] = upstreams as [ProviderUpstream]
    try {
      const response = await this.#call(first, 'GET', discoveryPath, { accept: 'application/json' }, undefined)
      const metadata = await oauth.processDiscoveryResponse(new URL(issuer.issuer), response)
      if (metadata.issuer !== issuer.issuer) {
        return { kind: 'unavailable', detail: 'its discovery document is of another issuer' }
      }
      return { kind: 'metadata', metadata }
    } catch (error) {
      return { ...noTokensBy(error), kind: 'unavailable' }
    }
  }

  #options(): oauth.TokenEndpointRequestOptions {
    return {
      // The sidecar's own connections are as secure as the upstream is, whatever the scheme of an endpoint in the document.
      [oauth.allowInsecureRequests]: true,
      [oauth.customFetch]: (url, { method, headers, body }) => {
        const { pathname, search, hostname } = new URL(url)
        return this.#call(this.#upstreamAt(hostname), method, `${pathname}${search}`, headers, body)
      },
    }
  }

  #upstreamAt(hostname: string): ProviderUpstream {
    const { upstreams, issuer } = this.#config
    const found = upstreams.find(({ authority }) => new URL(`https://${authority}`).hostname === hostname)
    const [first] = upstreams as [ProviderUpstream]
    if (found !== undefined) return found
    if (new URL(issuer.issuer).hostname === hostname) return first
    throw new Unreachable('an endpoint of its discovery document is at a host that no backendRef names')
  }

  async #call(
    { upstream, authority }: ProviderUpstream,
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body: { toString(): string } | null | undefined,
  ): Promise<Response> {
    if (this.#calls === undefined) throw new Unreachable('nobody is asked here')
    const said = await this.#calls.call(upstream, {
      method,
      path,
      authority,
      headers: Object.entries(headers),
      ...(body != null && { body: new TextEncoder().encode(body.toString()) }),
      timeoutMs: this.#config.timeoutMs,
      maxResponseBytes: MAX_ANSWER_BYTES,
    })
    if (said.kind === 'failure') throw new Unreachable(`${said.reason}: ${said.detail}`)
    if (said.status >= 500) throw new Unreachable(`it answered ${said.status}`)
    const { status } = said
    const isEmpty = status === 204 || status === 205 || status === 304
    return new Response(isEmpty ? null : new Uint8Array(said.body), {
      status,
      headers: said.headers.map(([name, value]): [string, string] => [name, value]),
    })
  }
}

/** The provider was not asked, or did not answer. */
class Unreachable extends Error {
  override readonly name = 'Unreachable'
}

/** RFC 6750, 2.1, and what opaque tokens are made of. */
const FIELD_VALUE = /^[\x21-\x7e]+$/

function authenticationOf({ clientAuthentication, clientSecret }: OidcConfig): oauth.ClientAuth {
  if (clientSecret === undefined || clientAuthentication === 'none') return oauth.None()
  return clientAuthentication === 'post' ? oauth.ClientSecretPost(clientSecret) : oauth.ClientSecretBasic(clientSecret)
}

function withParameters(
  endpoint: string,
  parameters: readonly (readonly [string, string])[],
): { readonly kind: 'destination'; readonly url: string } {
  const at = endpoint.indexOf('?')
  const query = new URLSearchParams(at === -1 ? '' : endpoint.slice(at + 1))
  for (const [name, value] of parameters) query.set(name, value)
  return { kind: 'destination', url: `${at === -1 ? endpoint : endpoint.slice(0, at)}?${query}` }
}

/** Codes of OAuth alone go into logs: descriptions are free text, and causes hold what was sent. */
function noTokensBy(error: unknown): NoTokens {
  if (error instanceof Unreachable) return { kind: 'unavailable', detail: error.message }
  if (error instanceof oauth.AuthorizationResponseError) return { kind: 'refused', detail: codeOf(error.error) }
  if (error instanceof oauth.ResponseBodyError) {
    const detail = codeOf(error.error)
    // What is wrong with us is no verdict on whoever logs in.
    return { kind: OF_CLIENT.has(error.error) ? 'unavailable' : 'invalid', detail }
  }
  if (error instanceof oauth.WWWAuthenticateChallengeError) {
    return { kind: 'unavailable', detail: 'it does not know the client' }
  }
  return { kind: 'invalid', detail: error instanceof Error ? error.message : 'it is no answer' }
}

const OF_CLIENT: ReadonlySet<string> = new Set(['invalid_client', 'unauthorized_client', 'temporarily_unavailable'])

function codeOf(code: string): string {
  return /^[a-z_]{1,64}$/.test(code) ? code : 'an error without a code'
}
