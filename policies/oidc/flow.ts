import type { FilterDeps } from '../../model/filter.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import { type Answer, CONTINUE, type Denial, type Deny, type HeaderPair, type Verdict } from '../../model/verdict.ts'
import { KEYS_UNAVAILABLE, TOO_MANY_BAD_TOKENS } from '../jwt/denials.ts'
import { TwoGenerations } from '../jwt/two-generations.ts'
import { isNavigation, isOwnPage, isPage, isUnsafe, ownOrigin } from './browser.ts'
import type { OidcConfig } from './config.ts'
import { type Cookies, LOGIN_SECONDS } from './cookies.ts'
import {
  CROSS_SITE_REQUEST,
  LOGIN_FAILED,
  LOGIN_REFUSED,
  LOGIN_REQUIRED,
  LOGIN_UNAVAILABLE,
  LOGOUT_TOKEN_INVALID,
  SESSION_AND_TOKEN,
} from './denials.ts'
import type { FlowMemory, Renewed } from './flow-memory.ts'
import { endedBy, logoutTokenOf, MAX_LOGOUT_FORM_BYTES } from './logout-token.ts'
import { type NoTokens, Provider, type Tokens } from './provider.ts'
import { returnPath } from './return-path.ts'
import { Seal } from './seal.ts'
import type { Login, Session } from './session.ts'

/** What a path of the policy's own is for. */
export type Place = 'callback' | 'login' | 'logout' | 'back-channel-logout'

/** Sessions that were opened and are kept open, and their size in characters: to open one anew costs a turn and 50 us. */
export const MAX_OPENED = 4_096
const MAX_OPENED_CHARACTERS = 16_777_216

/** Characters of what a browser comes back with. */
const MAX_CALLBACK = 8_192

/** An access token is renewed when a fifth of its life is left, or this. */
const RENEW_AHEAD_SECONDS = 60

/** What of a filter's deps it needs for as long as it lives. */
export type FlowDeps = Pick<FilterDeps, 'calls' | 'clock' | 'crypto' | 'revocations'>

/** Logins, sessions and logouts of one policy. */
export class Flow {
  readonly #config: OidcConfig
  readonly #cookies: Cookies
  readonly #memory: FlowMemory
  readonly #deps: FlowDeps
  readonly #seal: Seal
  readonly #provider: Provider
  readonly #opened = new TwoGenerations<Session>({ maxEntries: MAX_OPENED, maxBytes: MAX_OPENED_CHARACTERS })

  constructor(config: OidcConfig, cookies: Cookies, memory: FlowMemory, deps: FlowDeps) {
    this.#config = config
    this.#cookies = cookies
    this.#memory = memory
    this.#deps = deps
    this.#seal = new Seal(config.cookieKeys, deps.crypto)
    this.#provider = new Provider(config, deps.calls, deps.clock)
  }

  at(place: Place, request: RequestView): Verdict | Promise<Verdict> {
    switch (place) {
      case 'callback':
        return this.#finishLogin(request)
      case 'login':
        return this.#beginLogin(request, new URLSearchParams(request.query).get('return_to') ?? '/')
      case 'logout':
        return this.#logOut(request)
      case 'back-channel-logout':
        return this.#endSessions(request)
    }
  }

  /** A request of whoever may have a session. */
  judge(request: RequestView, facts: Facts): Verdict | Promise<Verdict> {
    const text = this.#cookies.session(request)
    if (text === undefined) return this.#withoutSession(request, facts)
    const hash = this.#deps.crypto.sha256(text)
    const known = this.#opened.get(hash)
    if (known !== undefined) return this.#judgeSession(known, request, facts)
    return this.#seal.openSession(text).then((session) => {
      if (session === undefined || session.binding !== this.#memory.binding) return this.#withoutSession(request, facts)
      this.#opened.set(hash, session, text.length)
      return this.#judgeSession(session, request, facts)
    })
  }

  #judgeSession(session: Session, request: RequestView, facts: Facts): Verdict | Promise<Verdict> {
    if (!this.#counts(session)) return this.#withoutSession(request, facts)
    if (isUnsafe(request) && !isOwnPage(request, this.#config.trustedOrigins)) {
      return deny(CROSS_SITE_REQUEST, 'neither Sec-Fetch-Site nor Origin says that a page of this host sent it')
    }
    if (request.header('authorization') !== undefined) return deny(SESSION_AND_TOKEN)
    const now = this.#nowSeconds()
    const { refreshToken } = session
    if (refreshToken === undefined || now < session.renewFrom) {
      return now < session.accessUntil ? this.#letIn(session, facts) : this.#withoutSession(request, facts)
    }
    return this.#renew(session, refreshToken).then((renewed) => {
      switch (renewed.kind) {
        case 'over':
          return this.#withoutSession(request, facts)
        case 'unavailable':
          // What is good for a while yet is good enough.
          return now < session.accessUntil ? this.#letIn(session, facts) : unavailable(renewed)
        case 'renewed': {
          if (!this.#counts(renewed.session)) return this.#withoutSession(request, facts)
          const lines = this.#cookies.setSession(renewed.sealed, renewed.session.until - now, request) ?? []
          addToResponse(facts, lines)
          return this.#letIn(renewed.session, facts)
        }
      }
    })
  }

  #letIn(session: Session, facts: Facts): Verdict {
    const { issuer } = this.#config
    facts.loginToken = session.accessToken
    facts.setRequestHeaders = [
      ...(facts.setRequestHeaders ?? []),
      ['authorization', `Bearer ${session.accessToken}`] satisfies HeaderPair,
    ]
    facts.token = Object.freeze({
      issuer: issuer.name,
      iss: issuer.issuer,
      subject: session.sub,
      claims: Object.freeze({ iss: issuer.issuer, sub: session.sub }),
      expiresAt: session.accessUntil,
    })
    return CONTINUE
  }

  /** Whether a session that is well sealed is one still. */
  #counts(session: Session): boolean {
    const { until, sub, iat } = session
    if (this.#nowSeconds() >= until || this.#memory.ended.hasEnded(session)) return false
    const revoked = this.#deps.revocations?.revokedBy({ issuer: this.#config.issuer.name, sub, issuedAt: iat })
    return revoked === undefined
  }

  #withoutSession(request: RequestView, facts: Facts): Verdict | Promise<Verdict> {
    const cleared = this.#cookies.clearSession(request)
    if (!this.#config.required) {
      addToResponse(facts, cleared)
      return CONTINUE
    }
    if (request.scheme === 'https' && isNavigation(request)) {
      const { path, query } = request
      return this.#beginLogin(request, query === '' ? path : `${path}?${query}`, cleared)
    }
    return deny(LOGIN_REQUIRED, undefined, [...cleared, NO_STORE])
  }

  async #beginLogin(request: RequestView, returnTo: string, headers: readonly HeaderPair[] = []): Promise<Verdict> {
    if (request.scheme !== 'https') return deny(LOGIN_FAILED, 'it came in plaintext')
    if (request.method !== 'GET' && request.method !== 'HEAD') return deny(LOGIN_FAILED, 'it is no GET')
    const { paths } = this.#config
    const wanted = returnPath(returnTo)
    const isOwn = Object.values(paths).includes(wanted.split('?', 1)[0] ?? '')
    const login: Login = {
      ...this.#provider.newSecrets(),
      binding: this.#memory.binding,
      redirectUri: `${ownOrigin(request)}${paths.callback}`,
      returnTo: isOwn ? '/' : wanted,
      until: this.#nowSeconds() + LOGIN_SECONDS,
    }
    const destination = await this.#provider.authorizationUrl(login)
    if (destination.kind !== 'destination') return unavailable(destination)
    const sealed = await this.#seal.sealLogin(login)
    return redirect(destination.url, [...headers, ...this.#cookies.setLogin(login.state, sealed, request)])
  }

  async #finishLogin(request: RequestView): Promise<Verdict> {
    if (request.method !== 'GET' || request.scheme !== 'https') return deny(LOGIN_FAILED, 'it is no GET by HTTPS')
    if (request.query.length > MAX_CALLBACK) return deny(LOGIN_FAILED, 'its query is too long')
    const callback = new URLSearchParams(request.query)
    const states = callback.getAll('state')
    const state = states.length === 1 && STATE.test(states[0] ?? '') ? states[0] : undefined
    if (state === undefined) return deny(LOGIN_FAILED, 'it has no state of ours')
    const text = this.#cookies.login(request, state)
    if (text === undefined) return deny(LOGIN_FAILED, 'this browser has begun no such login, or has finished it')
    const cleared = this.#cookies.clearLogin(state)
    const failed = (denial: Denial, detail: string) => deny(denial, detail, [cleared, NO_STORE])
    const login = await this.#seal.openLogin(text)
    if (login === undefined || login.binding !== this.#memory.binding) {
      return failed(LOGIN_FAILED, 'what the browser kept of the login was not sealed here')
    }
    if (login.state !== state) return failed(LOGIN_FAILED, 'it is the end of another login')
    if (this.#nowSeconds() >= login.until) return failed(LOGIN_FAILED, 'the login took too long')
    if (login.redirectUri !== `${ownOrigin(request)}${this.#config.paths.callback}`) {
      return failed(LOGIN_FAILED, 'the login began at another host')
    }
    const tokens = await this.#provider.redeem(callback, login)
    if (tokens.kind !== 'tokens') {
      if (tokens.kind === 'unavailable') return unavailable(tokens, [cleared])
      return failed(tokens.kind === 'refused' ? LOGIN_REFUSED : LOGIN_FAILED, tokens.detail)
    }
    const known = await this.#verifyIdToken(tokens.idToken, request)
    if (known.kind === 'unavailable') return unavailable(known, [cleared])
    if (known.kind !== 'known') return failed(LOGIN_FAILED, known.detail)
    const session = this.#newSession(tokens, known)
    const sealed = await this.#sealSession(session)
    const lines = this.#cookies.setSession(sealed, session.until - this.#nowSeconds(), request)
    if (lines === undefined) return failed(LOGIN_FAILED, 'the tokens are longer than cookies may be')
    return redirect(returnPath(login.returnTo), [cleared, ...lines])
  }

  #newSession(tokens: Tokens, { sub, sid, iat }: Known): Session {
    const now = this.#nowSeconds()
    return {
      ...timesOf(tokens, now),
      binding: this.#memory.binding,
      id: this.#provider.newSecrets().state,
      sub,
      ...(sid !== undefined && { sid }),
      iat,
      until: now + Math.floor(this.#config.maxAgeMs / 1_000),
      accessToken: tokens.accessToken,
      ...(tokens.refreshToken !== undefined && { refreshToken: tokens.refreshToken }),
      ...(tokens.idToken !== undefined && { idToken: tokens.idToken }),
    }
  }

  /** The ID token is a hint alone: a session that would be too long goes without. */
  async #sealSession(session: Session): Promise<string> {
    const sealed = await this.#seal.sealSession(session)
    if (session.idToken === undefined || sealed.length <= this.#cookies.maxSession) return sealed
    const { idToken: _, ...rest } = session
    return this.#seal.sealSession(rest)
  }

  async #verifyIdToken(idToken: string | undefined, request: RequestView): Promise<Known | NoTokens> {
    if (idToken === undefined) return { kind: 'invalid', detail: 'there is no ID token' }
    const outcome = await this.#memory.idTokens.verify(idToken, request)
    if (outcome.kind === 'refused') return noTokensOf(outcome)
    const { sub, sid, iat } = outcome.token.claims
    if (typeof sub !== 'string' || sub === '') return { kind: 'invalid', detail: 'the ID token has no sub' }
    if (typeof iat !== 'number') return { kind: 'invalid', detail: 'the ID token has no iat' }
    return { kind: 'known', sub, iat: Math.floor(iat), ...(typeof sid === 'string' && { sid }) }
  }

  /**
   * Renews once for all who come with one session at a time: a refresh token that is used twice looks stolen (RFC 9700, 4.14.2).
   * Whoever asked may go meanwhile; what comes is for the others.
   */
  #renew(session: Session, refreshToken: string): Promise<Renewed> {
    const key = this.#deps.crypto.sha256(refreshToken)
    const known = this.#memory.renewed.get(key)
    if (known !== undefined) return Promise.resolve(known)
    return this.#memory.renewed.ask(key, () => this.#askForRenewal(session, refreshToken), undefined)
  }

  async #askForRenewal(before: Session, refreshToken: string): Promise<Renewed> {
    const tokens = await this.#provider.refresh(refreshToken)
    if (tokens.kind !== 'tokens') {
      return { kind: tokens.kind === 'unavailable' ? 'unavailable' : 'over', detail: tokens.detail }
    }
    if (tokens.idToken !== undefined) {
      const known = await this.#verifyIdToken(tokens.idToken, NOBODY)
      if (known.kind !== 'known') return { kind: 'over', detail: known.detail }
      if (known.sub !== before.sub) return { kind: 'over', detail: 'the renewed ID token is of somebody else' }
    }
    const session: Session = {
      ...before,
      ...timesOf(tokens, this.#nowSeconds()),
      accessToken: tokens.accessToken,
      refreshToken: tokens.refreshToken ?? refreshToken,
      ...(tokens.idToken !== undefined && { idToken: tokens.idToken }),
    }
    const sealed = await this.#sealSession(session)
    return { kind: 'renewed', session, sealed }
  }

  async #logOut(request: RequestView): Promise<Verdict> {
    const isKnownMethod = request.method === 'GET' || request.method === 'POST'
    if (!isKnownMethod || !isOwnPage(request, this.#config.trustedOrigins)) {
      return deny(CROSS_SITE_REQUEST, 'nobody is logged out by a page of another site')
    }
    const text = this.#cookies.session(request)
    const opened = text === undefined ? undefined : await this.#seal.openSession(text)
    const session = opened?.binding === this.#memory.binding ? opened : undefined
    if (session !== undefined) {
      this.#memory.ended.endLogin(session.id, this.#nowSeconds())
      if (session.refreshToken !== undefined) await this.#provider.revoke(session.refreshToken)
    }
    const cleared = [...this.#cookies.clearSession(request), NO_STORE]
    if (!isPage(request)) return { kind: 'answer', status: 204, headers: cleared }
    const { afterLogout } = this.#config
    const backTo = afterLogout === undefined ? undefined : `${ownOrigin(request)}${afterLogout}`
    const to = session === undefined ? undefined : await this.#provider.endSessionUrl(session.idToken, backTo)
    return redirect(to ?? afterLogout ?? '/', cleared, 303)
  }

  /** OpenID Connect Back-Channel Logout 1.0, 2.5 to 2.8. */
  async #endSessions(request: RequestView): Promise<Verdict> {
    const invalid = (detail: string) => deny(LOGOUT_TOKEN_INVALID, detail, [NO_STORE])
    if (request.method !== 'POST') return invalid('it is no POST')
    const form = await request.body?.(MAX_LOGOUT_FORM_BYTES)
    const token = form === undefined ? undefined : logoutTokenOf(form)
    if (token === undefined) return invalid('its form has not one logout token')
    const outcome = await this.#memory.logoutTokens.verify(token, request)
    if (outcome.kind === 'refused') {
      const why = noTokensOf(outcome)
      return why.kind === 'unavailable' ? unavailable(why) : invalid(why.detail)
    }
    const ended = endedBy(outcome.token.claims)
    if (typeof ended === 'string') return invalid(ended)
    this.#memory.ended.end(ended, this.#nowSeconds())
    return { kind: 'answer', status: 200, headers: [NO_STORE] }
  }

  #nowSeconds(): number {
    return Math.floor(this.#deps.clock.now() / 1_000)
  }
}

interface Known {
  readonly kind: 'known'
  readonly sub: string
  readonly sid?: string
  readonly iat: number
}

const STATE = /^[A-Za-z0-9_-]{43}$/
const NO_STORE: HeaderPair = ['cache-control', 'no-store']
const RETRY_AFTER: HeaderPair = ['retry-after', '5']

/** A question that no client asks. */
const NOBODY: RequestView = {
  protocol: 'http',
  method: 'POST',
  path: '/',
  query: '',
  host: '',
  port: 443,
  scheme: 'https',
  peer: { ip: '' },
  clientIp: '',
  header: () => undefined,
  headers: () => [],
}

function timesOf({ lastsSeconds }: Tokens, now: number): Pick<Session, 'accessUntil' | 'renewFrom'> {
  const lasts = Math.max(0, Math.floor(lastsSeconds))
  return { accessUntil: now + lasts, renewFrom: now + lasts - Math.min(RENEW_AHEAD_SECONDS, Math.ceil(lasts / 5)) }
}

/** What keys may bring is nothing that whoever logs in is to blame for. */
function noTokensOf({ denial, detail }: { readonly denial: Denial; readonly detail: string }): NoTokens {
  const isOutage = denial === KEYS_UNAVAILABLE || denial === TOO_MANY_BAD_TOKENS
  return { kind: isOutage ? 'unavailable' : 'invalid', detail }
}

function addToResponse(facts: Facts, lines: readonly HeaderPair[]): void {
  if (lines.length === 0) return
  facts.addResponseHeaders = [...(facts.addResponseHeaders ?? []), ...lines]
  // A shared cache must not hand one person's session to the next.
  facts.setResponseHeaders = [...(facts.setResponseHeaders ?? []), NO_STORE]
}

function deny(denial: Denial, detail?: string, headers?: readonly HeaderPair[]): Deny {
  return {
    kind: 'deny',
    denial,
    ...(detail !== undefined && { detail }),
    ...(headers !== undefined && { headers }),
  }
}

function unavailable({ detail }: { readonly detail: string }, headers: readonly HeaderPair[] = []): Deny {
  return deny(LOGIN_UNAVAILABLE, detail, [...headers, NO_STORE, RETRY_AFTER])
}

function redirect(location: string, headers: readonly HeaderPair[], status: 302 | 303 = 302): Answer {
  return {
    kind: 'answer',
    status,
    headers: [['location', location], NO_STORE, ['referrer-policy', 'no-referrer'], ...withoutNoStore(headers)],
  }
}

function withoutNoStore(headers: readonly HeaderPair[]): readonly HeaderPair[] {
  return headers.filter((each) => each !== NO_STORE)
}
