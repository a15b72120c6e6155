import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { BackendResponse, CallFailure } from '../../model/backend-calls.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import { CONTINUE, type Verdict } from '../../model/verdict.ts'
import { BAD_TOKEN_BURST } from '../jwt/bad-token-budget.ts'
import { answered, failed, type ScriptedCalls, scriptedCalls } from '../testing/calls.ts'
import { testDeps, testRevocations } from '../testing/deps.ts'
import { requestOf } from '../testing/request.ts'
import type { IntrospectedIssuer, IntrospectionConfig } from './config.ts'
import { INACTIVE_FOR_MS, introspection, MAX_TOKENS } from './filter.ts'

const ISSUER: IntrospectedIssuer = {
  name: 'corp',
  issuer: 'https://corp.example',
  audiences: ['https://api.example'],
  requiresAudience: true,
  clockSkewMs: 60_000,
  upstream: 'auth/server:80',
  authority: 'server.auth.svc',
  path: '/introspect',
  authorization: 'Basic bWVzaDpzZWNyZXQ=',
  timeoutMs: 1_000,
  maxAgeMs: 60_000,
}

/** Of the clock of these tests. */
const NOW = 1_700_001_000

const ACTIVE = {
  active: true,
  sub: 'ann',
  aud: 'https://api.example',
  iss: 'https://corp.example',
  exp: NOW + 600,
  iat: NOW - 10,
}

const json = (value: unknown) => answered(200, [['content-type', 'application/json']], JSON.stringify(value))

interface Asking {
  readonly calls: ScriptedCalls
  readonly revocations: ReturnType<typeof testRevocations>
  advance(ms: number): void
  ask(request?: RequestView, facts?: Facts): Verdict | Promise<Verdict>
}

type Said = BackendResponse | CallFailure

function asking(
  answer: (upstream: string, token: string) => Said | Promise<Said>,
  words: Partial<IntrospectionConfig> = {},
): Asking {
  const deps = testDeps()
  const revocations = testRevocations()
  const calls = scriptedCalls((upstream, { body }) => {
    const token = new URLSearchParams(new TextDecoder().decode(body)).get('token') ?? ''
    return answer(upstream, token)
  })
  const config = configOf(words)
  const crypto = { ...deps.crypto, sha256: (text: string) => `hash of ${text}` }
  const compiled = introspection.compile(config, { ...deps, crypto, calls, revocations })
  assert.ok(compiled.ok, JSON.stringify(compiled))
  return {
    calls,
    revocations,
    advance: deps.advance,
    ask: (request = withToken('opaque'), facts = {}) => compiled.value(request, facts),
  }
}

function configOf(words: Partial<IntrospectionConfig> = {}): IntrospectionConfig {
  return {
    required: true,
    issuers: [ISSUER],
    locations: [{ kind: 'header', name: 'authorization', scheme: 'bearer' }],
    forward: 'strip',
    claimHeaders: [],
    exempt: [],
    exemptWithin: [],
    ...words,
  }
}

function withToken(token: string): RequestView {
  return requestOf({ headers: { authorization: `Bearer ${token}` } })
}

function denialOf(verdict: Verdict): string {
  return verdict.kind === 'deny' ? `${verdict.denial.status} ${verdict.denial.name}` : verdict.kind
}

describe('a token that its issuer is asked about', () => {
  it('passes where it is active, tells the checks after it what the issuer says, and goes no further', async () => {
    const { ask, calls } = asking(() => json({ ...ACTIVE, scope: 'orders:read' }), {
      claimHeaders: [{ claim: '/sub', header: 'x-user' }],
    })
    const facts: Facts = {}
    assert.equal(await ask(withToken('opaque+/='), facts), CONTINUE)
    assert.deepEqual(
      [facts.token?.issuer, facts.token?.subject, facts.token?.claims['scope'], facts.token?.expiresAt],
      ['corp', 'ann', 'orders:read', NOW + 600],
    )
    assert.deepEqual(facts.setRequestHeaders, [['x-user', 'ann']])
    assert.deepEqual(facts.removeRequestHeaders, ['x-user', 'authorization'])
    const { request } = calls.asked[0]!
    assert.equal(`${request.method} ${request.path}`, 'POST /introspect')
    assert.deepEqual(Object.fromEntries(request.headers), {
      accept: 'application/json',
      authorization: 'Basic bWVzaDpzZWNyZXQ=',
      'content-type': 'application/x-www-form-urlencoded',
    })
    assert.equal(new TextDecoder().decode(request.body), 'token=opaque%2B%2F%3D&token_type_hint=access_token')
  })

  it('T23: is refused where it is not active, of somebody else, for somebody else, or not of this time', async () => {
    const wrong: readonly unknown[] = [
      { active: false },
      { ...ACTIVE, iss: 'https://evil.example' },
      { ...ACTIVE, aud: 'https://elsewhere.example' },
      { ...ACTIVE, aud: undefined },
      { ...ACTIVE, aud: ['https://api.example', 7] },
      { ...ACTIVE, exp: NOW - 61 },
      { ...ACTIVE, exp: '2030' },
      { ...ACTIVE, exp: 1e300 },
      { ...ACTIVE, nbf: NOW + 120 },
      { ...ACTIVE, sub: 7 },
    ]
    for (const said of wrong) {
      const verdict = await asking(() => json(said)).ask()
      assert.equal(denialOf(verdict), '401 opaque-token-inactive', JSON.stringify(said))
    }
  })

  it('needs no audience where its issuer need not say one', async () => {
    const issuers = [{ ...ISSUER, requiresAudience: false }]
    const { aud: _, ...silent } = ACTIVE
    assert.equal(await asking(() => json(silent), { issuers }).ask(), CONTINUE)
    const other = await asking(() => json({ ...ACTIVE, aud: 'elsewhere' }), { issuers }).ask()
    assert.equal(denialOf(other), '401 opaque-token-inactive')
  })

  it('is held to the lifetime that the mesh allows', async () => {
    const issuers = [{ ...ISSUER, maxLifetimeMs: 600_000 }]
    assert.equal(denialOf(await asking(() => json(ACTIVE), { issuers }).ask()), '401 opaque-token-inactive')
    assert.equal(await asking(() => json({ ...ACTIVE, exp: NOW + 500 }), { issuers }).ask(), CONTINUE)
  })

  it('F07: is answered 503 where nobody can say, and nothing of that is remembered', async () => {
    const answers: readonly Said[] = [
      failed('timeout'),
      failed('unreachable'),
      failed('overloaded'),
      answered(401),
      answered(500),
      answered(200, [], 'not json'),
      answered(200, [], '{"active":true,"active":false}'),
      json({ active: 'yes' }),
      json([]),
    ]
    for (const said of answers) {
      const { ask, calls } = asking(() => said)
      const facts: Facts = {}
      const verdict = await ask(withToken('opaque'), facts)
      assert.equal(denialOf(verdict), '503 introspection-unavailable', JSON.stringify(said))
      await ask()
      assert.equal(calls.asked.length, 2)
      const lines = introspection.explain(configOf(), withToken('opaque'), facts)
      assert.equal(lines.find(({ outcome }) => outcome === 'denied')?.denial, 'introspection-unavailable')
    }
  })

  it('T24: is one, where it has to be', async () => {
    const { ask } = asking(() => json(ACTIVE))
    assert.equal(denialOf(await ask(requestOf())), '401 opaque-token-missing')
    const two = requestOf({ headers: { authorization: ['Bearer a', 'Bearer b'] } })
    assert.equal(denialOf(await ask(two)), '400 two-opaque-tokens')
    assert.equal(denialOf(await ask(withToken('x'.repeat(8_193)))), '401 opaque-token-inactive')
    assert.equal(await asking(() => json(ACTIVE), { required: false }).ask(requestOf()), CONTINUE)
  })

  it('is of whichever issuer knows it, and of nobody only if each of them says so', async () => {
    const issuers = [ISSUER, { ...ISSUER, name: 'shop', issuer: 'https://shop.example', upstream: 'shop/auth:80' }]
    const ofShop = asking(
      (upstream) => json(upstream === 'shop/auth:80' ? { ...ACTIVE, iss: 'https://shop.example' } : { active: false }),
      { issuers },
    )
    const facts: Facts = {}
    assert.equal(await ofShop.ask(withToken('a'), facts), CONTINUE)
    assert.equal(facts.token?.issuer, 'shop')
    await ofShop.ask(withToken('a'))
    assert.equal(ofShop.calls.asked.length, 2, 'both answers are remembered')
    const half = asking((upstream) => (upstream === 'shop/auth:80' ? json({ active: false }) : failed('timeout')), {
      issuers,
    })
    assert.equal(denialOf(await half.ask()), '503 introspection-unavailable')
  })

  it('is not asked about where the request is exempt, and not passed on then', async () => {
    const { ask, calls } = asking(() => json(ACTIVE), { exempt: [{ methods: [], paths: ['/healthz'] }] })
    const facts: Facts = {}
    const request = requestOf({ path: '/healthz', headers: { authorization: 'Bearer x' } })
    assert.equal(await ask(request, facts), CONTINUE)
    assert.deepEqual([calls.asked.length, facts.token, facts.removeRequestHeaders], [0, undefined, ['authorization']])
  })
})

describe('what is remembered of a token', () => {
  it('saves the question until maxAge or exp, whichever comes first', async () => {
    const long = asking(() => json(ACTIVE))
    await long.ask()
    long.advance(59_999)
    assert.equal(long.ask(), CONTINUE, 'at once')
    long.advance(1)
    await long.ask()
    assert.equal(long.calls.asked.length, 2)

    const short = asking(() => json({ ...ACTIVE, exp: NOW + 10 }))
    await short.ask()
    short.advance(9_999)
    await short.ask()
    assert.equal(short.calls.asked.length, 1)
    short.advance(1)
    await short.ask()
    assert.equal(short.calls.asked.length, 2)
  })

  it('says for a short while that a token is none', async () => {
    const { ask, calls, advance } = asking(() => json({ active: false }))
    await ask()
    advance(INACTIVE_FOR_MS - 1)
    assert.equal(denialOf(await ask()), '401 opaque-token-inactive')
    assert.equal(calls.asked.length, 1)
    advance(1)
    await ask()
    assert.equal(calls.asked.length, 2)
  })

  it('does not save a token that was revoked meanwhile', async () => {
    const { ask, revocations } = asking(() => json({ ...ACTIVE, jti: 'j1' }))
    assert.equal(await ask(), CONTINUE)
    revocations.revoke(({ issuer, sub, jti }) =>
      issuer === 'corp' && sub === 'ann' && jti === 'j1' ? 'lost-phone' : undefined,
    )
    const verdict = await ask()
    assert.equal(denialOf(verdict), '401 opaque-token-inactive')
    assert.ok(verdict.kind === 'deny' && /lost-phone/.test(verdict.detail ?? ''))
  })

  it('is asked for once by all who come with it at the same time', async () => {
    let answer: (said: Said) => void = () => {}
    const { ask, calls } = asking(
      () =>
        new Promise((resolve) => {
          answer = resolve
        }),
    )
    const all = Promise.all([ask(), ask(), ask()])
    await new Promise(setImmediate)
    answer(json(ACTIVE))
    assert.deepEqual(await all, [CONTINUE, CONTINUE, CONTINUE])
    assert.equal(calls.asked.length, 1)
  })

  it('T27: is bounded, and so is what one client may have asked about tokens that are none', async () => {
    const good = asking(() => json(ACTIVE))
    for (let i = 0; i < MAX_TOKENS + 1; i++) await good.ask(withToken(`t${i}`))
    await good.ask(withToken('t0'))
    assert.equal(good.calls.asked.length, MAX_TOKENS + 2, 'the oldest was forgotten')

    const bad = asking((_upstream, token) => json(token === 'good' ? ACTIVE : { active: false }))
    assert.equal(await bad.ask(withToken('good')), CONTINUE)
    for (let i = 0; i < BAD_TOKEN_BURST; i++) await bad.ask(withToken(`bad${i}`))
    assert.equal(denialOf(await bad.ask(withToken('one-more'))), '429 too-many-unknown-tokens')
    assert.equal(bad.ask(withToken('good')), CONTINUE)
    const other = requestOf({ clientIp: '192.0.2.77', headers: { authorization: 'Bearer other' } })
    assert.equal(denialOf(await bad.ask(other)), '401 opaque-token-inactive')
  })
})
