import { randomBytes, timingSafeEqual } from 'node:crypto'
import { type AuthClient, LoginOver, type Tokens } from './auth-client.ts'

/** An access token is renewed when it has less than this left. */
const RENEW_BEFORE_MS = 20_000

/** Someone who is logged in: what the server keeps, and the browser never sees. */
export class Session {
  readonly user: string
  /** Goes into each form, so that only our own pages can send one. */
  readonly csrf = randomBytes(32).toString('base64url')
  #tokens: Tokens
  readonly #auth: AuthClient
  #renewing: Promise<void> | undefined

  constructor(user: string, tokens: Tokens, auth: AuthClient) {
    this.user = user
    this.#tokens = tokens
    this.#auth = auth
  }

  /**
   * A token for calls on the person's behalf, renewed if it is about to end or was refused (`refused`: the token that
   * a service answered 401 to). Throws LoginOver when there is no renewing it.
   */
  async accessToken(refused?: string): Promise<string> {
    const isStale = this.#tokens.expiresAt - Date.now() < RENEW_BEFORE_MS || this.#tokens.accessToken === refused
    if (isStale) {
      // One at a time: a refresh token that is used twice looks stolen and ends the login.
      this.#renewing ??= this.#renew().finally(() => {
        this.#renewing = undefined
      })
      await this.#renewing
    }
    return this.#tokens.accessToken
  }

  async #renew(): Promise<void> {
    const { refreshToken } = this.#tokens
    if (refreshToken === undefined) throw new LoginOver('there is no refresh token')
    this.#tokens = await this.#auth.refresh(refreshToken)
  }

  isCsrfToken(value: unknown): boolean {
    if (typeof value !== 'string') return false
    const [given, own] = [Buffer.from(value), Buffer.from(this.csrf)]
    return given.length === own.length && timingSafeEqual(given, own)
  }

  /** Ends the login at the authorization server too. */
  async end(): Promise<void> {
    if (this.#tokens.refreshToken !== undefined) await this.#auth.revoke(this.#tokens.refreshToken)
  }
}
