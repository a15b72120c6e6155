import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import type { Facts } from '../../model/request.ts'
import type { Verdict } from '../../model/verdict.ts'
import { attached, contextOf, levelsOf, meshWide } from '../testing/context.ts'
import { testDeps } from '../testing/deps.ts'
import { type RequestWords, requestOf } from '../testing/request.ts'
import { schemaFaults } from '../testing/schema-conventions.ts'
import { cors } from './filter.ts'
import { parseOriginPattern } from './origin-pattern.ts'
import { type CorsSpec, corsSection } from './section.ts'

function run(spec: CorsSpec, words: RequestWords): { verdict: Verdict; facts: Facts } {
  const combined = corsSection.combine(levelsOf({ policies: [attached('p', spec)] }), contextOf())
  assert.ok(combined)
  const decoded = cors.decode(JSON.parse(JSON.stringify(combined.value)))
  assert.ok(decoded.ok)
  const check = cors.compile(decoded.value, testDeps())
  assert.ok(check.ok)
  const facts: Facts = {}
  const request = requestOf(words)
  const verdict = check.value(request, facts)
  assert.ok(!(verdict instanceof Promise))
  const isDenied = cors.explain(decoded.value, request, {}).some(({ outcome }) => outcome === 'denied')
  assert.equal(isDenied, verdict.kind === 'deny', 'explained as decided')
  return { verdict, facts }
}

const spec: CorsSpec = {
  allowOrigins: ['https://shop.example', 'https://*.shop.example'],
  allowMethods: ['GET', 'PUT'],
  allowHeaders: ['X-Tenant', 'authorization'],
  exposeHeaders: ['x-total'],
  allowCredentials: true,
  maxAge: '10m',
}

function preflight(origin: string, method: string, headers?: string): RequestWords {
  return {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': method,
      ...(headers !== undefined && { 'access-control-request-headers': headers }),
    },
  }
}

describe('cors', () => {
  it('answers a preflight of an origin that is listed', () => {
    const { verdict } = run(spec, preflight('https://a.b.shop.example', 'PUT', 'x-tenant, Authorization'))
    assert.deepEqual(verdict, {
      kind: 'answer',
      status: 204,
      headers: [
        ['access-control-allow-origin', 'https://a.b.shop.example'],
        ['access-control-max-age', '600'],
        ['access-control-allow-credentials', 'true'],
        ['access-control-allow-methods', 'GET, PUT'],
        ['access-control-allow-headers', 'x-tenant, authorization'],
        ['vary', 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers'],
      ],
    })
  })

  for (const [why, words] of [
    ['the origin', preflight('https://evil.example', 'GET')],
    ['the scheme of the origin', preflight('http://shop.example', 'GET')],
    ['the port of the origin', preflight('https://shop.example:8443', 'GET')],
    ['an origin that is null', preflight('null', 'GET')],
    ['the method', preflight('https://shop.example', 'DELETE')],
    ['a header', preflight('https://shop.example', 'PUT', 'x-tenant, x-other')],
    [
      'a second origin',
      {
        method: 'OPTIONS',
        headers: { origin: ['https://shop.example', 'https://evil.example'], 'access-control-request-method': 'GET' },
      },
    ],
  ] as const) {
    it(`refuses a preflight by ${why}`, () => {
      const { verdict } = run(spec, words)
      assert.equal(verdict.kind === 'deny' && verdict.denial.name, 'cors-not-allowed')
    })
  }

  it('lets a call of a listed origin pass and its page read the answer', () => {
    const { verdict, facts } = run(spec, { headers: { origin: 'https://shop.example' } })
    assert.equal(verdict.kind, 'continue')
    assert.deepEqual(facts.setResponseHeaders, [
      ['access-control-allow-origin', 'https://shop.example'],
      ['access-control-allow-credentials', 'true'],
      ['access-control-expose-headers', 'x-total'],
    ])
    assert.deepEqual(facts.addResponseHeaders, [['vary', 'Origin']])
  })

  it('lets any other call pass without a word, but for caches', () => {
    for (const headers of [{}, { origin: 'https://evil.example' }]) {
      const { verdict, facts } = run(spec, { headers })
      assert.equal(verdict.kind, 'continue')
      assert.equal(facts.setResponseHeaders, undefined)
      assert.deepEqual(facts.addResponseHeaders, [['vary', 'Origin']])
    }
  })

  it('says * to everybody where every origin is allowed', () => {
    const open: CorsSpec = { allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'] }
    const { verdict } = run(open, preflight('null', 'PATCH', 'x-any'))
    assert.equal(verdict.kind, 'answer')
    assert.deepEqual(
      verdict.kind === 'answer' && verdict.headers.filter(([name]) => name.startsWith('access-control-allow')),
      [
        ['access-control-allow-origin', '*'],
        ['access-control-allow-methods', '*'],
        ['access-control-allow-headers', '*'],
      ],
    )
    assert.equal(run(open, preflight('null', 'PATCH', 'authorization')).verdict.kind, 'deny')
    const { facts } = run(open, { headers: { origin: 'https://any.example' } })
    assert.deepEqual(facts.setResponseHeaders, [['access-control-allow-origin', '*']])
    assert.equal(facts.addResponseHeaders, undefined)
  })

  it('with credentials names what was asked for, because * is no wildcard then', () => {
    const wide = { ...spec, allowMethods: ['*'], allowHeaders: ['*', 'authorization'] }
    const { verdict } = run(wide, preflight('https://shop.example', 'PATCH', 'x-a,authorization'))
    assert.ok(verdict.kind === 'answer')
    assert.deepEqual(
      verdict.headers.find(([name]) => name === 'access-control-allow-methods'),
      ['access-control-allow-methods', 'PATCH'],
    )
    assert.deepEqual(
      verdict.headers.find(([name]) => name === 'access-control-allow-headers'),
      ['access-control-allow-headers', 'x-a,authorization'],
    )
  })

  it('takes OPTIONS without Access-Control-Request-Method for an ordinary call', () => {
    const { verdict } = run(spec, { method: 'OPTIONS', headers: { origin: 'https://shop.example' } })
    assert.equal(verdict.kind, 'continue')
  })

  it('never allows credentials for every origin', () => {
    const config = {
      allowOrigins: ['*'],
      allowMethods: [],
      allowHeaders: [],
      exposeHeaders: [],
      allowCredentials: true,
      maxAgeSeconds: 5,
    }
    const decoded = cors.decode(config)
    assert.ok(decoded.ok)
    assert.ok(!cors.compile(decoded.value, testDeps()).ok)
    assert.equal(corsSection.review({ allowOrigins: ['*'], allowCredentials: true })[0]?.path, 'cors.allowCredentials')
  })
})

describe('an origin pattern', () => {
  for (const text of [
    'shop.example',
    'https://',
    'https://shop.example/',
    'https://Shop.example',
    'https://shop.example:443',
    'https://*',
    'https://*.',
    'https://a.*.example',
    'https://user@shop.example',
    'null',
    '',
  ]) {
    it(`is not ${JSON.stringify(text)}`, () => assert.ok(!parseOriginPattern(text).ok))
  }

  it('takes addresses and localhost to the letter', () => {
    for (const text of ['http://localhost:3000', 'http://127.0.0.1:8080', 'http://[::1]:8080']) {
      const parsed = parseOriginPattern(text)
      assert.ok(parsed.ok && parsed.value.matches(text), text)
    }
  })

  it('with a wildcard matches hosts below its own only, whatever else an origin holds', () => {
    const parsed = parseOriginPattern('https://*.shop.example')
    assert.ok(parsed.ok)
    const piece = fc.constantFrom('https://', 'http://', 'a', '.', '.shop.example', 'evil', ':1', '/', '@', '?', 'shop')
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 6 }).map((parts) => parts.join('')),
        (origin) => {
          if (!parsed.value.matches(origin)) return
          const { protocol, hostname, port, username, pathname } = new URL(origin)
          assert.deepEqual([protocol, port, username, pathname], ['https:', '', '', '/'])
          assert.ok(hostname.endsWith('.shop.example'), origin)
        },
      ),
    )
  })
})

describe('the cors section', () => {
  it('keeps to the conventions of our CRDs', () => {
    assert.deepEqual(schemaFaults('cors', corsSection.schema['cors'] ?? {}), [])
  })

  it('has one winner: the floor, else the most specific policy, else the defaults', () => {
    const said = (maxAge: string): CorsSpec => ({ allowOrigins: ['*'], maxAge })
    const settle = (words: Parameters<typeof levelsOf<CorsSpec>>[0]) =>
      corsSection.combine(levelsOf(words), contextOf())
    const policies = [attached('first', said('1s')), attached('second', said('2s'))]
    const defaults = [meshWide('d', said('4s'))]
    assert.equal(settle({ defaults })?.value.maxAgeSeconds, 4)
    const chosen = settle({ policies, defaults })
    assert.equal(chosen?.value.maxAgeSeconds, 1)
    assert.deepEqual(
      chosen?.overridden?.map(({ loser, winner }) => [loser.name, winner.name]),
      [['second', 'first']],
    )
    assert.equal(settle({ floor: [meshWide('f', said('3s'))], policies })?.value.maxAgeSeconds, 3)
    assert.equal(settle({}), undefined)
  })

  it('finds origins and ages that are none', () => {
    const issues = corsSection.review({ allowOrigins: ['https://ok.example', 'nope'], maxAge: '48h' })
    assert.deepEqual(
      issues.map(({ path }) => path),
      ['cors.allowOrigins[1]', 'cors.maxAge'],
    )
  })
})
