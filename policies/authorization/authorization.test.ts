import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Facts, RequestView } from '../../model/request.ts'
import type { Levels, SectionContext } from '../../model/section.ts'
import type { Verdict } from '../../model/verdict.ts'
import { attached, contextOf, levelsOf, meshWide } from '../testing/context.ts'
import { testDeps } from '../testing/deps.ts'
import { requestOf } from '../testing/request.ts'
import type { AuthorizationConfig } from './config.ts'
import { authorization } from './filter.ts'
import { type AuthorizationSpec, authorizationSection } from './section.ts'

type Words = Partial<Levels<AuthorizationSpec>>

function configOf(words: Words, context: Partial<SectionContext> = {}): AuthorizationConfig {
  const combined = authorizationSection.combine(levelsOf(words), contextOf(context))
  assert.ok(combined)
  const config = authorizationSection.translate(combined.value, contextOf(context))
  assert.ok(config.ok)
  return config.value
}

function decider(words: Words, context: Partial<SectionContext> = {}) {
  const decoded = authorization.decode(JSON.parse(JSON.stringify(configOf(words, context))))
  assert.ok(decoded.ok)
  const check = authorization.compile(decoded.value, testDeps())
  assert.ok(check.ok, JSON.stringify(check))
  return (request: RequestView, facts: Facts = {}) => check.value(request, facts) as Verdict
}

function one(spec: AuthorizationSpec) {
  return decider({ policies: [attached('orders', spec)] })
}

/** `allowed`, or the denial with the rule that refused. */
function outcome(verdict: Verdict): string {
  if (verdict.kind === 'continue') return 'allowed'
  assert.equal(verdict.kind, 'deny')
  assert.equal(verdict.denial.status, 403)
  return verdict.rule === undefined ? verdict.denial.name : `${verdict.denial.name} ${verdict.rule}`
}

function tokenFacts(claims: Record<string, unknown>, issuer = 'corp'): Facts {
  return { token: { issuer, iss: 'https://corp', claims, expiresAt: 2_000_000_000 } }
}

const storefront = requestOf({ from: 'shop/storefront' })
const stranger = requestOf({ from: 'dev/toolbox' })
const outsider = requestOf()

describe('authorization', () => {
  it('lets a service account pass that a rule allows, and names the rule', () => {
    const decide = one({ allow: [{ name: 'shop-only', from: { serviceAccounts: ['shop/storefront'] } }] })
    const facts: Facts = {}
    assert.equal(outcome(decide(storefront, facts)), 'allowed')
    assert.equal(facts.rule, 'shop-only')
    assert.equal(outcome(decide(stranger)), 'not-allowed')
    assert.equal(outcome(decide(outsider)), 'not-allowed')
  })

  it('reads a service account without a namespace as one of the policy, or of the workload in a mesh-wide policy', () => {
    const spec = { allow: [{ name: 'a', from: { serviceAccounts: ['storefront'] } }] }
    assert.equal(outcome(one(spec)(storefront)), 'allowed')
    assert.equal(outcome(decider({ floor: [meshWide('base', spec)] })(storefront)), 'allowed')
    assert.equal(outcome(one(spec)(requestOf({ from: 'dev/storefront' }))), 'not-allowed')
  })

  it('T05: takes short names for those of its own trust domain', () => {
    const foreign = requestOf({ from: 'spiffe://other/ns/shop/sa/storefront' })
    for (const from of [{ serviceAccounts: ['shop/storefront'] }, { namespaces: ['shop'] }]) {
      assert.equal(outcome(one({ allow: [{ name: 'a', from }] })(storefront)), 'allowed')
      assert.equal(outcome(one({ allow: [{ name: 'a', from }] })(foreign)), 'not-allowed')
    }
    const byId = one({ allow: [{ name: 'a', from: { spiffeIds: ['spiffe://other/ns/shop/sa/storefront'] } }] })
    assert.equal(outcome(byId(foreign)), 'allowed')
    const byDomain = one({ allow: [{ name: 'a', from: { trustDomains: ['other'] } }] })
    assert.equal(outcome(byDomain(foreign)), 'allowed')
    assert.equal(outcome(byDomain(storefront)), 'not-allowed')
  })

  it('compares identities as strings, never as patterns', () => {
    const decide = one({ allow: [{ name: 'a', from: { spiffeIds: ['spiffe://mesh/ns/sh.p/sa/storefront'] } }] })
    assert.equal(outcome(decide(storefront)), 'not-allowed')
    assert.equal(outcome(decide(requestOf({ from: 'spiffe://mesh/ns/sh.p/sa/storefront' }))), 'allowed')
  })

  it('adds up the fields of a rule and takes the values of one as alternatives', () => {
    const decide = one({
      allow: [
        {
          name: 'a',
          from: { namespaces: ['shop', 'dev'], ipBlocks: ['10.0.0.0/8'] },
          to: { methods: ['GET', 'POST'], hosts: ['*.shop'], ports: [80] },
        },
      ],
    })
    const good = { from: 'dev/toolbox', clientIp: '10.1.2.3', method: 'POST', host: 'orders.shop' }
    assert.equal(outcome(decide(requestOf(good))), 'allowed')
    for (const bad of [
      { from: 'prod/x' },
      { clientIp: '11.0.0.1' },
      { method: 'PUT' },
      { host: 'shop' },
      { port: 8080 },
    ]) {
      assert.equal(outcome(decide(requestOf({ ...good, ...bad }))), 'not-allowed')
    }
  })

  it('lets deny win over allow, with the rule and the policy that denied', () => {
    const decide = one({
      deny: [{ name: 'no-dev', from: { namespaces: ['dev'] } }],
      allow: [{ name: 'all' }],
    })
    const verdict = decide(stranger)
    assert.equal(outcome(verdict), 'denied-by-rule no-dev')
    assert.equal(verdict.kind === 'deny' && verdict.origin, 'shop/orders@1')
    assert.equal(outcome(decide(storefront)), 'allowed')
  })

  it('matches claims of a verified token, and none without one', () => {
    const spec = {
      allow: [
        {
          name: 'a',
          from: {
            issuers: ['corp'],
            claims: [
              { claim: '/scope', values: ['orders:read'] },
              { claim: '/org/dept', values: ['eng', '7'] },
            ],
          },
        },
      ],
    }
    const decide = one(spec)
    const claims = { scope: 'openid orders:read', org: { dept: ['ops', 'eng'] } }
    assert.equal(outcome(decide(outsider, tokenFacts(claims))), 'allowed')
    assert.equal(outcome(decide(outsider, tokenFacts({ ...claims, org: { dept: 7 } }))), 'allowed')
    assert.equal(outcome(decide(outsider, tokenFacts({ ...claims, org: { dept: { eng: true } } }))), 'not-allowed')
    assert.equal(outcome(decide(outsider, tokenFacts({ ...claims, scope: 'orders:readwrite' }))), 'not-allowed')
    assert.equal(outcome(decide(outsider, tokenFacts(claims, 'partner'))), 'not-allowed')
    assert.equal(outcome(decide(outsider)), 'not-allowed')
    const forbidding = one({ default: 'Allow', deny: spec.allow })
    assert.equal(outcome(forbidding(outsider)), 'allowed')
    assert.equal(outcome(forbidding(outsider, tokenFacts(claims))), 'denied-by-rule a')
  })

  it('matches the client of an API key, and nobody without one', () => {
    const allow = [{ name: 'partners', from: { clients: ['acme', 'globex'] } }]
    const decide = one({ allow })
    assert.equal(outcome(decide(outsider, { client: { id: 'globex' } })), 'allowed')
    assert.equal(outcome(decide(outsider, { client: { id: 'initech' } })), 'not-allowed')
    assert.equal(outcome(decide(outsider)), 'not-allowed')
    const forbidding = one({ default: 'Allow', deny: allow })
    assert.equal(outcome(forbidding(outsider)), 'allowed')
    assert.equal(outcome(forbidding(outsider, { client: { id: 'acme' } })), 'denied-by-rule partners')
    assert.equal(authorization.since?.(configOf({ policies: [attached('orders', { allow })] })), 3)
    assert.equal(authorization.since?.(configOf({ policies: [attached('orders', { allow: [] })] })), 1)
  })

  it("lets users see what is theirs: claims.sub == path.userId on '/users/{userId}/orders'", () => {
    const decide = one({
      allow: [
        {
          name: 'own-orders',
          to: { methods: ['GET'], paths: ['/users/{userId}/orders'] },
          when: "claims.sub == path.userId && 'orders:read' in claims.scope",
        },
      ],
    })
    const facts = tokenFacts({ sub: 'ann@x', scope: 'orders:read' })
    assert.equal(outcome(decide(requestOf({ path: '/users/ann%40x/orders' }), facts)), 'allowed')
    assert.equal(facts.rule, 'own-orders')
    assert.equal(outcome(decide(requestOf({ path: '/users/bob/orders' }), facts)), 'not-allowed')
    assert.equal(outcome(decide(requestOf({ path: '/users/ann%40x/orders' }))), 'not-allowed')
  })

  it('tries every path that matches for its when', () => {
    const decide = one({ allow: [{ name: 'a', to: { paths: ['/{a}/x', '/x/{a}'] }, when: "path.a == 'me'" }] })
    assert.equal(outcome(decide(requestOf({ path: '/x/me' }))), 'allowed')
    assert.equal(outcome(decide(requestOf({ path: '/me/x' }))), 'allowed')
    assert.equal(outcome(decide(requestOf({ path: '/x/x' }))), 'not-allowed')
  })

  it('lets an expression that cannot be evaluated only deny', () => {
    const when = 'claims.level >= 3'
    assert.equal(outcome(one({ allow: [{ name: 'a', when }] })(outsider)), 'not-allowed')
    assert.equal(outcome(one({ default: 'Allow', deny: [{ name: 'd', when }] })(outsider)), 'denied-by-rule d')
    assert.equal(
      outcome(one({ default: 'Allow', deny: [{ name: 'd', when }] })(outsider, tokenFacts({ level: 1 }))),
      'allowed',
    )
  })

  it('lets an address that cannot be read only deny', () => {
    const from = { ipBlocks: ['10.0.0.0/8'] }
    const odd = requestOf({ clientIp: 'fe80::1%eth0' })
    assert.equal(outcome(one({ allow: [{ name: 'a', from }] })(odd)), 'not-allowed')
    assert.equal(outcome(one({ default: 'Allow', deny: [{ name: 'd', from }] })(odd)), 'denied-by-rule d')
  })

  it('T17: a deny rule covers every spelling that an application may take for the path, an allow rule none of them', () => {
    const to = { paths: ['/admin/{**}'] }
    const deny = one({ default: 'Allow', deny: [{ name: 'no-admin', to }] })
    const allow = one({ allow: [{ name: 'admin', to }] })
    for (const path of ['/Admin/users', '/ADMIN', '/admin;v=1/users', '/public/..;/admin/users']) {
      assert.equal(outcome(deny(requestOf({ path }))), 'denied-by-rule no-admin', path)
      assert.equal(outcome(allow(requestOf({ path }))), 'not-allowed', path)
    }
    for (const path of ['/admin', '/admin/', '/admin/users']) {
      assert.equal(outcome(deny(requestOf({ path }))), 'denied-by-rule no-admin', path)
      assert.equal(outcome(allow(requestOf({ path }))), 'allowed', path)
    }
    assert.equal(outcome(deny(requestOf({ path: '/administrator' }))), 'allowed')
    assert.equal(outcome(deny(requestOf({ method: 'OPTIONS', path: '*' }))), 'allowed')
  })

  it('T17: a deny rule with a variable reads it from the lenient spelling too', () => {
    const decide = one({
      default: 'Allow',
      deny: [{ name: 'd', to: { paths: ['/users/{id}'] }, when: "path.id == 'root'" }],
    })
    for (const path of ['/users/root', '/Users/root/', '/users/root;x=1', '/users/%72oot']) {
      assert.equal(outcome(decide(requestOf({ path }))), 'denied-by-rule d', path)
    }
    assert.equal(outcome(decide(requestOf({ path: '/users/ann' }))), 'allowed')
  })

  it('a deny rule for GET covers HEAD, an allow rule for GET does not', () => {
    const head = requestOf({ method: 'HEAD' })
    assert.equal(
      outcome(one({ default: 'Allow', deny: [{ name: 'd', to: { methods: ['GET'] } }] })(head)),
      'denied-by-rule d',
    )
    assert.equal(outcome(one({ allow: [{ name: 'a', to: { methods: ['GET'] } }] })(head)), 'not-allowed')
  })

  it('T12: an allow rule wants every copy of a header right, a deny rule looks into each', () => {
    const to = { headers: [{ name: 'x-role', values: ['admin'] }] }
    const allow = one({ allow: [{ name: 'a', to }] })
    const deny = one({ default: 'Allow', deny: [{ name: 'd', to }] })
    assert.equal(outcome(allow(requestOf({ headers: { 'x-role': 'admin' } }))), 'allowed')
    for (const role of [['admin', 'user'], 'admin, user'] as const) {
      assert.equal(outcome(allow(requestOf({ headers: { 'x-role': role } }))), 'not-allowed')
      assert.equal(outcome(deny(requestOf({ headers: { 'x-role': role } }))), 'denied-by-rule d')
    }
  })

  it('names the first rule that matches, whether it goes by identity or not', () => {
    const byId = { name: 'by-id', from: { serviceAccounts: ['storefront'] } }
    const byPath = { name: 'by-path', to: { paths: ['/{**}'] } }
    for (const allow of [
      [byId, byPath],
      [byPath, byId],
    ]) {
      const facts: Facts = {}
      one({ allow })(storefront, facts)
      assert.equal(facts.rule, allow[0]?.name)
    }
  })
})

describe('authorization where no rule matches', () => {
  const cases: readonly [name: string, words: Words, meshDefault: 'Deny' | 'Allow', outcome: string][] = [
    ['no policy, mesh default Deny', {}, 'Deny', 'no-policy'],
    ['no policy, mesh default Allow', {}, 'Allow', 'allowed'],
    ['an allow list implies Deny', { policies: [attached('p', { allow: [] })] }, 'Allow', 'not-allowed'],
    ['a deny list alone leaves the mesh default', { policies: [attached('p', { deny: [] })] }, 'Allow', 'allowed'],
    ['a deny list alone leaves the mesh default', { policies: [attached('p', { deny: [] })] }, 'Deny', 'not-allowed'],
    ['default: Allow is heard', { policies: [attached('p', { default: 'Allow' })] }, 'Deny', 'allowed'],
    [
      'of two policies Deny counts',
      { policies: [attached('p', { default: 'Allow' }), attached('q', { default: 'Deny' })] },
      'Allow',
      'not-allowed',
    ],
    [
      'a floor Deny is not weakened',
      { floor: [meshWide('f', { default: 'Deny' })], policies: [attached('p', { default: 'Allow' })] },
      'Allow',
      'not-allowed',
    ],
    [
      'a floor that only restricts is no policy',
      { floor: [meshWide('f', { deny: [{ name: 'd', from: { namespaces: ['dev'] } }] })] },
      'Deny',
      'no-policy',
    ],
    ['defaults count where no policy is', { defaults: [meshWide('d', { default: 'Allow' })] }, 'Deny', 'allowed'],
    [
      'defaults count where a policy only denies',
      { policies: [attached('p', { deny: [] })], defaults: [meshWide('d', { allow: [] })] },
      'Allow',
      'not-allowed',
    ],
    [
      'defaults do not count where a policy decides',
      { policies: [attached('p', { default: 'Allow' })], defaults: [meshWide('d', { default: 'Deny' })] },
      'Deny',
      'allowed',
    ],
  ]
  for (const [name, words, authorizationDefault, expected] of cases) {
    it(`${name}: ${expected}`, () => {
      assert.equal(outcome(decider(words, { authorizationDefault })(storefront)), expected)
    })
  }
})

describe('levels of authorization', () => {
  const allowAll = { allow: [{ name: 'all' }] }

  it('apply the deny rules of all of them', () => {
    const deny = (name: string, namespace: string) => ({ deny: [{ name, from: { namespaces: [namespace] } }] })
    const decide = decider({
      floor: [meshWide('f', deny('floor', 'a'))],
      policies: [attached('p', { ...allowAll, ...deny('policy', 'b') })],
      defaults: [meshWide('d', deny('default', 'c'))],
    })
    assert.equal(outcome(decide(requestOf({ from: 'a/x' }))), 'denied-by-rule floor')
    assert.equal(outcome(decide(requestOf({ from: 'b/x' }))), 'denied-by-rule policy')
    assert.equal(outcome(decide(requestOf({ from: 'c/x' }))), 'denied-by-rule default')
    assert.equal(outcome(decide(storefront)), 'allowed')
  })

  it('let nobody call that the floor does not admit, whatever a policy allows', () => {
    const decide = decider({
      floor: [meshWide('f', { onlyFrom: { namespaces: ['shop'] } })],
      policies: [attached('p', allowAll)],
    })
    assert.equal(outcome(decide(storefront)), 'allowed')
    assert.equal(outcome(decide(stranger)), 'denied-by-rule onlyFrom')
    assert.equal(outcome(decide(outsider)), 'denied-by-rule onlyFrom')
  })

  it('report HTTP rules on a TCP port, and neither widen a deny nor drop the implied Deny', () => {
    const policies = [
      attached('p', {
        deny: [
          { name: 'no-delete', to: { methods: ['DELETE'] } },
          { name: 'no-dev', from: { namespaces: ['dev'] } },
        ],
        allow: [
          { name: 'reads', to: { paths: ['/{**}'] } },
          { name: 'users', from: { issuers: ['corp'] } },
          { name: 'when-http', when: 'has(claims.sub)' },
          { name: 'when-tcp', when: "source.namespace == 'shop'" },
        ],
      }),
    ]
    const context = contextOf({ protocol: 'tcp', authorizationDefault: 'Allow' })
    const combined = authorizationSection.combine(levelsOf({ policies }), context)
    assert.deepEqual(
      combined?.notApplied?.map(({ path, reason }) => [path, reason.split(',')[0]]),
      [
        ['authorization.deny[0]', 'no-delete has to.methods'],
        ['authorization.allow[0]', 'reads has to.paths'],
        ['authorization.allow[1]', 'users has from.issuers'],
        ['authorization.allow[2]', 'when-http has when'],
      ],
    )
    const decide = decider({ policies }, context)
    const tcp = { protocol: 'tcp', method: '', path: '', host: '' } as const
    assert.equal(outcome(decide(requestOf({ ...tcp, from: 'shop/storefront' }))), 'allowed')
    assert.equal(outcome(decide(requestOf({ ...tcp, from: 'dev/toolbox' }))), 'denied-by-rule no-dev')
    assert.equal(outcome(decide(requestOf({ ...tcp, from: 'prod/x' }))), 'not-allowed')
  })

  it('close the route where a TokenIssuer is missing', () => {
    const context = contextOf({ tokenIssuer: () => undefined })
    const policies = [attached('p', { allow: [{ name: 'a', from: { issuers: ['corp'] } }] })]
    const combined = authorizationSection.combine(levelsOf({ policies }), context)
    assert.ok(combined)
    const translated = authorizationSection.translate(combined.value, context)
    assert.ok(!translated.ok)
    assert.equal(translated.issues[0]?.path, 'authorization.allow[0].from.issuers[0]')
    assert.equal(translated.issues[0]?.resource, 'SecurityPolicy/shop/p')
  })
})

describe('a review of authorization', () => {
  it('tells all that is wrong, and where', () => {
    const issues = authorizationSection.review({
      default: 'Allow',
      deny: [{ name: 'a', to: { paths: ['admin', '/a//b'] } }],
      allow: [
        { name: 'a', from: { ipBlocks: ['10.0.0.1/8'], claims: [{ claim: 'sub', values: ['x'] }] } },
        { name: 'b', to: { paths: ['/users/{id}'] }, when: 'claims.sub == path.userId' },
        { name: 'c', when: 'claims.sub ==' },
        { name: 'd', to: { headers: [{ name: 'x y' }] } },
        { name: 'e', to: { methods: ['GET', 'post', 'FETCH'] } },
      ],
    })
    assert.deepEqual(
      issues.map(({ code, path, severity }) => [severity, code, path]),
      [
        ['error', 'malformed-path', 'authorization.deny[0].to.paths[0]'],
        ['error', 'malformed-path', 'authorization.deny[0].to.paths[1]'],
        ['error', 'duplicate-rule', 'authorization.allow[0].name'],
        ['error', 'malformed-cidr', 'authorization.allow[0].from.ipBlocks[0]'],
        ['error', 'malformed-json-pointer', 'authorization.allow[0].from.claims[0].claim'],
        ['error', 'unknown-path-variable', 'authorization.allow[1].when'],
        ['error', 'malformed-when', 'authorization.allow[2].when'],
        ['error', 'malformed-header-name', 'authorization.allow[3].to.headers[0].name'],
        ['warning', 'unknown-method', 'authorization.allow[4].to.methods[1]'],
        ['warning', 'unknown-method', 'authorization.allow[4].to.methods[2]'],
        ['warning', 'allow-without-effect', 'authorization.default'],
      ],
    )
  })

  it('says nothing of what is right', () => {
    const spec: AuthorizationSpec = {
      deny: [{ name: 'a', from: { namespaces: ['dev'] }, to: { paths: ['/export/{**}'] } }],
      allow: [{ name: 'b', from: { serviceAccounts: ['storefront', 'shop/x'] } }],
    }
    assert.deepEqual(authorizationSection.review(spec), [])
  })
})

describe('the wire of authorization', () => {
  it('refuses what it does not know', () => {
    const config = configOf({ policies: [attached('p', { allow: [{ name: 'a' }] })] })
    assert.ok(authorization.decode(config).ok)
    assert.ok(!authorization.decode({ ...config, more: 1 }).ok)
    assert.ok(!authorization.decode({ ...config, otherwise: 'maybe' }).ok)
    assert.ok(!authorization.decode({ ...config, allow: [{ name: 'a', origin: '', from: { sa: ['x'] } }] }).ok)
  })

  it('does not compile with a rule that does not parse', () => {
    const config = configOf({})
    const compiled = authorization.compile(
      { ...config, deny: [{ name: 'd', origin: 'o', to: { paths: ['nope'] } }] },
      testDeps(),
    )
    assert.ok(!compiled.ok)
    assert.equal(compiled.issues[0]?.path, 'deny[0].to.paths[0]')
  })
})
