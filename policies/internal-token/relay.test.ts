import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { LiveCaller, LiveRequests, WantedToken } from '../../model/internal-tokens.ts'
import type { Facts } from '../../model/request.ts'
import { CONTINUE } from '../../model/verdict.ts'
import { testDeps } from '../testing/deps.ts'
import { requestOf } from '../testing/request.ts'
import type { TokenRelayConfig } from './config.ts'
import { tokenRelay } from './relay.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const ANN: LiveCaller = {
  subject: { issuer: 'internal', text: 'token of ann' },
  identity: 'ann',
  scope: ['orders.read', 'orders.write'],
  expiresAt: 100,
}

function world(
  live: Partial<Record<string, LiveCaller | 'several'>> | undefined,
  config: Partial<TokenRelayConfig> = {},
) {
  const wanted: WantedToken[] = []
  const liveRequests: LiveRequests = { enter: () => () => {}, callerOf: (traceId) => live?.[traceId] }
  const compiled = tokenRelay.compile(
    { ttlSeconds: 120, ...config },
    {
      ...testDeps(),
      ...(live !== undefined && { liveRequests }),
      internalTokens: {
        tokenFor(each) {
          wanted.push(each)
          return { kind: 'issued', text: 'the token' }
        },
      },
    },
  )
  assert.ok(compiled.ok)
  return { check: compiled.value, wanted }
}

describe("a workload's own calls", () => {
  it('go on with a token for whom the request of their trace is, with no more scope than that has', () => {
    const { check, wanted } = world({ [TRACE]: ANN })
    const facts: Facts = {}
    assert.equal(check(requestOf({ traceId: TRACE }), facts), CONTINUE)
    assert.deepEqual(facts.setRequestHeaders, [['txn-token', 'the token']])
    assert.deepEqual(wanted, [{ subject: ANN.subject, scope: ANN.scope, ttlSeconds: 120, claims: [] }])
    const narrow = world({ [TRACE]: ANN }, { scope: ['admin', 'orders.read'] })
    narrow.check(requestOf({ traceId: TRACE }), {})
    assert.deepEqual(narrow.wanted[0]?.scope, ['orders.read'])
  })

  it('go on with a token of the workload itself where no request of their trace is in work', () => {
    const nobody: LiveCaller = { identity: '', scope: [], expiresAt: 0 }
    for (const [live, traceId] of [
      [{ [TRACE]: ANN }, '1'.repeat(32)],
      [{ [TRACE]: ANN }, undefined],
      [{ [TRACE]: nobody }, TRACE],
      [undefined, TRACE],
    ] as const) {
      const { check, wanted } = world(live, { scope: ['own'] })
      assert.equal(check(requestOf({ traceId }), {}), CONTINUE)
      assert.deepEqual(wanted, [{ scope: ['own'], ttlSeconds: 120, claims: [] }])
    }
    const bare = world({})
    bare.check(requestOf({ traceId: TRACE }), {})
    assert.deepEqual(bare.wanted[0]?.scope, [])
  })

  it('T34: are refused, and get no token, where requests of different users have their trace id', () => {
    const { check, wanted } = world({ [TRACE]: 'several' })
    const facts: Facts = {}
    const verdict = check(requestOf({ traceId: TRACE }), facts)
    assert.ok(!(verdict instanceof Promise) && verdict.kind === 'deny')
    assert.deepEqual([verdict.denial.status, verdict.denial.name], [403, 'internal-token-ambiguous'])
    assert.deepEqual([wanted, facts], [[], {}])
  })
})
