import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { BackendResponse, CallFailure } from '../../model/backend-calls.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import { CONTINUE, type Verdict } from '../../model/verdict.ts'
import { answered, failed, type ScriptedCalls, scriptedCalls } from '../testing/calls.ts'
import { testDeps } from '../testing/deps.ts'
import { requestOf } from '../testing/request.ts'
import type { AuthorizerConfig, ExternalAuthorizationConfig } from './config.ts'
import { externalAuthorization } from './filter.ts'

const AUTHORIZER: AuthorizerConfig = {
  upstream: 'shop/authorizer:80',
  authority: 'authorizer.shop.svc',
  protocol: 'http',
  timeoutMs: 1_000,
  failOpen: false,
  requestHeaders: ['authorization'],
  context: [],
}

function configOf(words: Partial<AuthorizerConfig> = {}): ExternalAuthorizationConfig {
  return { authorizers: [{ ...AUTHORIZER, ...words }], workload: 'shop/orders', exempt: [], exemptWithin: [] }
}

interface Asking {
  readonly calls: ScriptedCalls
  readonly counts: ReadonlyMap<string, number>
  advance(ms: number): void
  ask(request?: RequestView, facts?: Facts): Verdict | Promise<Verdict>
}

type Said = BackendResponse | CallFailure | Promise<BackendResponse | CallFailure>

function asking(words: Partial<AuthorizerConfig>, answer: (times: number) => Said): Asking {
  const deps = testDeps()
  const calls: ScriptedCalls = scriptedCalls(() => answer(calls.asked.length))
  const crypto = { ...deps.crypto, sha256: (text: string) => text }
  const compiled = externalAuthorization.compile(configOf(words), { ...deps, crypto, calls })
  assert.ok(compiled.ok, JSON.stringify(compiled))
  return {
    calls,
    counts: deps.counts,
    advance: deps.advance,
    ask: (request = requestOf(), facts = {}) => compiled.value(request, facts),
  }
}

const USER: Facts['token'] = {
  issuer: 'corp',
  iss: 'https://corp',
  subject: 'ann',
  claims: { sub: 'ann' },
  expiresAt: 2e9,
}

describe('a request that another service decides on', () => {
  it('passes where the service answers 2xx, and goes on with the headers that the policy names', async () => {
    const { ask, calls } = asking({ upstreamHeaders: ['x-user', 'x-group'] }, () =>
      answered(204, [
        ['x-user', 'ann'],
        ['x-secret', 'no'],
      ]),
    )
    const facts: Facts = {}
    const request = requestOf({
      method: 'POST',
      path: '/orders',
      query: 'a=1',
      from: 'shop/web',
      headers: { authorization: 'Bearer t', cookie: 'sid=1', 'x-group': 'forged' },
    })
    assert.equal(await ask(request, facts), CONTINUE)
    assert.deepEqual(facts.setRequestHeaders, [['x-user', 'ann']])
    assert.deepEqual(facts.removeRequestHeaders, ['x-user', 'x-group'])
    assert.deepEqual(facts.externalAnswers, [
      { filter: 'external-authorization', upstream: 'shop/authorizer:80', outcome: 'allowed', detail: '' },
    ])
    const [asked] = calls.asked
    assert.equal(`${asked?.request.method} ${asked?.request.path}`, 'POST /orders?a=1')
    assert.deepEqual(Object.fromEntries(asked?.request.headers ?? []), {
      authorization: 'Bearer t',
      'x-asked-host': 'orders.shop',
      'x-asked-ip': '192.0.2.1',
      'x-asked-method': 'POST',
      'x-asked-principal': 'spiffe://mesh/ns/shop/sa/web',
      'x-asked-scheme': 'https',
      'x-asked-uri': '/orders?a=1',
      'x-original-method': 'POST',
      'x-original-uri': '/orders?a=1',
    })
  })

  it('is refused with the status, body and chosen headers of any other answer', async () => {
    const { ask, calls } = asking({ path: '/verify' }, () =>
      answered(
        401,
        [
          ['www-authenticate', 'Basic'],
          ['content-type', 'text/plain'],
          ['x-internal', 'no'],
        ],
        'who are you?',
      ),
    )
    const verdict = await ask()
    assert.ok(verdict.kind === 'deny')
    assert.equal(verdict.denial.name, 'external-authorization-denied')
    assert.deepEqual(verdict.told, {
      status: 401,
      headers: [
        ['www-authenticate', 'Basic'],
        ['content-type', 'text/plain'],
      ],
      body: 'who are you?',
    })
    assert.equal(`${calls.asked[0]?.request.method} ${calls.asked[0]?.request.path}`, 'GET /verify')
  })

  it('tells the service nothing that policy strips, and what policy sets in its place', async () => {
    const { ask, calls } = asking({ requestHeaders: ['authorization', 'x-user', 'x-plain'] }, () => answered(200))
    const headers = { authorization: 'Bearer secret', 'x-user': 'forged', 'x-plain': ['a', 'b'] }
    const facts: Facts = { removeRequestHeaders: ['authorization', 'x-user'], setRequestHeaders: [['x-user', 'ann']] }
    await ask(requestOf({ headers }), facts)
    const told = calls.asked[0]?.request.headers.filter(([name]) => !/^x-(?:asked|original)-/.test(name))
    assert.deepEqual(told, [
      ['x-plain', 'a, b'],
      ['x-user', 'ann'],
    ])
  })

  it('is refused where there is no answer, whatever the reason', async () => {
    const reasons = ['no-upstream', 'unreachable', 'timeout', 'overloaded', 'reset', 'protocol', 'too-large'] as const
    for (const said of [...reasons.map(failed), answered(500), answered(503)]) {
      const { ask } = asking({}, () => said)
      const verdict = await ask()
      assert.ok(verdict.kind === 'deny' && verdict.denial.name === 'external-authorization-unavailable')
      assert.equal(verdict.denial.status, 503)
      assert.equal(verdict.told, undefined)
    }
  })

  it('is refused where there is nobody to ask at all', async () => {
    const compiled = externalAuthorization.compile(configOf({ failOpen: false }), testDeps())
    assert.ok(compiled.ok)
    const verdict = await compiled.value(requestOf(), {})
    assert.ok(verdict.kind === 'deny' && verdict.denial.name === 'external-authorization-unavailable')
  })

  it('passes without an answer only if the policy fails open, and never for what an attacker can bring about', async () => {
    const open = ['no-upstream', 'unreachable', 'timeout', 'reset'] as const
    for (const said of [...open.map(failed), answered(503)]) {
      const facts: Facts = {}
      const { ask, counts } = asking({ failOpen: true }, () => said)
      assert.equal(await ask(requestOf(), facts), CONTINUE)
      assert.equal(counts.get('requests_failed_open'), 1)
      assert.equal(facts.externalAnswers?.[0]?.outcome, 'failed-open')
    }
    for (const said of [failed('overloaded'), failed('protocol'), failed('too-large'), answered(403)]) {
      const verdict = await asking({ failOpen: true }, () => said).ask()
      assert.equal(verdict.kind, 'deny', JSON.stringify(said))
    }
  })

  it('is not asked about where it is exempt', async () => {
    const calls = scriptedCalls(() => answered(403))
    const config = { ...configOf(), exempt: [{ methods: ['GET'], paths: ['/healthz'] }] }
    const compiled = externalAuthorization.compile(config, { ...testDeps(), calls })
    assert.ok(compiled.ok)
    assert.equal(await compiled.value(requestOf({ path: '/healthz' }), {}), CONTINUE)
    assert.equal(calls.asked.length, 0)
    assert.equal((await compiled.value(requestOf({ path: '/healthz/x' }), {})).kind, 'deny')
  })

  it('needs the yes of the floor and of the policy, and is not asked about again after a no', async () => {
    const calls = scriptedCalls((upstream) => answered(upstream === 'floor' ? 200 : 403))
    const authorizers = ['floor', 'team', 'never'].map((upstream) => ({ ...AUTHORIZER, upstream }))
    const compiled = externalAuthorization.compile({ ...configOf(), authorizers }, { ...testDeps(), calls })
    assert.ok(compiled.ok)
    const facts: Facts = {}
    assert.equal((await compiled.value(requestOf(), facts)).kind, 'deny')
    assert.deepEqual(
      calls.asked.map(({ upstream }) => upstream),
      ['floor', 'team'],
    )
    assert.deepEqual(
      facts.externalAnswers?.map(({ outcome }) => outcome),
      ['allowed', 'denied'],
    )
  })

  it('takes no header from an answer that could split a message', async () => {
    const { ask } = asking({ upstreamHeaders: ['x-user'] }, () => answered(200, [['x-user', 'a\r\nx-admin: 1']]))
    const verdict = await ask()
    assert.ok(verdict.kind === 'deny' && verdict.denial.name === 'external-authorization-unavailable')
  })
})

describe('answers that are remembered', () => {
  const cache = { key: ['method', 'path'] as ('method' | 'path')[], ttlMs: 30_000 }

  it('are asked for once, and given without a wait', async () => {
    const { ask, calls } = asking({ cache, upstreamHeaders: ['x-user'] }, () => answered(200, [['x-user', 'ann']]))
    const [first, second]: Facts[] = [{}, {}]
    assert.equal(await ask(requestOf(), first), CONTINUE)
    const again = ask(requestOf(), second)
    assert.equal(again, CONTINUE, 'at once')
    assert.deepEqual(second, first)
    assert.equal(calls.asked.length, 1)
  })

  it('are of one caller alone: workload, user, client or address, and what the service was told', async () => {
    const { ask, calls } = asking({ cache }, () => answered(200))
    const who: readonly (readonly [RequestView, Facts])[] = [
      [requestOf({ from: 'shop/web' }), {}],
      [requestOf({ from: 'shop/cron' }), {}],
      [requestOf({ from: 'shop/web' }), { token: USER }],
      [requestOf({ from: 'shop/web' }), { token: { ...USER, claims: { sub: 'ann', role: 'admin' } } }],
      [requestOf({ from: 'shop/web' }), { client: { id: 'partner' } }],
      [requestOf(), {}],
      [requestOf({ clientIp: '192.0.2.2' }), {}],
      [requestOf({ headers: { authorization: 'Bearer a' } }), {}],
      [requestOf({ headers: { authorization: 'Bearer b' } }), {}],
      [requestOf({ path: '/other' }), {}],
      [requestOf({ method: 'PUT' }), {}],
    ]
    for (const [request, facts] of who) await ask(request, { ...facts })
    assert.equal(calls.asked.length, who.length)
    for (const [request, facts] of who) assert.equal(await ask(request, { ...facts }), CONTINUE)
    // The same question but for what the key does not name.
    assert.equal(await ask(requestOf({ query: 'b=2', host: 'other' }), {}), CONTINUE)
    assert.equal(calls.asked.length, who.length)
  })

  it('live as long as the policy says, denials half of it and 5 s at most, and failures not at all', async () => {
    const allowing = asking({ cache }, () => answered(200))
    await allowing.ask()
    allowing.advance(29_999)
    await allowing.ask()
    assert.equal(allowing.calls.asked.length, 1)
    allowing.advance(1)
    await allowing.ask()
    assert.equal(allowing.calls.asked.length, 2)

    const denying = asking({ cache }, () => answered(403))
    await denying.ask()
    denying.advance(4_999)
    assert.equal((await denying.ask()).kind, 'deny')
    assert.equal(denying.calls.asked.length, 1)
    denying.advance(1)
    await denying.ask()
    assert.equal(denying.calls.asked.length, 2)

    const failing = asking({ cache, failOpen: true }, () => failed('timeout'))
    await failing.ask()
    await failing.ask()
    assert.equal(failing.calls.asked.length, 2)
  })

  it('are asked for once by all who ask at the same time', async () => {
    let answer: (said: BackendResponse) => void = () => {}
    const { ask, calls } = asking({ cache }, () => new Promise((resolve) => (answer = resolve)))
    const all = Promise.all(Array.from({ length: 5 }, () => ask()))
    await new Promise(setImmediate)
    answer(answered(200))
    assert.deepEqual(await all, Array(5).fill(CONTINUE))
    assert.equal(calls.asked.length, 1)
  })

  it('are given up once everybody who waits has gone, and not before', async () => {
    const { ask, calls } = asking({ cache }, () => new Promise(() => {}))
    const leave: (() => void)[] = []
    const waiting = (): RequestView => ({
      ...requestOf(),
      onAbandoned(listener) {
        leave.push(listener)
        return () => {}
      },
    })
    const both = Promise.all([ask(waiting()), ask(waiting())])
    await new Promise(setImmediate)
    assert.equal(calls.asked.length, 1)
    leave[0]?.()
    assert.equal(calls.abandoned, 0)
    leave[1]?.()
    assert.equal(calls.abandoned, 1)
    for (const verdict of await both) assert.equal(verdict.kind, 'deny')
  })
})

describe('an explanation of external authorization', () => {
  it('ends as the decision did', async () => {
    const said = [answered(200), answered(401), failed('timeout'), failed('overloaded')]
    for (const failOpen of [false, true]) {
      for (const answer of said) {
        const { ask } = asking({ failOpen }, () => answer)
        const facts: Facts = {}
        const verdict = await ask(requestOf(), facts)
        const lines = externalAuthorization.explain(configOf({ failOpen }), requestOf(), facts)
        const denial = lines.find(({ outcome }) => outcome === 'denied')?.denial
        assert.equal(denial, verdict.kind === 'deny' ? verdict.denial.name : undefined)
      }
    }
  })

  it('says that nobody was asked where nobody was, and that this is no yes', () => {
    const lines = externalAuthorization.explain(configOf(), requestOf(), {})
    assert.deepEqual(
      lines.map(({ outcome, got }) => [outcome, got]),
      [['denied', 'nobody was asked']],
    )
  })
})
