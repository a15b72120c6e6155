import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { InternalTokens, IssuedToken, TokenFailure, WantedToken } from '../../model/internal-tokens.ts'
import type { Facts } from '../../model/request.ts'
import { CONTINUE, type Verdict } from '../../model/verdict.ts'
import { testDeps } from '../testing/deps.ts'
import { requestOf } from '../testing/request.ts'
import type { TokenExchangeConfig } from './config.ts'
import { tokenExchange } from './exchange.ts'

const CONFIG: TokenExchangeConfig = { scope: ['orders.read', 'orders.write'], ttlSeconds: 120, claims: ['/tenant'] }
const ISSUED: IssuedToken = { kind: 'issued', text: 'the internal token' }

function world(outcome: ReturnType<InternalTokens['tokenFor']> = ISSUED, { ...config } = CONFIG) {
  const wanted: WantedToken[] = []
  const compiled = tokenExchange.compile(config, {
    ...testDeps(),
    internalTokens: {
      tokenFor(each) {
        wanted.push(each)
        return outcome
      },
    },
  })
  assert.ok(compiled.ok)
  return { check: compiled.value, wanted }
}

function ofUser(claims: Readonly<Record<string, unknown>> = {}): Facts {
  return {
    token: { issuer: 'corp', iss: 'https://corp.example', subject: 'ann', claims, expiresAt: 0 },
    subject: { issuer: 'corp', text: "the user's token" },
  }
}

function saidBy(verdict: Verdict): string {
  return verdict.kind === 'deny' ? `${verdict.denial.status} ${verdict.denial.name}` : verdict.kind
}

describe('token exchange', () => {
  it("has a request go on with the internal token, and keeps the user's nowhere", () => {
    const { check, wanted } = world()
    const facts = ofUser({ scope: 'orders.read profile' })
    assert.equal(check(requestOf(), facts), CONTINUE)
    assert.deepEqual(facts.setRequestHeaders, [['txn-token', 'the internal token']])
    assert.equal(facts.subject, undefined)
    const { subject } = ofUser()
    assert.deepEqual(wanted, [{ subject, scope: ['orders.read'], ttlSeconds: 120, claims: ['/tenant'] }])
  })

  it("asks for the scope of the policy where the user's token has none, and for the user's where the policy has none", () => {
    const { check, wanted } = world()
    check(requestOf(), ofUser())
    assert.deepEqual(wanted[0]?.scope, CONFIG.scope)
    const { scope: _, ...open } = CONFIG
    const unbounded = world(ISSUED, open)
    unbounded.check(requestOf(), ofUser({ scope: ['b', 'a'] }))
    unbounded.check(requestOf(), ofUser())
    assert.deepEqual(
      unbounded.wanted.map(({ scope }) => scope),
      [['a', 'b'], []],
    )
  })

  it('has a request without a user go on with a token of the workload itself', async () => {
    const { check, wanted } = world(Promise.resolve(ISSUED))
    const facts: Facts = {}
    assert.equal(await check(requestOf(), facts), CONTINUE)
    assert.deepEqual(wanted, [{ scope: CONFIG.scope, ttlSeconds: 120, claims: [] }])
    assert.deepEqual(facts.setRequestHeaders, [['txn-token', 'the internal token']])
  })

  it('is 503 while no token can be had, and 403 where the token service gives none', async () => {
    const unavailable: TokenFailure = { kind: 'unavailable', detail: 'down' }
    assert.equal(saidBy(await world(unavailable).check(requestOf(), ofUser())), '503 internal-token-unavailable')
    const later = world(Promise.resolve<TokenFailure>({ kind: 'refused', detail: 'no' }))
    assert.equal(saidBy(await later.check(requestOf(), ofUser())), '403 internal-token-refused')
    const nobody = tokenExchange.compile(CONFIG, testDeps())
    assert.ok(nobody.ok)
    assert.equal(saidBy(await nobody.value(requestOf(), ofUser())), '503 internal-token-unavailable')
  })
})
