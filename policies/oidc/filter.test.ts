import assert from 'node:assert/strict'
import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto'
import { describe, it, test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import fc from '#fast-check'
import type { BackendResponse, CallFailure } from '../../model/backend-calls.ts'
import type { Check, FilterCrypto, FilterDeps, PublicKey, SharedTimes } from '../../model/filter.ts'
import type { Facts } from '../../model/request.ts'
import type { Verdict } from '../../model/verdict.ts'
import { answered, failed, scriptedCalls } from '../testing/calls.ts'
import { testRevocations } from '../testing/deps.ts'
import { type RequestWords, requestOf } from '../testing/request.ts'
import type { OidcConfig } from './config.ts'
import { Cookies, MAX_LOGINS } from './cookies.ts'
import { EndedSessions, MAX_ENDED } from './ended-sessions.ts'
import { oidc } from './filter.ts'
import { MAX_RETURN_PATH, returnPath } from './return-path.ts'
import { Seal } from './seal.ts'
import type { Session } from './session.ts'

type Json = Record<string, unknown>

const HOST = 'shop.example'
const ISSUER = 'https://id.example'
const KEY = await generateKeyPair('ES256')
const FOREIGN_KEY = await generateKeyPair('ES256')
const JWK = { ...(await exportJWK(KEY.publicKey)), kid: 'k1' }

const CONFIG: OidcConfig = {
  required: true,
  issuer: {
    name: 'corp',
    issuer: ISSUER,
    audiences: ['shop'],
    algorithms: ['ES256'],
    types: [''],
    clockSkewMs: 60_000,
    maxTokenBytes: 8_192,
    maxDepth: 16,
    cache: { maxEntries: 100, maxBytes: 1_000_000, maxAgeMs: 60_000 },
  },
  upstreams: [{ upstream: 'identity/auth:80', authority: 'auth.identity.svc' }],
  discoveryPath: '/.well-known/openid-configuration',
  timeoutMs: 1_000,
  clientId: 'shop',
  clientSecret: 'se cret',
  clientAuthentication: 'basic',
  scopes: ['openid', 'orders'],
  parameters: [{ name: 'prompt', value: 'login' }],
  cookieKeys: ['n'.repeat(32), 'o'.repeat(32)],
  cookieName: 'shop',
  maxAgeMs: 3_600_000,
  paths: {
    callback: '/oauth2/callback',
    login: '/oauth2/login',
    logout: '/oauth2/logout',
    backChannelLogout: '/oauth2/backchannel-logout',
  },
  trustedOrigins: [],
  exempt: [{ methods: [], paths: ['/public/{**}'] }],
  exemptWithin: [],
}

const DISCOVERY = {
  issuer: ISSUER,
  authorization_endpoint: `${ISSUER}/authorize`,
  token_endpoint: `${ISSUER}/token`,
  revocation_endpoint: `${ISSUER}/revoke`,
  end_session_endpoint: `${ISSUER}/end`,
  id_token_signing_alg_values_supported: ['ES256'],
  authorization_response_iss_parameter_supported: true,
}

const nodeCrypto: FilterCrypto = {
  sha256: (text) => hash('sha256', text, 'base64url'),
  importJwk: (jwk) => ({ kind: 'public-key', key: createPublicKey({ key: jwk as never, format: 'jwk' }) }) as PublicKey,
  verify(_algorithm, publicKey, input, signature) {
    const { key } = publicKey as PublicKey & { readonly key: KeyObject }
    return verify('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'))
  },
}

const json = (status: number, body: unknown) =>
  answered(status, [['content-type', 'application/json']], JSON.stringify(body))

/** A gateway, its provider, and a browser that keeps cookies as browsers do. */
class World {
  nowMs = Date.UTC(2026, 0, 1)
  readonly jar = new Map<string, string>()
  readonly revocations = testRevocations()
  /** What the provider answers to. */
  token: (form: URLSearchParams) => BackendResponse | CallFailure | Promise<BackendResponse | CallFailure>
  discovery: () => BackendResponse | CallFailure = () => json(200, DISCOVERY)
  readonly forms: URLSearchParams[] = []
  readonly revoked: string[] = []
  discovered = 0
  hasKeys = true
  nonce = ''
  check: Check
  readonly #memory = new Map<string, unknown>()
  readonly #calls = scriptedCalls((_upstream, { path, body }) => this.#answer(path, body))

  constructor(words: Partial<OidcConfig> = {}) {
    this.check = this.compile(words)
    this.token = async () => json(200, await this.tokens())
  }

  compile(words: Partial<OidcConfig> = {}, deps: Partial<FilterDeps> = {}): Check {
    const world = this
    const compiled = oidc.compile(
      { ...CONFIG, ...words },
      {
        clock: { now: () => this.nowMs, monotonic: () => this.nowMs - 1_000_000 },
        crypto: nodeCrypto,
        keys: {
          get generation() {
            return world.hasKeys ? 1 : 0
          },
          keysOf: () => (this.hasKeys ? [JWK] : undefined),
          refresh: async () => {},
        },
        calls: this.#calls,
        revocations: this.revocations,
        remember: <T>(key: string, create: () => T): T => {
          if (!this.#memory.has(key)) this.#memory.set(key, create())
          return this.#memory.get(key) as T
        },
        count() {},
        ...deps,
      },
    )
    assert.ok(compiled.ok)
    return compiled.value
  }

  async tokens(words: Json = {}, claims: Json = {}): Promise<Json> {
    return {
      access_token: `access-${this.forms.length}`,
      token_type: 'Bearer',
      expires_in: 300,
      refresh_token: `refresh-${this.forms.length}`,
      id_token: await this.jwt({ nonce: this.nonce, ...claims }),
      ...words,
    }
  }

  jwt(claims: Json, header: Json = {}, key = KEY): Promise<string> {
    const now = Math.floor(this.nowMs / 1_000)
    const whole = { iss: ISSUER, aud: 'shop', sub: 'ann', sid: 's1', iat: now, exp: now + 300, ...claims }
    const defined = Object.fromEntries(Object.entries(whole).filter(([, value]) => value !== undefined))
    return new SignJWT(defined).setProtectedHeader({ alg: 'ES256', kid: 'k1', ...header }).sign(key.privateKey)
  }

  #answer(
    path: string,
    body: Uint8Array | undefined,
  ): BackendResponse | CallFailure | Promise<BackendResponse | CallFailure> {
    const form = new URLSearchParams(new TextDecoder().decode(body))
    switch (path) {
      case '/.well-known/openid-configuration':
        this.discovered += 1
        return this.discovery()
      case '/token':
        this.forms.push(form)
        return this.token(form)
      case '/revoke':
        this.revoked.push(form.get('token') ?? '')
        return answered(200)
      default:
        return answered(404)
    }
  }

  get calls() {
    return this.#calls
  }

  cookies(): string {
    return [...this.jar].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  /** A request with the browser's cookies; what it is told to keep, it keeps. */
  async ask(words: RequestWords = {}, check = this.check) {
    const facts: Facts = {}
    const cookie = this.cookies()
    const headers = { ...(cookie !== '' && { cookie }), ...words.headers }
    const request = requestOf({ host: HOST, authority: HOST, ...words, headers })
    const verdict = await check(request, facts)
    for (const [name, value] of [...headersOf(verdict), ...(facts.addResponseHeaders ?? [])]) {
      if (name !== 'set-cookie') continue
      const [, cookieName = '', text = '', age = ''] = /^([^=]+)=([^;]*); Max-Age=(\d+);/.exec(value) ?? []
      assert.match(cookieName, /^__Host-/)
      assert.ok(value.endsWith('; Path=/; Secure; HttpOnly; SameSite=Lax'), value)
      assert.ok(value.length < 4_096, 'browsers keep no longer ones')
      if (age === '0') this.jar.delete(cookieName)
      else this.jar.set(cookieName, text)
    }
    return { verdict, facts, request }
  }

  /** The name of the denial, or the kind. */
  async say(words: RequestWords = {}, check = this.check): Promise<string> {
    const { verdict } = await this.ask(words, check)
    return verdict.kind === 'deny' ? verdict.denial.name : verdict.kind
  }

  /** To the provider. */
  async begin(path = '/orders', query = ''): Promise<URL> {
    const { verdict } = await this.ask({ path, query, headers: PAGE })
    assert.equal(verdict.kind, 'answer', JSON.stringify(verdict))
    const url = new URL(locationOf(verdict))
    this.nonce = url.searchParams.get('nonce') ?? ''
    return url
  }

  /** And back. */
  end(url: URL, words: Json = {}) {
    const query = new URLSearchParams({ code: 'c0de', state: url.searchParams.get('state') ?? '', iss: ISSUER })
    for (const [name, value] of Object.entries(words)) {
      if (value === undefined) query.delete(name)
      else query.set(name, String(value))
    }
    return this.ask({ path: '/oauth2/callback', query: query.toString(), headers: PAGE })
  }

  async logIn(path = '/orders', query = '') {
    return this.end(await this.begin(path, query))
  }
}

const PAGE = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', 'sec-fetch-site': 'none' }
const SCRIPT = { 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', 'sec-fetch-site': 'same-origin' }

function headersOf(verdict: Verdict) {
  return verdict.kind === 'continue' ? [] : (verdict.headers ?? [])
}

function locationOf(verdict: Verdict): string {
  return headersOf(verdict).find(([name]) => name === 'location')?.[1] ?? ''
}

function nameOf({ verdict }: { readonly verdict: Verdict }): string {
  return verdict.kind === 'deny' ? verdict.denial.name : verdict.kind
}

describe('a login', () => {
  it('T26: sends a browser to the provider with PKCE, state and nonce, and redeems what it comes back with', async () => {
    const world = new World()
    const url = await world.begin('/orders', 'page=2')
    assert.equal(`${url.origin}${url.pathname}`, `${ISSUER}/authorize`)
    const { state, nonce, code_challenge, ...others } = Object.fromEntries(url.searchParams)
    assert.match(state ?? '', /^[\w-]{43}$/)
    assert.match(nonce ?? '', /^[\w-]{43}$/)
    assert.deepEqual(others, {
      prompt: 'login',
      client_id: 'shop',
      response_type: 'code',
      redirect_uri: 'https://shop.example/oauth2/callback',
      scope: 'openid orders',
      code_challenge_method: 'S256',
    })
    const { verdict } = await world.end(url)
    assert.equal(locationOf(verdict), '/orders?page=2')
    const [form] = world.forms
    assert.equal(hash('sha256', form?.get('code_verifier') ?? '', 'base64url'), code_challenge)
    assert.equal(form?.get('redirect_uri'), 'https://shop.example/oauth2/callback')
    const asked = world.calls.asked.find(({ request }) => request.path === '/token')
    const [, basic] = asked?.request.headers.find(([name]) => name === 'authorization') ?? []
    assert.equal(basic, `Basic ${btoa('shop:se+cret')}`)
    assert.deepEqual([...world.jar.keys()], ['__Host-shop'], 'of the login nothing is left')
    assert.doesNotMatch(world.cookies(), /access|refresh|eyJ[\w-]+\.eyJ/, 'what it holds, nobody reads')
  })

  it('hands the access token on as if the client had sent it, and none of its cookies', async () => {
    const world = new World()
    await world.logIn()
    world.jar.set('theme', 'dark')
    const { verdict, facts } = await world.ask({ headers: SCRIPT })
    assert.equal(verdict.kind, 'continue')
    assert.equal(facts.loginToken, 'access-1')
    assert.deepEqual(facts.setRequestHeaders, [
      ['cookie', 'theme=dark'],
      ['authorization', 'Bearer access-1'],
    ])
    assert.equal(facts.token?.subject, 'ann')
    assert.equal(facts.addResponseHeaders, undefined)
  })

  it('is for pages alone: whoever could not show a login gets 401, and no redirect', async () => {
    const world = new World()
    const others: readonly RequestWords[] = [
      { headers: SCRIPT },
      { headers: { ...PAGE, 'sec-fetch-dest': 'iframe' } },
      { headers: { ...PAGE, 'sec-purpose': 'prefetch;prerender' } },
      { headers: { accept: '*/*' } },
      { headers: { accept: 'text/html', 'x-requested-with': 'XMLHttpRequest' } },
      { method: 'POST', headers: PAGE },
      { scheme: 'http', headers: PAGE },
    ]
    for (const words of others) assert.equal(await world.say(words), 'login-required', JSON.stringify(words))
    assert.equal(await world.say({ headers: { accept: 'text/html,*/*;q=0.8' } }), 'answer', 'a browser of old')
    assert.equal(world.jar.size, 1)
  })

  it('is not asked for where a policy exempts, or does not require it; and the cookies are gone there too', async () => {
    const world = new World()
    await world.logIn()
    const exempt = await world.ask({ path: '/public/logo.svg' })
    assert.deepEqual([exempt.verdict.kind, exempt.facts.exempt], ['continue', true])
    assert.deepEqual(exempt.facts.removeRequestHeaders, ['cookie'])
    world.jar.clear()
    const open = world.compile({ required: false })
    const { verdict, facts } = await world.ask({ headers: PAGE }, open)
    assert.deepEqual([verdict.kind, facts.token], ['continue', undefined])
    const login = await world.ask({ path: '/oauth2/login', query: 'return_to=%2Fme', headers: PAGE }, open)
    assert.equal(new URL(locationOf(login.verdict)).origin, ISSUER)
  })
})

describe('a login that somebody tampers with', () => {
  it('T26: takes no code with the state of another browser, twice, or without a login', async () => {
    const world = new World()
    const attacker = new World()
    const theirs = await attacker.begin()
    assert.equal(
      nameOf(await world.end(theirs)),
      'login-failed',
      'a login of the attacker’s own, in a victim’s browser',
    )
    const url = await world.begin()
    const before = world.cookies()
    assert.equal(nameOf(await world.end(url)), 'answer')
    assert.equal(nameOf(await world.end(url)), 'login-failed', 'the browser has finished it')
    assert.equal(world.forms.length, 1)
    // With a copy of the cookie it is the provider that knows its code again, and says so.
    world.token = () => json(400, { error: 'invalid_grant' })
    world.jar.clear()
    for (const pair of before.split('; ')) world.jar.set(...(pair.split(/=(.*)/s) as [string, string]))
    assert.equal(nameOf(await world.end(url)), 'login-failed')
    assert.equal(world.jar.size, 0)
  })

  it('T26: takes no answer of another issuer, nor one that does not say whose it is (RFC 9207)', async () => {
    for (const iss of ['https://evil.example', undefined, '']) {
      const world = new World()
      const url = await world.begin()
      assert.equal(nameOf(await world.end(url, { iss })), 'login-failed', String(iss))
      assert.equal(world.forms.length, 0, 'the code went nowhere')
    }
  })

  it('T26: takes no ID token of another login, client, issuer, key, or time', async () => {
    const bad: readonly [string, Json, Json?, typeof KEY?][] = [
      ['nonce', { nonce: 'n'.repeat(43) }],
      ['no nonce', { nonce: undefined }],
      ['aud', { aud: 'other' }],
      ['iss', { iss: 'https://evil.example' }],
      ['exp', { exp: 1 }],
      ['no sub', { sub: undefined }],
      ['key', {}, {}, FOREIGN_KEY],
      ['kid', {}, { kid: 'k2' }],
    ]
    for (const [why, claims, header, key] of bad) {
      const world = new World()
      const url = await world.begin()
      world.token = async () =>
        json(200, await world.tokens({ id_token: await world.jwt({ nonce: world.nonce, ...claims }, header, key) }))
      assert.equal(nameOf(await world.end(url)), 'login-failed', why)
      assert.equal(world.jar.size, 0, why)
    }
    const world = new World()
    const url = await world.begin()
    world.token = async () => json(200, await world.tokens({ id_token: undefined }))
    assert.equal(nameOf(await world.end(url)), 'login-failed', 'no ID token at all')
  })

  it('tells a provider that says no from one that is not there', async () => {
    const world = new World()
    const error = { code: undefined, error: 'access_denied', error_description: 'no\r\nset-cookie: a=b' }
    const refused = await world.end(await world.begin(), error)
    assert.equal(nameOf(refused), 'login-refused')
    assert.ok(refused.verdict.kind === 'deny' && refused.verdict.detail === 'access_denied')
    const url = await world.begin()
    world.token = () => failed('timeout')
    assert.equal(nameOf(await world.end(url)), 'login-unavailable')
    const unknownClient = await world.begin()
    world.token = () => json(401, { error: 'invalid_client' })
    assert.equal(nameOf(await world.end(unknownClient)), 'login-unavailable', 'nobody who logs in is to blame')
    const noKeys = await world.begin()
    world.token = async () => json(200, await world.tokens())
    world.hasKeys = false
    assert.equal(nameOf(await world.end(noKeys)), 'login-unavailable')
  })

  it('is over after a quarter of an hour, and belongs to the host where it began', async () => {
    const world = new World()
    const url = await world.begin()
    world.nowMs += 901_000
    assert.equal(nameOf(await world.end(url)), 'login-failed')
    const other = await world.begin()
    const query = `code=c&state=${other.searchParams.get('state')}&iss=${ISSUER}`
    const words = { path: '/oauth2/callback', query, authority: 'other.example', headers: PAGE }
    assert.equal(await world.say(words), 'login-failed')
  })

  it('opens nothing that was sealed by another key, for another purpose, or for another client', async () => {
    const world = new World()
    const url = await world.begin()
    const [[name = '', text = ''] = []] = world.jar
    const foreign = world.compile({ cookieKeys: ['x'.repeat(32)] })
    const query = `code=c&state=${url.searchParams.get('state')}&iss=${ISSUER}`
    const back = { path: '/oauth2/callback', query, headers: PAGE }
    assert.equal(await world.say(back, foreign), 'login-failed')
    world.jar.clear()
    world.jar.set('__Host-shop', `1:${text}`)
    assert.equal(await world.say({ headers: SCRIPT }), 'login-required', 'a login is no session')
    world.jar.set(name, text)
    const otherClient = { clientId: 'admin', issuer: { ...CONFIG.issuer, audiences: ['admin'] } }
    assert.equal(await world.say(back, world.compile(otherClient)), 'login-failed')
  })

  it('T16: takes no huge, double or odd state, and costs nothing but what it costs to say so', async () => {
    const world = new World()
    await world.begin()
    const state = 's'.repeat(43)
    for (const query of ['', 'code=c', 'state=short', `state=${'s'.repeat(9_000)}`, `state=${state}&state=${state}`]) {
      assert.equal(await world.say({ path: '/oauth2/callback', query, headers: PAGE }), 'login-failed', query)
    }
    world.jar.set(`__Host-shop-login-${state.slice(0, 8)}`, 'e'.repeat(12_000))
    const query = `code=c&iss=${ISSUER}&state=${state}`
    assert.equal(await world.say({ path: '/oauth2/callback', query, headers: PAGE }), 'login-failed')
    assert.equal(world.forms.length, 0)
  })

  it('keeps logins in several tabs apart, and so many of them at most', async () => {
    const world = new World()
    const tabs: URL[] = []
    for (let i = 0; i < 3; i++) tabs.push(await world.begin(`/tab-${i}`))
    world.nonce = tabs[1]?.searchParams.get('nonce') ?? ''
    assert.equal(locationOf((await world.end(tabs[1] as URL)).verdict), '/tab-1')
    world.jar.delete('__Host-shop')
    for (let i = 0; i < MAX_LOGINS * 2; i++) await world.begin()
    assert.ok(world.jar.size <= MAX_LOGINS, `${world.jar.size} cookies`)
  })
})

describe('the page after a login', () => {
  const elsewhere = [
    ...['//evil.example', '/\\evil.example', '/\t/evil.example', '/\n/evil.example', 'https://evil.example', 'evil'],
    ...['\\\\evil.example', '/%0d%0aset-cookie: a=b', `/${'a'.repeat(MAX_RETURN_PATH)}`, '', '/a\\b', '/é', '/ '],
  ]

  it('is at the same origin, whatever somebody asks for', async () => {
    for (const wanted of elsewhere) {
      const world = new World()
      const query = new URLSearchParams({ return_to: wanted }).toString()
      const { verdict } = await world.ask({ path: '/oauth2/login', query, headers: PAGE })
      const url = new URL(locationOf(verdict))
      world.nonce = url.searchParams.get('nonce') ?? ''
      const location = locationOf((await world.end(url)).verdict)
      assert.equal(new URL(location, `https://${HOST}`).origin, `https://${HOST}`, wanted)
      assert.match(location, /^\/(?![/\\])/)
    }
  })

  it('is none of the gateway’s own, which would log in or out again', async () => {
    const world = new World()
    const { verdict } = await world.ask({ path: '/oauth2/login', query: 'return_to=/oauth2/logout?a', headers: PAGE })
    const url = new URL(locationOf(verdict))
    world.nonce = url.searchParams.get('nonce') ?? ''
    assert.equal(locationOf((await world.end(url)).verdict), '/')
  })

  test('no text leads to another origin, or splits a response', () => {
    const piece = fc.constantFrom(
      '/',
      '\\',
      '\t',
      '\n',
      '\r',
      '.',
      '@',
      ':',
      '?',
      '#',
      '%',
      'evil.example',
      'https:',
      ' ',
    )
    const text = fc.oneof(
      fc.string(),
      fc.array(piece, { maxLength: 8 }).map((parts) => parts.join('')),
    )
    fc.assert(
      fc.property(text, (wanted) => {
        const path = returnPath(wanted)
        assert.equal(new URL(path, `https://${HOST}`).origin, `https://${HOST}`)
        assert.match(path, /^[\x21-\x7e]+$/)
      }),
    )
  })
})

describe('a session', () => {
  it('T24: goes with no token of the client’s own', async () => {
    const world = new World()
    await world.logIn()
    assert.equal(await world.say({ headers: { ...SCRIPT, authorization: 'Bearer other' } }), 'session-and-token')
  })

  it('T32: changes things only for pages of its own origin', async () => {
    const world = new World({ trustedOrigins: ['https://admin.example'] })
    await world.logIn()
    const from = (headers: Record<string, string>, method = 'POST') => world.say({ method, headers })
    assert.equal(await from({ 'sec-fetch-site': 'same-origin' }), 'continue')
    assert.equal(await from({ origin: 'https://shop.example' }), 'continue', 'a browser without Fetch Metadata')
    assert.equal(await from({ 'sec-fetch-site': 'cross-site', origin: 'https://admin.example' }), 'continue')
    for (const headers of [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site', origin: 'https://evil.shop.example' },
      { 'sec-fetch-site': 'none', origin: 'null' },
      { origin: 'http://shop.example' },
      { origin: 'https://shop.example.evil.example' },
      { origin: 'null' },
      {},
    ]) {
      assert.equal(await from(headers), 'cross-site-request', JSON.stringify(headers))
    }
    assert.equal(await from({ 'sec-fetch-site': 'cross-site' }, 'GET'), 'continue', 'a link of another site')
    const socket = { 'sec-websocket-version': '13', origin: 'https://evil.example' }
    assert.equal(await from(socket, 'GET'), 'cross-site-request', 'a WebSocket of another site')
  })

  it('is opened by every key and sealed by the first, so that keys can be replaced', async () => {
    const world = new World()
    await world.logIn()
    const next = world.compile({ cookieKeys: ['p'.repeat(32), 'n'.repeat(32)] })
    assert.equal(await world.say({ headers: SCRIPT }, next), 'continue')
    assert.equal(
      await world.say({ headers: SCRIPT }, world.compile({ cookieKeys: ['p'.repeat(32)] })),
      'login-required',
    )
    assert.equal(world.jar.size, 0, 'what nobody opens is of no use')
  })

  it('is none where its cookies were changed, cut, mixed, or are there twice', async () => {
    const world = new World()
    world.token = async () => json(200, await world.tokens({ access_token: 'a'.repeat(6_000) }))
    await world.logIn()
    const whole = new Map(world.jar)
    assert.deepEqual([...whole.keys()], ['__Host-shop', '__Host-shop.1', '__Host-shop.2'])
    assert.equal(await world.say({ headers: SCRIPT }), 'continue')
    const [first = '', second = ''] = whole.values()
    const broken: readonly string[] = [
      `__Host-shop=${first}`,
      `__Host-shop.1=${second}`,
      `${[...whole].map(([name, value]) => `${name}=${value}`).join('; ')}; __Host-shop=${first}`,
      world.cookies().replace(second, second.slice(0, -1)),
      world.cookies().replace(first, first.replace('3:', '9:')),
      world.cookies().replace(first, `${first.slice(0, -1)}${first.endsWith('A') ? 'B' : 'A'}`),
      '__Host-shop=1:',
      '__Host-shop=',
    ]
    for (const cookie of broken) {
      assert.equal(await world.say({ headers: { ...SCRIPT, cookie } }), 'login-required', cookie.slice(0, 40))
    }
    for (const [name, value] of whole) world.jar.set(name, value)
    world.token = async () => json(200, await world.tokens())
    world.nowMs += 290_000
    assert.equal(await world.say({ headers: SCRIPT }), 'continue')
    assert.deepEqual([...world.jar.keys()], ['__Host-shop'], 'chunks that are too many are taken back')
  })

  it('goes without the ID token where it would be too long, and is none where it still is', async () => {
    const world = new World()
    const pad = 'p'.repeat(4_000)
    world.token = async () => json(200, await world.tokens({ access_token: 'a'.repeat(5_000) }, { pad }))
    assert.equal(nameOf(await world.logIn()), 'answer')
    assert.equal(await world.say({ headers: SCRIPT }), 'continue')
    const longer = new World()
    longer.token = async () => json(200, await longer.tokens({ access_token: 'a'.repeat(12_000) }))
    assert.equal(nameOf(await longer.logIn()), 'login-failed')
    assert.equal(longer.jar.size, 0)
  })

  it('ends after maxAge, whatever is renewed, and at a TokenRevocation', async () => {
    const world = new World()
    await world.logIn()
    world.revocations.revoke(({ sub, issuer }) => (sub === 'ann' && issuer === 'corp' ? 'left' : undefined))
    assert.equal(await world.say({ headers: SCRIPT }), 'login-required')
    world.revocations.revoke(() => undefined)
    await world.logIn()
    for (let hour = 0; hour < 13; hour++) {
      assert.equal(await world.say({ headers: SCRIPT }), 'continue', `after ${hour * 270} s`)
      world.nowMs += 270_000
    }
    world.nowMs += 120_000
    assert.equal(await world.say({ headers: SCRIPT }), 'login-required')
  })

  it('without a refresh token lasts as long as its access token', async () => {
    const world = new World()
    world.token = async () => json(200, await world.tokens({ refresh_token: undefined }))
    await world.logIn()
    world.nowMs += 299_000
    assert.equal(await world.say({ headers: SCRIPT }), 'continue')
    world.nowMs += 1_000
    assert.equal(await world.say({ headers: SCRIPT }), 'login-required')
  })
})

describe('an access token that is about to end', () => {
  it('T26: is renewed once for all who come at a time, and for those who come late with the old cookie', async () => {
    const world = new World()
    await world.logIn()
    const old = world.cookies()
    world.nowMs += 250_000
    const [a, b] = await Promise.all([world.ask({ headers: SCRIPT }), world.ask({ headers: SCRIPT })])
    assert.deepEqual([a.facts.loginToken, b.facts.loginToken], ['access-2', 'access-2'])
    assert.equal(world.forms.length, 2, 'one login, one renewal')
    assert.equal(world.forms[1]?.get('refresh_token'), 'refresh-1')
    assert.ok(a.facts.setResponseHeaders?.some(([name, value]) => name === 'cache-control' && value === 'no-store'))
    const late = await world.ask({ headers: { ...SCRIPT, cookie: old } })
    assert.equal(late.facts.loginToken, 'access-2')
    assert.equal(world.forms.length, 2, 'a refresh token is used once')
    assert.equal((await world.ask({ headers: SCRIPT })).facts.addResponseHeaders, undefined)
  })

  it('ends with the session where the provider says no', async () => {
    const world = new World()
    await world.logIn()
    world.nowMs += 250_000
    world.token = () => json(400, { error: 'invalid_grant' })
    assert.equal(await world.say({ headers: SCRIPT }), 'login-required')
    assert.equal(world.jar.size, 0)
  })

  it('serves to its end where the provider does not answer, and nobody is sent to log in then', async () => {
    const world = new World()
    await world.logIn()
    world.nowMs += 250_000
    world.token = () => failed('unreachable')
    assert.equal((await world.ask({ headers: SCRIPT })).facts.loginToken, 'access-1')
    world.nowMs += 60_000
    assert.equal(await world.say({ headers: PAGE }), 'login-unavailable')
    world.token = async () => json(200, await world.tokens({ id_token: undefined }))
    assert.equal(await world.say({ headers: PAGE }), 'continue')
  })

  it('T26: becomes nobody else’s', async () => {
    const world = new World()
    await world.logIn()
    world.nowMs += 250_000
    world.token = async () => json(200, await world.tokens({}, { sub: 'eve', nonce: undefined }))
    assert.equal(await world.say({ headers: SCRIPT }), 'login-required')
  })
})

describe('a logout', () => {
  it('ends the session here and at the provider, and a copy of the cookie is of no use', async () => {
    const world = new World({ afterLogout: '/bye' })
    await world.logIn()
    const copy = world.cookies()
    const { verdict } = await world.ask({
      method: 'POST',
      path: '/oauth2/logout',
      headers: { ...PAGE, 'sec-fetch-site': 'same-origin' },
    })
    const url = new URL(locationOf(verdict))
    assert.equal(`${url.origin}${url.pathname}`, `${ISSUER}/end`)
    assert.equal(url.searchParams.get('post_logout_redirect_uri'), 'https://shop.example/bye')
    assert.equal(url.searchParams.get('client_id'), 'shop')
    assert.match(url.searchParams.get('id_token_hint') ?? '', /^eyJ/)
    assert.equal(world.jar.size, 0)
    assert.deepEqual(world.revoked, ['refresh-1'])
    assert.equal(await world.say({ headers: { ...SCRIPT, cookie: copy } }), 'login-required')
  })

  it('T32: is for pages of the same origin alone', async () => {
    const world = new World()
    await world.logIn()
    for (const method of ['GET', 'POST']) {
      const headers = { ...PAGE, 'sec-fetch-site': 'cross-site' }
      assert.equal(await world.say({ method, path: '/oauth2/logout', headers }), 'cross-site-request')
      assert.equal(await world.say({ method, path: '/oauth2/logout' }), 'cross-site-request', 'nobody says from where')
    }
    assert.equal(world.jar.size, 1)
    const script = await world.ask({ method: 'POST', path: '/oauth2/logout', headers: SCRIPT })
    assert.ok(script.verdict.kind === 'answer' && script.verdict.status === 204)
    assert.equal(world.jar.size, 0)
  })
})

describe('a logout at the provider', () => {
  const EVENTS = { 'http://schemas.openid.net/event/backchannel-logout': {} }

  const told = (world: World, form: string | undefined, check = world.check) =>
    world.say(
      {
        method: 'POST',
        path: '/oauth2/backchannel-logout',
        headers: { cookie: '' },
        ...(form !== undefined && { body: async () => new TextEncoder().encode(form) }),
      },
      check,
    )

  it('ends the session that it names, or all of a person until then', async () => {
    const world = new World()
    await world.logIn()
    const other = await world.jwt({ events: EVENTS, jti: 'j', sid: 's2', sub: undefined }, { typ: 'logout+jwt' })
    assert.equal(await told(world, `logout_token=${other}`), 'answer')
    assert.equal(await world.say({ headers: SCRIPT }), 'continue', 'it was about another session')
    const own = await world.jwt({ events: EVENTS, jti: 'j', sub: undefined }, { typ: 'logout+jwt' })
    assert.equal(await told(world, `logout_token=${own}`), 'answer')
    assert.equal(await world.say({ headers: SCRIPT }), 'login-required')

    world.nowMs += 1_000
    world.token = async () => json(200, await world.tokens({}, { sid: 's3' }))
    await world.logIn()
    assert.equal(await world.say({ headers: SCRIPT }), 'continue')
    const all = await world.jwt({ events: EVENTS, jti: 'j', sid: undefined }, { typ: 'logout+jwt' })
    assert.equal(await told(world, `logout_token=${all}`), 'answer')
    assert.equal(await world.say({ headers: SCRIPT }), 'login-required')
    world.nowMs += 1_000
    world.token = async () => json(200, await world.tokens({}, { sid: 's4' }))
    await world.logIn()
    assert.equal(await world.say({ headers: SCRIPT }), 'continue', 'who logs in again is there again')
  })

  it('takes no token that says something else, or is by somebody else', async () => {
    const world = new World()
    await world.logIn()
    const good = { events: EVENTS, jti: 'j' }
    const bad: readonly [string, string][] = [
      ['an ID token', await world.jwt({ nonce: 'n' })],
      ['no event', await world.jwt({ jti: 'j' }, { typ: 'logout+jwt' })],
      ['an event that is none', await world.jwt({ ...good, events: { [Object.keys(EVENTS)[0] as string]: true } })],
      ['a nonce', await world.jwt({ ...good, nonce: 'n' })],
      ['nobody', await world.jwt({ ...good, sub: undefined, sid: undefined })],
      ['another client', await world.jwt({ ...good, aud: 'other' })],
      ['another key', await world.jwt(good, {}, FOREIGN_KEY)],
      ['past', await world.jwt({ ...good, exp: 1 })],
      ['no jti', await world.jwt({ events: EVENTS })],
      ['an access token', await world.jwt(good, { typ: 'at+jwt' })],
    ]
    for (const [why, token] of bad)
      assert.equal(await told(world, `logout_token=${token}`), 'logout-token-invalid', why)
    const token = await world.jwt(good)
    for (const form of [undefined, '', 'logout_token=', `logout_token=${token}&logout_token=${token}`]) {
      assert.equal(await told(world, form), 'logout-token-invalid', form?.slice(0, 30))
    }
    assert.equal(await world.say({ headers: SCRIPT }), 'continue')
    world.hasKeys = false
    assert.equal(await told(world, `logout_token=${token}`), 'login-unavailable')
  })

  it('is known to all workers of a pod, and remembered by so many bytes at most', () => {
    const session = (sid: string) => ({ id: 'i', sid, sub: 'ann', iat: 5 }) as Session
    const deps = { clock: { monotonic: () => 0 }, crypto: nodeCrypto } as unknown as FilterDeps
    const own = new EndedSessions({ ...deps, remember: (_key, create) => create() }, 'p', 1_000)
    for (let i = 0; i <= MAX_ENDED; i++) own.end({ sid: `s${i}` }, 10)
    assert.equal(own.hasEnded(session('s0')), false, 'the oldest is forgotten')
    assert.equal(own.hasEnded(session('s1')), true)

    const times = new Map<string, number>()
    const shared: SharedTimes = {
      get: (key) => times.get(key),
      set(key, time) {
        times.set(key, time)
        return 'set'
      },
      subtract() {},
    }
    const [one, two] = [1, 2].map(
      () => new EndedSessions({ ...deps, sharedTimes: () => shared } as FilterDeps, 'p', 1_000),
    )
    one?.end({ sub: 'ann' }, 5)
    assert.equal(two?.hasEnded(session('s')), true)
    assert.equal(two?.hasEnded({ ...session('s'), iat: 6 }), false)
  })
})

describe('the provider', () => {
  it('is asked once where its endpoints are, and what it said counts for a day where it is not there', async () => {
    const world = new World()
    await Promise.all([world.begin(), world.begin(), world.begin()])
    assert.equal(world.discovered, 1)
    world.discovery = () => failed('unreachable')
    world.nowMs += 3_600_000
    await world.begin()
    world.nowMs += 86_400_000
    assert.equal(await world.say({ headers: PAGE }), 'login-unavailable')
  })

  it('is nobody who says that they are another, or have places in plaintext or where nobody is asked', async () => {
    const bad: readonly Json[] = [
      { ...DISCOVERY, issuer: 'https://evil.example' },
      { ...DISCOVERY, issuer: `${ISSUER}/` },
      { ...DISCOVERY, authorization_endpoint: 'http://id.example/authorize' },
      { ...DISCOVERY, authorization_endpoint: 'javascript:alert(1)' },
      { ...DISCOVERY, authorization_endpoint: undefined },
      // What it calls itself is not what we call it.
      { ...DISCOVERY, authorization_endpoint: undefined, kind: 'destination', detail: '', url: 'http://evil.example/' },
    ]
    for (const metadata of bad) {
      const world = new World()
      world.discovery = () => json(200, metadata)
      assert.equal(await world.say({ headers: PAGE }), 'login-unavailable', JSON.stringify(metadata))
    }
    const world = new World()
    world.discovery = () => json(200, { ...DISCOVERY, token_endpoint: 'https://169.254.169.254/token' })
    assert.equal(nameOf(await world.logIn()), 'login-unavailable')
    assert.equal(world.forms.length, 0)
  })

  it('may have its places at several hosts, if the policy names them', async () => {
    const upstreams = [...CONFIG.upstreams, { upstream: 'https://tokens.example:443', authority: 'tokens.example' }]
    const world = new World({ upstreams })
    world.discovery = () => json(200, { ...DISCOVERY, token_endpoint: 'https://tokens.example/token' })
    assert.equal(nameOf(await world.logIn()), 'answer')
    const asked = world.calls.asked.find(({ request }) => request.path === '/token')
    assert.equal(asked?.upstream, 'https://tokens.example:443')
  })
})

test('check and explanation agree about whoever has no session, or has one', async () => {
  const world = new World()
  await world.logIn()
  const method = fc.constantFrom('GET', 'HEAD', 'POST', 'OPTIONS')
  const path = fc.constantFrom(
    '/',
    '/public/a',
    '/oauth2/login',
    '/oauth2/logout',
    '/oauth2/callback',
    '/oauth2/backchannel-logout',
  )
  const headers = fc.record(
    {
      'sec-fetch-mode': fc.constantFrom('navigate', 'cors'),
      'sec-fetch-site': fc.constantFrom('same-origin', 'cross-site', 'none'),
      origin: fc.constantFrom('https://shop.example', 'https://evil.example'),
      accept: fc.constantFrom('text/html', '*/*'),
    },
    { requiredKeys: [] },
  )
  const cookies = world.cookies()
  await fc.assert(
    fc.asyncProperty(
      ...[method, path, headers, fc.boolean(), fc.constantFrom('http' as const, 'https' as const)],
      async (method, path, headers, hasSession, scheme) => {
        // It would be over for those who come after.
        if (hasSession && path === '/oauth2/logout') return
        const words = { method, path, scheme, host: HOST, authority: HOST }
        const request = requestOf({ ...words, headers: { ...headers, ...(hasSession && { cookie: cookies }) } })
        const facts: Facts = {}
        const verdict = await world.check(request, facts)
        const known: Facts = facts.token === undefined ? {} : { token: facts.token }
        if (verdict.kind === 'deny' && hasSession && scheme === 'https') {
          known.token = { issuer: 'corp', iss: ISSUER, subject: 'ann', claims: {}, expiresAt: 0 }
        }
        const lines = oidc.explain({ ...CONFIG }, request, known)
        const end = lines.filter(({ outcome }) => outcome === 'denied' || outcome === 'answered')
        const said = end.map(({ outcome, denial }) => (outcome === 'denied' ? denial : 'answer'))
        const expected = verdict.kind === 'continue' ? [] : [verdict.kind === 'deny' ? verdict.denial.name : 'answer']
        assert.deepEqual(said, expected)
      },
    ),
    { numRuns: 60 },
  )
})

test('what was sealed is opened as what it was, and nothing else opens', async () => {
  const seal = new Seal(CONFIG.cookieKeys, nodeCrypto)
  const login = { binding: 'b', state: 's', nonce: 'n', verifier: 'v', redirectUri: 'r', returnTo: '/', until: 1 }
  const text = await seal.sealLogin(login)
  assert.deepEqual(await seal.openLogin(text), login)
  assert.equal(await seal.openSession(text), undefined)
  await fc.assert(
    fc.asyncProperty(fc.nat(text.length - 1), fc.constantFrom('A', 'b', '.', '9'), async (at, character) => {
      if (text[at] === character) return
      const opened = await seal.openLogin(`${text.slice(0, at)}${character}${text.slice(at + 1)}`)
      // The last character of a part has bits that say nothing.
      if (opened !== undefined) assert.deepEqual(opened, login)
    }),
    { numRuns: 100 },
  )
})

test('cookies have one name, and no request splits one', () => {
  const cookies = new Cookies('shop')
  const request = requestOf({
    headers: { cookie: ['a=1; __Host-shop=1:x', '__Host-shop-login-12345678=y; __Host-shopping=2'] },
  })
  const facts: Facts = {}
  cookies.strip(request, facts)
  assert.deepEqual(facts.setRequestHeaders, [['cookie', 'a=1; __Host-shopping=2']])
})
