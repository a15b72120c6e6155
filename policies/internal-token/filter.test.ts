import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import { INTERNAL_TOKENS, type LiveCaller } from '../../model/internal-tokens.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import type { Verdict } from '../../model/verdict.ts'
import { testDeps } from '../testing/deps.ts'
import { requestOf } from '../testing/request.ts'
import type { InternalTokenConfig } from './config.ts'
import { internalToken } from './filter.ts'
import { tokenServiceOf } from './issuer.ts'

const ORDERS = 'spiffe://mesh/ns/shop/sa/orders'
const KID = 'k1'

/** Tokens whose signature is the word `good`; all else about them is judged. */
const SIGNED = Buffer.from('good').toString('base64url')

const deps = {
  ...testDeps(),
  crypto: {
    sha256: (text: string) => createHash('sha256').update(text).digest('base64url'),
    importJwk: () => ({ kind: 'public-key' }) as const,
    verify: (_algorithm: string, _key: unknown, _input: string, signature: string) => signature === SIGNED,
  },
  keys: {
    generation: 1,
    keysOf: (name: string) => (name === INTERNAL_TOKENS ? [JWK] : undefined),
    refresh: () => Promise.resolve(),
  },
}
const JWK = {
  ...{ kty: 'EC', crv: 'P-256', kid: KID, alg: 'ES256', use: 'sig' },
  x: 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4',
  y: '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM',
}

const NOW = Math.floor(deps.clock.now() / 1_000)

function tokenOf(claims: Readonly<Record<string, unknown>> = {}, signature = SIGNED, typ = 'txntoken+jwt'): string {
  const payload = {
    ...{
      iss: 'mesh',
      aud: 'mesh',
      iat: NOW,
      exp: NOW + 120,
      txn: 't',
      sub: 'ann',
      scope: 'orders.read',
      req_wl: ORDERS,
    },
    ...claims,
  }
  const parts = [{ typ, alg: 'ES256', kid: KID }, payload]
  return [...parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')), signature].join('.')
}

function configOf(words: Partial<InternalTokenConfig> = {}): InternalTokenConfig {
  return {
    ...{ required: true, issuers: [tokenServiceOf('mesh')], scope: [] },
    ...({ subject: 'user', binding: 'caller', forward: 'strip' } as const),
    ...words,
  }
}

function judge(request: RequestView, words: Partial<InternalTokenConfig> = {}, facts: Facts = {}) {
  const compiled = internalToken.compile(configOf(words), deps)
  assert.ok(compiled.ok)
  return compiled.value(request, facts)
}

const calling = (...tokens: readonly string[]) => requestOf({ from: 'shop/orders', headers: { 'txn-token': tokens } })

function saidBy(verdict: Verdict): string {
  return verdict.kind === 'deny' ? `${verdict.denial.status} ${verdict.denial.name}` : verdict.kind
}

describe('internal tokens at a service', () => {
  it('are asked for where they are required, and exactly one', async () => {
    assert.equal(saidBy(await judge(calling())), '401 internal-token-missing')
    assert.equal(saidBy(await judge(calling(), { required: false })), 'continue')
    assert.equal(saidBy(await judge(calling(tokenOf()))), 'continue')
    assert.equal(saidBy(await judge(calling(tokenOf(), tokenOf()))), '400 two-internal-tokens')
  })

  it('tell the checks after this one whose call it is, and the application only where policy says so', async () => {
    const facts: Facts = {}
    await judge(calling(tokenOf({ tctx: { tenant: 'acme' } })), {}, facts)
    assert.deepEqual([facts.token?.subject, JSON.stringify(facts.token?.claims['tctx'])], ['ann', '{"tenant":"acme"}'])
    assert.deepEqual(facts.removeRequestHeaders, ['txn-token'])
    const kept: Facts = {}
    await judge(calling(tokenOf()), { forward: 'keep' }, kept)
    assert.equal(kept.removeRequestHeaders, undefined)
  })

  it('are refused if they are not of this trust domain, not transaction tokens, too long lived, or expired', async () => {
    for (const [token, said] of [
      [tokenOf({ aud: 'other' }), '401 internal-token-invalid'],
      [tokenOf({ iss: 'other' }), '401 internal-token-invalid'],
      [tokenOf({}, Buffer.from('bad').toString('base64url')), '401 internal-token-invalid'],
      [tokenOf({}, SIGNED, 'at+jwt'), '401 internal-token-invalid'],
      [tokenOf({ exp: NOW + 400 }), '401 internal-token-invalid'],
      [tokenOf({ iat: NOW - 300, exp: NOW - 100 }), '401 internal-token-expired'],
      ['x', '401 internal-token-invalid'],
    ] as const) {
      assert.equal(saidBy(await judge(calling(token), { required: false })), said)
    }
  })

  it('T26: are refused from any other caller than the one that they were made for', async () => {
    const other = requestOf({ from: 'shop/reviews', headers: { 'txn-token': tokenOf() } })
    const nobody = requestOf({ headers: { 'txn-token': tokenOf() } })
    for (const request of [other, nobody]) {
      assert.equal(saidBy(await judge(request)), '403 internal-token-replayed')
      assert.equal(saidBy(await judge(request, { binding: 'none' })), 'continue')
    }
    assert.equal(saidBy(await judge(calling(tokenOf({ req_wl: undefined })))), '403 internal-token-replayed')
  })

  it('must speak for a user and have all of the scope that is asked for', async () => {
    const own = calling(tokenOf({ sub: ORDERS }))
    assert.equal(saidBy(await judge(own)), '403 internal-token-without-user')
    assert.equal(saidBy(await judge(own, { subject: 'any' })), 'continue')
    const scope = ['orders.read', 'orders.write']
    assert.equal(saidBy(await judge(calling(tokenOf()), { scope })), '403 internal-token-scope')
    assert.equal(saidBy(await judge(calling(tokenOf({ scope: scope.join(' ') })), { scope })), 'continue')
  })

  it('are 503 while the keys of the token service were never received', async () => {
    const keys = { generation: 0, keysOf: () => undefined, refresh: () => Promise.resolve() }
    const compiled = internalToken.compile(configOf(), { ...deps, ...testDeps(), crypto: deps.crypto, keys })
    assert.ok(compiled.ok)
    assert.equal(saidBy(await compiled.value(calling(tokenOf()), {})), '503 internal-token-unverifiable')
  })

  it('say whose calls the workload makes while their request is in work, and are refused where that cannot be kept', async () => {
    const live = createLive()
    const ends: (() => void)[] = []
    const traced = { traceId: '1'.repeat(32), onEnd: (listener: () => void) => void ends.push(listener) }
    const ask = async (tokens: readonly string[], words: Partial<InternalTokenConfig> = {}) => {
      const compiled = internalToken.compile(configOf(words), { ...deps, liveRequests: live })
      assert.ok(compiled.ok)
      const request = requestOf({ from: 'shop/orders', headers: { 'txn-token': tokens }, ...traced })
      return saidBy(await compiled.value(request, {}))
    }
    assert.equal(await ask([tokenOf({ tctx: { a: 1 } })]), 'continue')
    assert.equal(await ask([], { required: false }), 'continue')
    assert.equal(await ask([]), '401 internal-token-missing')
    assert.equal(await ask([tokenOf({ req_wl: 'somebody' })]), '403 internal-token-replayed')
    assert.deepEqual(
      live.entered.map(([traceId, { identity, scope }]) => [traceId, identity, scope]),
      [
        [traced.traceId, '["ann",{"a":1},null]', ['orders.read']],
        [traced.traceId, '', []],
      ],
    )
    for (const end of ends) end()
    assert.equal(live.left, 2)
    live.isFull = true
    assert.equal(await ask([tokenOf()]), '503 too-many-live-requests')
  })

  it('are explained as they are judged', async () => {
    const words = fc.record({
      required: fc.boolean(),
      scope: fc.subarray(['orders.read', 'orders.write']),
      subject: fc.constantFrom<'user' | 'any'>('user', 'any'),
      binding: fc.constantFrom<'caller' | 'none'>('caller', 'none'),
    })
    const claims = fc.record({
      sub: fc.constantFrom('ann', ORDERS),
      scope: fc.constantFrom('', 'orders.read', 'orders.write orders.read'),
      req_wl: fc.constantFrom(ORDERS, 'spiffe://mesh/ns/shop/sa/edge'),
    })
    const tokens = fc.array(claims, { maxLength: 2 })
    await fc.assert(
      fc.asyncProperty(words, tokens, async (config, sent) => {
        const request = calling(...sent.map((each) => tokenOf(each)))
        const facts: Facts = {}
        const verdict = await judge(request, config, facts)
        const lines = internalToken.explain(configOf(config), request, facts)
        const denied = lines.filter(({ outcome }) => outcome === 'denied').map(({ denial }) => denial)
        assert.deepEqual(denied, verdict.kind === 'deny' ? [verdict.denial.name] : [])
      }),
      { numRuns: 200 },
    )
  })
})

/** Requests in work that a test looks at. */
function createLive() {
  const entered: (readonly [traceId: string, caller: LiveCaller])[] = []
  return {
    entered,
    left: 0,
    isFull: false,
    enter(traceId: string, caller: LiveCaller) {
      if (this.isFull) return undefined
      entered.push([traceId, caller])
      return () => void this.left++
    },
    callerOf: () => undefined,
  }
}
