import { createHash, randomBytes } from 'node:crypto'
import { createRemoteJWKSet, jwtVerify } from 'jose'

/** How long the authorization server may take for an answer. */
const TIMEOUT_MS = 5_000

const SCOPE = 'openid orders:read orders:write'

export interface Tokens {
  readonly accessToken: string
  readonly refreshToken?: string
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

/** A login that a browser began: what must come back, and what only we know. */
export interface PendingLogin {
  readonly state: string
  readonly nonce: string
  /** RFC 7636: whoever redeems the code must know it. */
  readonly verifier: string
  readonly redirectUri: string
  /** The page to show afterwards. */
  readonly returnTo: string
}

/** The authorization server refuses to go on with a login: the person has to log in again. */
export class LoginOver extends Error {
  override readonly name = 'LoginOver'
}

export interface AuthClientOptions {
  readonly issuer: string
  readonly authUrl: string
  readonly authPath: string
  readonly clientId: string
  readonly clientSecret: string
}

/** An OpenID Connect client: authorization code with PKCE, done on the server. */
export class AuthClient {
  readonly #options: AuthClientOptions
  readonly #keys: ReturnType<typeof createRemoteJWKSet>

  constructor(options: AuthClientOptions) {
    this.#options = options
    // A key may be in use a second after it was published.
    this.#keys = createRemoteJWKSet(new URL(`${options.authUrl}/jwks`), { cooldownDuration: 1_000 })
  }

  /** Where to send the browser, as a path on our own origin, and what to remember meanwhile. */
  begin(redirectUri: string, returnTo: string): { location: string; pending: PendingLogin } {
    const { authPath, clientId } = this.#options
    const [state, nonce, verifier] = [random(), random(), random()]
    const parameters = new URLSearchParams({
      client_id: clientId,
      response_type: 'code',
      redirect_uri: redirectUri,
      scope: SCOPE,
      state,
      nonce,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    })
    const pending = { state, nonce, verifier, redirectUri, returnTo }
    return { location: `${authPath}/authorize?${parameters}`, pending }
  }

  /** Redeems what the browser came back with. Throws LoginOver when it is not the answer to this login. */
  async finish(pending: PendingLogin, callback: URLSearchParams): Promise<{ user: string; tokens: Tokens }> {
    const { issuer, clientId } = this.#options
    if (callback.get('state') !== pending.state) throw new LoginOver('the answer is to another login')
    if (callback.get('iss') !== issuer) throw new LoginOver('the answer is from another server')
    const error = callback.get('error')
    if (error !== null) throw new LoginOver(error)

    const answer = await this.#token({
      grant_type: 'authorization_code',
      code: callback.get('code') ?? '',
      redirect_uri: pending.redirectUri,
      code_verifier: pending.verifier,
    })
    const { payload } = await jwtVerify(answer.idToken ?? '', this.#keys, {
      issuer,
      audience: clientId,
      algorithms: ['ES256'],
      requiredClaims: ['sub', 'exp'],
    }).catch((cause) => {
      throw new LoginOver('the ID token is not good', { cause })
    })
    if (payload.nonce !== pending.nonce) throw new LoginOver('the ID token is of another login')
    return { user: String(payload.sub), tokens: answer }
  }

  async refresh(refreshToken: string): Promise<Tokens> {
    return this.#token({ grant_type: 'refresh_token', refresh_token: refreshToken })
  }

  async revoke(refreshToken: string): Promise<void> {
    await this.#post('/token/revocation', { token: refreshToken, token_type_hint: 'refresh_token' })
  }

  async #token(parameters: Readonly<Record<string, string>>): Promise<Tokens & { idToken?: string }> {
    const response = await this.#post('/token', parameters)
    const body = (await response.json().catch(() => ({}))) as Record<string, unknown>
    const { access_token, refresh_token, id_token, expires_in } = body
    if (response.status >= 500) throw new Error(`the token endpoint answered ${response.status}`)
    if (!response.ok || typeof access_token !== 'string') throw new LoginOver(String(body.error ?? response.status))
    return {
      accessToken: access_token,
      expiresAt: Date.now() + Number(expires_in) * 1000,
      ...(typeof refresh_token === 'string' ? { refreshToken: refresh_token } : {}),
      ...(typeof id_token === 'string' ? { idToken: id_token } : {}),
    }
  }

  async #post(path: string, parameters: Readonly<Record<string, string>>): Promise<Response> {
    const { authUrl, clientId, clientSecret } = this.#options
    // RFC 6749, 2.3.1: both parts are form-encoded first.
    const credentials = `${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`
    return fetch(authUrl + path, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
      body: new URLSearchParams(parameters),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
  }
}

function random(): string {
  return randomBytes(32).toString('base64url')
}
