import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import { type RequestWords, requestOf } from '../testing/request.ts'
import { parseWhen, type WhenExpression, type WhenOutcome } from './when-expression.ts'

interface World {
  readonly claims?: Record<string, unknown>
  readonly variables?: Record<string, string>
  readonly request?: RequestWords
}

function when(text: string): WhenExpression {
  const parsed = parseWhen(text)
  assert.ok(parsed.ok, `${text}: ${parsed.ok ? '' : parsed.issues[0]?.message}`)
  return parsed.value
}

function evaluate(text: string, { claims, variables = {}, request = {} }: World = {}): WhenOutcome {
  const facts =
    claims === undefined ? {} : { token: { issuer: 'corp', iss: 'https://corp', claims, expiresAt: 2_000_000_000 } }
  return when(text).evaluate(requestOf(request), facts, variables)
}

function isError(outcome: WhenOutcome): boolean {
  return typeof outcome !== 'boolean'
}

describe('a when expression', () => {
  it('sees claims, path variables, request and source', () => {
    const world: World = {
      claims: {
        sub: 'u1',
        scope: 'orders:read orders:write',
        level: 3,
        share: 0.5,
        org: { dept: 'eng' },
        roles: ['a'],
      },
      variables: { userId: 'u1' },
      request: {
        from: 'shop/storefront',
        method: 'POST',
        path: '/users/u1',
        query: 'page=2&sort=asc',
        headers: { 'x-tenant': 'acme' },
      },
    }
    for (const text of [
      "claims.sub == path.userId && 'orders:read' in claims.scope",
      'claims.level >= 3 && claims.level + 1 == 4 && claims.share < 1',
      "claims.org.dept == 'eng' && has(claims.org.dept) && !has(claims.org.team)",
      "claims.roles.exists(r, r == 'a') && claims.roles.all(r, r.startsWith('a')) && size(claims.roles) == 1",
      "request.method == 'POST' && request.path.startsWith('/users/') && request.host == 'orders.shop'",
      "request.port == 80 && request.scheme == 'https'",
      "request.headers['X-Tenant'] == 'acme' && request.query.page == '2' && 'sort' in request.query",
      "source.namespace == 'shop' && source.serviceAccount == 'storefront' && source.trustDomain == 'mesh'",
      "source.spiffeId == 'spiffe://mesh/ns/shop/sa/storefront' && source.ip == '192.0.2.1'",
    ]) {
      assert.equal(evaluate(text, world), true, text)
    }
    assert.equal(evaluate("claims.sub == 'u2'", world), false)
  })

  it('is an error, not false, where it reads what is not there', () => {
    for (const text of [
      "claims.sub != 'x'",
      "source.namespace != 'dev'",
      "request.headers['x-role'] != 'admin'",
      "request.query.tenant != 'x'",
      "path.userId != 'x'",
    ]) {
      assert.ok(isError(evaluate(text)), text)
    }
    assert.equal(evaluate('has(claims.sub)'), false)
    assert.equal(evaluate('has(source.namespace)'), false)
  })

  it('is an error where it comes to something else than a bool', () => {
    assert.ok(isError(evaluate('claims.admin', { claims: { admin: 'yes' } })))
    assert.equal(evaluate('claims.admin', { claims: { admin: true } }), true)
  })

  it('takes a header or parameter that was sent twice for one without a value', () => {
    const request = { headers: { 'x-role': ['user', 'admin'] }, query: 'tenant=a&tenant=b' }
    assert.ok(isError(evaluate("request.headers['x-role'] == 'user'", { request })))
    assert.ok(isError(evaluate("request.query.tenant == 'a'", { request })))
    assert.equal(evaluate("'x-role' in request.headers", { request }), false)
  })

  it('finds no members on prototypes', () => {
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
      assert.ok(isError(evaluate(`claims['${name}'] == 'x'`, { claims: {} })), name)
    }
    const odd = JSON.parse('{"__proto__": {"admin": true}, "constructor": "x"}')
    assert.ok(isError(evaluate('claims.admin', { claims: odd })))
    assert.equal(evaluate("claims.constructor == 'x'", { claims: odd }), true)
  })

  it('names the path variables that it reads, and whether a TCP connection has all that it reads', () => {
    assert.deepEqual(when("path.a == 'x' && path['b'] == path.a").pathVariables, ['a', 'b'])
    assert.equal(when("source.namespace == 'shop'").fitsTcp, true)
    assert.equal(when("source.namespace == 'shop' && has(claims.sub)").fitsTcp, false)
    assert.equal(when("request.method == 'GET'").fitsTcp, false)
    assert.equal(when("path.a == 'x'").fitsTcp, false)
    assert.equal(when("'a' in request.query").fitsTcp, false)
  })

  for (const [text, why] of [
    ['claims.sub ==', 'no CEL'],
    ["'yes'", 'no bool'],
    ['request.mehtod == 1', 'unknown field'],
    ['request.method == 1', 'type error'],
    ["claim.sub == 'x'", 'unknown variable'],
    ["claims.sub.matches('(a+)+$')", 'backtracks'],
    ['claims.a.all(x, claims.b.all(y, x == y))', 'nested macro'],
    ['claims.a.map(x, x).size() > 0', 'builds lists'],
    ["cel.bind(h, request.headers, h['x'] == 'y')", 'alias of headers'],
    ["request.headers.exists(h, h == 'x')", 'lists headers'],
    ["request.headers[claims.name] == 'x'", 'computed name'],
    ['size(request.query) == 0', 'counts parameters'],
    ["request['method'] == 'GET'", 'request as a whole'],
    ['request == request', 'request as a whole'],
    [`${'('.repeat(40)}true${')'.repeat(40)}`, 'too deep'],
    [`claims.sub in [${Array(200).fill("'x'")}]`, 'too long a list'],
    [`${'true && '.repeat(200)}true`, 'too many nodes'],
    [`'${'x'.repeat(2048)}' == 'x'`, 'too long'],
  ] as const) {
    it(`is refused: ${why}`, () => {
      const parsed = parseWhen(text)
      assert.ok(!parsed.ok)
      assert.equal(parsed.issues[0]?.code, 'malformed-when')
    })
  }

  it('tells the first part that is not true, and its operands', () => {
    const expression = when("'orders:read' in claims.scope && claims.sub == path.userId")
    const facts = {
      token: { issuer: 'corp', iss: 'corp', claims: { sub: 'u1', scope: 'orders:read' }, expiresAt: 0 },
    }
    assert.deepEqual(expression.firstFailure(requestOf(), facts, { userId: 'u2' }), {
      expression: 'claims.sub == path.userId',
      outcome: 'false; claims.sub is "u1"; path.userId is "u2"',
    })
    assert.equal(expression.firstFailure(requestOf(), facts, { userId: 'u1' }), undefined)
  })

  it('never throws, whatever is written', () => {
    const word = fc.constantFrom(
      ...['claims', '.', 'sub', '==', "'x'", '(', ')', '[', ']', '&&', '!', 'request', 'headers', 'has', '1', ',', '?'],
      ...['all', 'in', '{', '}', ':', '"', '\\', ' '],
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(word, { maxLength: 12 }).map((words) => words.join('')),
        ),
        (text) => {
          const parsed = parseWhen(text)
          if (parsed.ok) parsed.value.evaluate(requestOf(), {}, {})
        },
      ),
    )
  })
})
