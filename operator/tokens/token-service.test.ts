import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { ACCESS_TOKEN, TOKEN_EXCHANGE, TXN_TOKEN, UNSIGNED_JSON } from '../../contract/internal-token.ts'
import { INTERNAL_TOKENS } from '../../model/internal-tokens.ts'
import type { Facts } from '../../model/request.ts'
import { parseSpiffeId, parseTrustDomain, type SpiffeId } from '../../model/spiffe-id.ts'
import type { InternalTokenConfig, TokenExchangeConfig } from '../../policies/internal-token/config.ts'
import { internalToken } from '../../policies/internal-token/filter.ts'
import { tokenServiceOf } from '../../policies/internal-token/issuer.ts'
import { testDeps } from '../../policies/testing/deps.ts'
import { requestOf } from '../../policies/testing/request.ts'
import { openssl } from '../../runtime/crypto/openssl.ts'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import type { IssuedToken } from '../audit/events.ts'
import { NO_GRANT, type TokenGrant } from './grants.ts'
import { openSigningKeys } from './signing-keys.ts'
import { memoryStore } from './testing/memory-store.ts'
import { userIssuer } from './testing/user-issuer.ts'
import { createTokenService, type TokenOutcome } from './token-service.ts'

const GATEWAY = 'shop/edge'
const ORDERS = 'shop/orders'
const PAYMENTS = 'shop/payments'
const CORP = userIssuer('corp')

/** What the gateway's routes say, where a test says nothing else. */
const EXCHANGE: TokenExchangeConfig = { scope: ['orders.read', 'orders.write'], ttlSeconds: 120, claims: ['/tenant'] }

interface Form {
  readonly subject: string
  readonly type?: string
  readonly scope?: string
  readonly ttl?: number
  readonly claims?: readonly string[]
}

async function world(t: TestContext, exchange: Partial<TokenExchangeConfig> | undefined = {}) {
  const clock = createManualClock()
  const trustDomain = parseTrustDomain('mesh')
  assert.ok(trustDomain.ok)
  const keys = await openSigningKeys({ store: memoryStore(), clock, log: silentLog, onChange() {} })
  t.after(() => keys.close())
  const edge: TokenGrant = {
    exchanges: [{ issuers: [CORP.config], config: { ...EXCHANGE, ...exchange } }],
    relays: [],
  }
  const grants = new Map<string, TokenGrant>([
    [idOf(GATEWAY), edge],
    [idOf(ORDERS), { exchanges: [], relays: [{ ttlSeconds: 300 }] }],
    [idOf(PAYMENTS), { exchanges: [], relays: [{ ttlSeconds: 300 }] }],
  ])
  const userKeys = { current: CORP.keys as typeof CORP.keys | undefined }
  const issued: IssuedToken[] = []
  const service = createTokenService({
    onIssued: (token) => void issued.push(token),
    trustDomain: trustDomain.value,
    keys,
    issuerKeys: { keysOf: (name) => (name === 'corp' ? userKeys.current : undefined), refresh: async () => {} },
    keysGeneration: () => 1,
    grantOf: (caller) => grants.get(caller) ?? NO_GRANT,
    clock,
  })
  const send = async (caller: string, form: URLSearchParams): Promise<TokenOutcome> =>
    service.exchange({ spiffeId: idOf(caller), address: '192.0.2.7' }, form)
  const post = (caller: string, form: Readonly<Record<string, string>>) => send(caller, new URLSearchParams(form))
  const ask = (caller: string, { subject, type = ACCESS_TOKEN, scope = '', ttl = 120, claims = [] }: Form) =>
    post(caller, {
      grant_type: TOKEN_EXCHANGE,
      requested_token_type: TXN_TOKEN,
      audience: 'mesh',
      subject_token: subject,
      subject_token_type: type,
      request_details: JSON.stringify({ ttl, claims }),
      ...(scope !== '' && { scope }),
    })
  const own = (caller: string, scope = '') =>
    ask(caller, { subject: JSON.stringify({ sub: idOf(caller) }), type: UNSIGNED_JSON, scope })
  const user = (claims: Readonly<Record<string, unknown>> = {}) => CORP.tokenFor(claims, clock.now())

  /** What a service that takes internal tokens says to one from that caller. */
  const judged = async (token: string, from: string, words: Partial<InternalTokenConfig> = {}) => {
    const config: InternalTokenConfig = {
      ...{ required: true, issuers: [tokenServiceOf('mesh')], scope: [] },
      ...({ subject: 'user', binding: 'caller', forward: 'strip' } as const),
      ...words,
    }
    const compiled = internalToken.compile(config, {
      ...testDeps(),
      clock,
      crypto: openssl,
      keys: {
        generation: 1,
        keysOf: (name) => (name === INTERNAL_TOKENS ? keys.published().keys : undefined),
        refresh: async () => {},
      },
    })
    assert.ok(compiled.ok)
    const facts: Facts = {}
    const verdict = await compiled.value(requestOf({ from, headers: { 'txn-token': token } }), facts)
    return { said: verdict.kind === 'deny' ? verdict.denial.name : verdict.kind, facts }
  }
  return { clock, keys, grants, userKeys, issued, send, post, ask, own, user, judged }
}

function idOf(name: string): SpiffeId {
  const id = parseSpiffeId(`spiffe://mesh/ns/${name.replace('/', '/sa/')}`)
  assert.ok(id.ok)
  return id.value
}

function tokenOf(outcome: TokenOutcome): string {
  assert.equal(outcome.kind, 'issued', JSON.stringify(outcome))
  return outcome.kind === 'issued' ? outcome.answer.access_token : ''
}

function saidBy(outcome: TokenOutcome): string {
  return outcome.kind === 'issued' ? 'issued' : `${outcome.status} ${outcome.error} ${outcome.reason}`
}

function claimsOf(token: string): Readonly<Record<string, unknown>> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}

describe('the token service', () => {
  it("makes a transaction token of at most 600 bytes of a plain user's, which services take from that caller", async (t) => {
    const { ask, user, judged, keys, clock, issued } = await world(t)
    const outcome = await ask(GATEWAY, {
      subject: user({ sub: '7b2ce0b4-5a0e-4a8e-9f5f-3a1d0cf4f0aa', scope: 'orders.read profile' }),
      scope: 'orders.read',
    })
    const token = tokenOf(outcome)
    assert.ok(token.length <= 600, `${token.length} bytes`)
    assert.deepEqual(JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()), {
      typ: 'txntoken+jwt',
      alg: 'ES256',
      kid: keys.current().kid,
    })
    const iat = Math.floor(clock.now() / 1_000)
    const { txn, ...claims } = claimsOf(token)
    assert.match(String(txn), /^[\w-]{22}$/)
    assert.deepEqual(claims, {
      iss: 'mesh',
      aud: 'mesh',
      iat,
      exp: iat + 120,
      sub: '7b2ce0b4-5a0e-4a8e-9f5f-3a1d0cf4f0aa',
      scope: 'orders.read',
      req_wl: idOf(GATEWAY),
      rctx: { issuer: 'corp' },
    })
    assert.deepEqual(issued, [
      {
        caller: idOf(GATEWAY),
        txn,
        sub: claims['sub'],
        audience: 'mesh',
        scope: 'orders.read',
        kid: keys.current().kid,
        expiresMs: (iat + 120) * 1_000,
        of: 'user',
      },
    ])
    const { said, facts } = await judged(token, GATEWAY, { scope: ['orders.read'] })
    assert.equal(said, 'continue')
    assert.deepEqual([facts.token?.issuer, facts.token?.subject], [INTERNAL_TOKENS, claims['sub']])
    assert.deepEqual(facts.removeRequestHeaders, ['txn-token'])
    assert.equal((await judged(token, GATEWAY, { scope: ['orders.write'] })).said, 'internal-token-scope')
  })

  it('T26: what one caller was given is refused from any other, and from a caller without an identity', async (t) => {
    const { ask, user, judged } = await world(t)
    const token = tokenOf(await ask(GATEWAY, { subject: user() }))
    assert.equal((await judged(token, ORDERS)).said, 'internal-token-replayed')
    assert.equal((await judged(token, ORDERS, { binding: 'none' })).said, 'continue')
    const tampered = `${token.slice(0, -2)}${token.endsWith('AA') ? 'BB' : 'AA'}`
    assert.equal((await judged(tampered, GATEWAY)).said, 'internal-token-invalid')
    assert.equal((await judged(user(), GATEWAY)).said, 'internal-token-invalid')
  })

  it('T26: an exchange widens nothing: neither scope, nor audience, nor life, nor what is told of the user', async (t) => {
    const { ask, user, post, clock } = await world(t)
    const subject = user({ scope: 'orders.read admin', tenant: 'acme', salary: 7 })
    assert.equal(saidBy(await ask(GATEWAY, { subject, scope: 'admin' })), '400 invalid_scope scope-not-granted')
    assert.equal(saidBy(await ask(GATEWAY, { subject, scope: 'orders.write' })), '400 invalid_scope scope-widens')
    assert.equal(saidBy(await ask(GATEWAY, { subject, ttl: 121 })), '400 invalid_request ttl-not-granted')
    assert.equal(saidBy(await ask(GATEWAY, { subject, ttl: 301 })), '400 invalid_request request-details')
    assert.equal(saidBy(await ask(GATEWAY, { subject, claims: ['/salary'] })), '400 invalid_request claims-not-granted')
    const form = { grant_type: TOKEN_EXCHANGE, requested_token_type: TXN_TOKEN, subject_token: subject }
    const elsewhere = { ...form, subject_token_type: ACCESS_TOKEN, audience: 'other' }
    assert.equal(saidBy(await post(GATEWAY, elsewhere)), '400 invalid_target audience')
    const claims = claimsOf(tokenOf(await ask(GATEWAY, { subject, scope: 'orders.read', claims: ['/tenant'] })))
    assert.deepEqual(claims['tctx'], { tenant: 'acme' })
    const short = user({ exp: Math.floor(clock.now() / 1_000) + 30 })
    const { iat, exp } = claimsOf(tokenOf(await ask(GATEWAY, { subject: short })))
    assert.equal(Number(exp) - Number(iat), 30)
  })

  it('T26: where a policy names no scope, a token without one gets none, whatever other routes grant', async (t) => {
    const { ask, user, grants } = await world(t)
    const { scope: _, ...open } = EXCHANGE
    grants.set(idOf(GATEWAY), {
      relays: [],
      exchanges: [
        { issuers: [CORP.config], config: { ...EXCHANGE, scope: ['orders.read'] } },
        { issuers: [CORP.config], config: open },
      ],
    })
    assert.equal(saidBy(await ask(GATEWAY, { subject: user(), scope: 'admin' })), '400 invalid_scope scope-widens')
    assert.equal(saidBy(await ask(GATEWAY, { subject: user(), scope: 'orders.read' })), 'issued')
    assert.equal(saidBy(await ask(GATEWAY, { subject: user({ scope: 'a b' }), scope: 'a' })), 'issued')
  })

  it('T26: the next hop gets the same transaction in its own name, with as much scope at most, and no longer', async (t) => {
    const { ask, user, judged, clock } = await world(t)
    const first = tokenOf(
      await ask(GATEWAY, {
        subject: user({ scope: 'orders.read orders.write', tenant: 'acme' }),
        scope: 'orders.read',
        claims: ['/tenant'],
      }),
    )
    await clock.advance(100_000)
    const hop = (words: Partial<Form> = {}) => ask(ORDERS, { subject: first, type: TXN_TOKEN, ...words })
    assert.equal(saidBy(await hop({ scope: 'orders.write' })), '400 invalid_scope scope-widens')
    assert.equal(saidBy(await hop({ claims: ['/tenant'] })), '400 invalid_request context-is-immutable')
    const second = tokenOf(await hop({ scope: 'orders.read' }))
    const [before, after] = [claimsOf(first), claimsOf(second)]
    for (const claim of ['txn', 'sub', 'scope', 'tctx', 'rctx', 'exp'])
      assert.deepEqual(after[claim], before[claim], claim)
    assert.equal(after['req_wl'], idOf(ORDERS))
    assert.equal((await judged(second, ORDERS)).said, 'continue')
    assert.equal((await judged(second, GATEWAY)).said, 'internal-token-replayed')
    assert.equal(claimsOf(tokenOf(await hop()))['scope'], '')
    await clock.advance(90_000)
    assert.equal(saidBy(await hop()), '400 invalid_request subject-token-expired')
  })

  it('gives a workload without a user a token for itself, and for nobody else', async (t) => {
    const { ask, own, judged } = await world(t)
    const token = tokenOf(await own(ORDERS))
    assert.equal(claimsOf(token)['sub'], idOf(ORDERS))
    assert.equal((await judged(token, ORDERS, { subject: 'any' })).said, 'continue')
    assert.equal((await judged(token, ORDERS)).said, 'internal-token-without-user')
    assert.equal(saidBy(await own(GATEWAY, 'orders.read')), 'issued')
    assert.equal(saidBy(await own(GATEWAY, 'admin')), '400 invalid_scope scope-not-granted')
    for (const subject of [JSON.stringify({ sub: idOf(PAYMENTS) }), JSON.stringify({ sub: 'ann' }), '{', 'null']) {
      assert.equal(
        saidBy(await ask(ORDERS, { subject, type: UNSIGNED_JSON })),
        '400 invalid_request subject-is-not-the-caller',
      )
    }
  })

  it("T26: a workload gets what its own configuration asks for, and nothing that another's does", async (t) => {
    const { ask, own, user } = await world(t)
    const first = tokenOf(await ask(GATEWAY, { subject: user() }))
    assert.equal(saidBy(await ask(ORDERS, { subject: user() })), '403 unauthorized_client exchanges-no-user-tokens')
    const hop = await ask(GATEWAY, { subject: first, type: TXN_TOKEN })
    assert.equal(saidBy(hop), '403 unauthorized_client receives-no-internal-tokens')
    assert.equal(saidBy(await own('shop/stranger')), '403 unauthorized_client calls-without-internal-tokens')
  })

  it("takes no user's token that is not good, and says 503 where it cannot know", async (t) => {
    const { ask, user, userKeys, clock } = await world(t)
    const other = userIssuer('corp').tokenFor({}, clock.now())
    assert.equal(saidBy(await ask(GATEWAY, { subject: other })), '400 invalid_request subject-token-invalid')
    assert.equal(
      saidBy(await ask(GATEWAY, { subject: user({ exp: Math.floor(clock.now() / 1_000) - 61 }) })),
      '400 invalid_request subject-token-expired',
    )
    for (const sub of [undefined, '', idOf(ORDERS)]) {
      assert.match(saidBy(await ask(GATEWAY, { subject: user({ sub }) })), /^400 invalid_request subject-/)
    }
    const fresh = user({ jti: 'fresh' })
    userKeys.current = undefined
    const unknown = await world(t)
    unknown.userKeys.current = undefined
    assert.equal(saidBy(await unknown.ask(GATEWAY, { subject: fresh })), '503 temporarily_unavailable keys-unavailable')
  })

  it('refuses a form that says something twice, something unknown, or not what RFC 8693 asks for', async (t) => {
    const { post, send } = await world(t)
    const form = {
      grant_type: TOKEN_EXCHANGE,
      requested_token_type: TXN_TOKEN,
      audience: 'mesh',
      subject_token: '{}',
      subject_token_type: UNSIGNED_JSON,
    }
    for (const [change, reason] of [
      [{ grant_type: 'client_credentials' }, 'grant-type'],
      [{ requested_token_type: ACCESS_TOKEN }, 'requested-token-type'],
      [{ subject_token_type: 'urn:example' }, 'subject-token-type'],
      [{ request_details: '{"ttl":60,"claims":[],"more":1}' }, 'request-details'],
      [{ actor_token: 'x' }, 'unknown-parameter'],
    ] as const) {
      assert.equal(saidBy(await post(ORDERS, { ...form, ...change })), `400 invalid_request ${reason}`)
    }
    const twice = new URLSearchParams([...Object.entries(form), ['audience', 'mesh']])
    assert.equal(saidBy(await send(ORDERS, twice)), '400 invalid_request repeated-parameter')
  })
})
