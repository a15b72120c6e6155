import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import type { Facts } from '../../model/request.ts'
import type { Resource } from '../../model/resource.ts'
import { snapshotOf } from '../../operator/store/snapshot.ts'
import { translate } from '../../operator/translate/translate.ts'
import { openssl } from '../../runtime/crypto/openssl.ts'
import { type CompileDeps, compile } from '../../sidecar/compile/compile.ts'
import { type Decision, decide } from '../../sidecar/compile/decide.ts'
import type { Chain, Pipeline } from '../../sidecar/compile/pipeline.ts'
import { type Asked, type Claims, viewOf } from './asked.ts'
import { judge } from './judge.ts'
import { applied, smallestWays } from './smallest-change.ts'
import { createSigner } from './testing/tokens.ts'

/**
 * Policies and requests at random, through the real sections, translate and compile: what `explain` says must be what
 * `decide` does with a token that is really signed.
 */

const NOW_MS = Date.UTC(2026, 0, 1)
const NOW = NOW_MS / 1_000
const RUNS = 400

const SIGNERS = { corp: createSigner('c1'), shop: createSigner('s1') } as const
type IssuerName = keyof typeof SIGNERS

const ISSUERS: Readonly<Record<IssuerName, string>> = { corp: 'https://corp.example', shop: 'https://shop.example' }
const AUDIENCE = 'https://api.example'

const deps: CompileDeps = {
  clock: { now: () => NOW_MS, monotonic: () => 0 },
  crypto: openssl,
  keys: {
    generation: 1,
    keysOf: (name) => (Object.hasOwn(SIGNERS, name) ? [SIGNERS[name as IssuerName].jwk] : undefined),
    refresh: () => Promise.resolve(),
  },
  count() {},
}

const some = <T>(values: readonly T[], maxLength = 2) =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength })
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 3 })

const METHODS = ['GET', 'HEAD', 'POST', 'OPTIONS'] as const
const PATHS = ['/users/ann/orders', '/users/bob/orders', '/products', '/export', '/Export/all', '/healthz'] as const
const PATTERNS = ['/users/{userId}/orders', '/users/{id}/{**}', '/products', '/export/{**}', '/healthz'] as const
const ACCOUNTS = ['shop/web', 'shop/cron', 'dev/tool', 'hauberk-system/gateway-shop-web'] as const
const ADDRESSES = ['10.1.2.3', '192.0.2.9', '2001:db8::7'] as const

/** A record that says something: the schemas take no empty one. */
function words<T>(fields: { readonly [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<Partial<T>> {
  return fc.record(fields, { requiredKeys: [] }).filter((record) => Object.keys(record).length > 0) as fc.Arbitrary<
    Partial<T>
  >
}

const CALLERS = {
  serviceAccounts: some(ACCOUNTS),
  namespaces: some(['shop', 'dev', 'hauberk-system']),
  spiffeIds: some(['spiffe://mesh/ns/shop/sa/web', 'spiffe://other/ns/shop/sa/web']),
  ipBlocks: some(['10.0.0.0/8', '192.0.2.0/24', '2001:db8::/32']),
}

const from = words({
  ...CALLERS,
  issuers: some(['corp', 'shop']),
  claims: fc.tuple(
    fc.record({
      claim: fc.constantFrom('/role', '/scope', '/org/dept'),
      values: some(['admin', 'orders:read', 'sales']),
    }),
  ),
})

const to = words({
  methods: some(METHODS),
  paths: some(PATTERNS),
  hosts: some(['orders.shop', '*.example']),
  headers: fc.tuple(fc.record({ name: fc.constant('x-tenant'), values: some(['a', 'b']) })),
})

const EXPRESSIONS = [
  "'orders:read' in claims.scope",
  "claims.role == 'admin'",
  "claims.org.dept == 'sales' && 'orders:read' in claims.scope",
  "request.method == 'GET'",
  "source.namespace == 'shop'",
  'claims.level > 3',
] as const
const OWN = "claims.sub == path.userId && 'orders:read' in claims.scope"

const rule = fc
  .record({ from: maybe(from), to: maybe(to), when: maybe(fc.constantFrom(...EXPRESSIONS)), isOwn: fc.boolean() })
  .map(({ isOwn, from: who, to: what, when }) => ({
    ...(who !== undefined && { from: who }),
    ...(isOwn
      ? { to: { ...what, paths: ['/users/{userId}/orders'] }, when: OWN }
      : { ...(what !== undefined && { to: what }), ...(when !== undefined && { when }) }),
  }))

const rules = (prefix: string, maxLength: number) =>
  fc.array(rule, { maxLength }).map((list) => list.map((each, i) => ({ name: `${prefix}-${i}`, ...each })))

const authorization = words({
  default: fc.constantFrom('Deny', 'Allow'),
  deny: rules('no', 1),
  allow: rules('yes', 4),
})

const exempt = fc.array(fc.record({ methods: some(METHODS), paths: some(PATTERNS) }), { maxLength: 1 })

const authentication = fc.record({
  jwt: fc.record(
    {
      required: fc.boolean(),
      issuers: fc
        .constantFrom(['corp', 'shop'], ['corp', 'shop'], ['shop'], ['corp'])
        .map((names) => names.map((name) => ({ name }))),
    },
    { requiredKeys: ['issuers'] },
  ),
  exempt,
})

const cors = fc.record({
  allowOrigins: some(['https://a.example', 'https://b.example']),
  allowMethods: some(METHODS),
})

const rateLimit = fc.constant([
  { name: 'all', key: [{ claim: '/sub' }], limit: { requests: 1_000, per: '1s', burst: 1_000 } },
])

const sections = fc.record(
  {
    authorization,
    authentication,
    cors,
    rateLimit,
    mtls: fc.record({ mode: fc.constantFrom('Strict', 'Permissive') }),
    response: fc.constant({ hideExistence: true }),
  },
  { requiredKeys: [] },
)

const mode = fc.constantFrom('Enforce', 'Enforce', 'Enforce', 'DryRun', 'Off')

const world = fc.record({
  meshDefault: fc.constantFrom('Deny', 'Allow'),
  policies: fc.array(fc.record({ sections, mode }), { minLength: 1, maxLength: 3 }),
  floor: maybe(fc.record({ authorization: words({ onlyFrom: words(CALLERS), deny: rules('floor', 1) }) })),
  defaults: maybe(sections),
  hasCorp: fc.integer({ min: 0, max: 9 }).map((n) => n > 0),
})

type World = typeof world extends fc.Arbitrary<infer T> ? T : never

function resourcesOf({ meshDefault, policies, floor, defaults, hasCorp }: World): readonly Resource[] {
  const ours = (kind: string, name: string, spec: unknown, namespace?: string): Resource => ({
    apiVersion: 'hauberk.dev/v1alpha1',
    kind,
    metadata: { name, ...(namespace !== undefined && { namespace }), generation: 1 },
    spec,
  })
  const issuer = (name: IssuerName) =>
    ours('TokenIssuer', name, {
      issuer: ISSUERS[name],
      audiences: [AUDIENCE],
      algorithms: ['ES256'],
      jwks: { inline: { keys: [SIGNERS[name].jwk] } },
    })
  return [
    ours('MeshConfig', 'default', { trustDomain: 'mesh', authorization: { default: meshDefault } }),
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'orders', namespace: 'shop' },
      spec: { selector: { app: 'orders' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'orders', namespace: 'shop' },
      spec: {
        selector: { matchLabels: { app: 'orders' } },
        template: {
          metadata: { labels: { app: 'orders' } },
          spec: { serviceAccountName: 'orders', containers: [{ name: 'app', ports: [{ containerPort: 8080 }] }] },
        },
      },
    },
    issuer('shop'),
    ...(hasCorp ? [issuer('corp')] : []),
    ...policies.map((policy, i) =>
      ours(
        'SecurityPolicy',
        `p${i}`,
        { targetRefs: [{ kind: 'Service', name: 'orders' }], mode: policy.mode, ...policy.sections },
        'shop',
      ),
    ),
    ...(floor === undefined && defaults === undefined
      ? []
      : [
          ours('MeshSecurityPolicy', 'mesh', {
            ...(floor !== undefined && { floor }),
            ...(defaults !== undefined && { defaults }),
          }),
        ]),
  ]
}

function pipelineOf(one: World): Pipeline {
  const { configs } = translate(snapshotOf(resourcesOf(one)), { sha256: openssl.sha256, mesh: { roots: [] } })
  const config = [...configs.values()].find(({ workload }) => workload === 'shop/orders')
  assert.ok(config)
  const compiled = compile(JSON.parse(JSON.stringify(config)), undefined, deps)
  assert.ok(compiled.ok, JSON.stringify(compiled))
  return compiled.value
}

const claims = fc.record(
  {
    iss: fc.constantFrom(
      ...Object.values(ISSUERS),
      ...Object.values(ISSUERS),
      ...Object.values(ISSUERS),
      'https://evil.example',
    ),
    aud: fc.constantFrom(AUDIENCE, AUDIENCE, AUDIENCE, AUDIENCE, AUDIENCE, AUDIENCE, 'elsewhere'),
    exp: fc.constant(NOW + 300),
    iat: fc.constant(NOW),
    sub: fc.constantFrom('ann', 'bob'),
    scope: fc.constantFrom('orders:read', 'orders:write', 'orders:read orders:write', ''),
    role: fc.constantFrom('admin', 'clerk'),
    level: fc.constantFrom(3, 4),
    org: fc.constant({ dept: 'sales' }),
  },
  { requiredKeys: ['iss', 'aud', 'exp', 'iat'] },
)

const asked: fc.Arbitrary<Asked> = fc.record({
  protocol: fc.constant('http' as const),
  method: fc.constantFrom(...METHODS),
  path: fc.constantFrom(...PATHS),
  query: fc.constant(''),
  host: fc.constantFrom('orders.shop', 'a.example'),
  port: fc.constant(8080),
  scheme: fc.constant('https' as const),
  caller: maybe(fc.constantFrom(...ACCOUNTS.map((account) => `spiffe://mesh/ns/${account.replace('/', '/sa/')}`))),
  clientIp: fc.constantFrom(...ADDRESSES),
  headers: fc.constantFrom<Asked['headers']>(
    [],
    [['x-tenant', 'a']],
    [['origin', 'https://a.example']],
    [
      ['origin', 'https://a.example'],
      ['access-control-request-method', 'GET'],
    ],
  ),
  claims: maybe(claims as fc.Arbitrary<Claims>),
})

/** What the sidecar itself decides, with a token that is signed. */
async function decided(chain: Chain, request: Asked): Promise<{ readonly decision: Decision; readonly facts: Facts }> {
  const facts: Facts = {}
  const token = request.claims === undefined ? undefined : tokenFor(request.claims)
  const headers: Asked['headers'] =
    token === undefined ? request.headers : [...request.headers, ['authorization', `Bearer ${token}`]]
  return { decision: await decide(chain, viewOf({ ...request, headers }), facts), facts }
}

function tokenFor(said: Claims): string {
  const signer = said['iss'] === ISSUERS.corp ? SIGNERS.corp : SIGNERS.shop
  return signer.sign({ exp: NOW + 300, iat: NOW, ...said })
}

describe('an explanation', () => {
  it('is the verdict of the sidecar: outcome, filter, denial, status, rule, policies and dry run', async () => {
    const seen = new Map<string, number>()
    await fc.assert(
      fc.asyncProperty(world, asked, async (one, request) => {
        const pipeline = pipelineOf(one)
        const judgement = judge(pipeline, request)
        if (judgement.kind === 'unrouted') {
          assert.equal(judgement.denial.name, 'plaintext-refused')
          return
        }
        const { explanation, chain } = judgement
        const { decision, facts } = await decided(chain, request)
        const { verdict, step, wouldDeny } = decision
        const outcomes = { continue: 'allowed', deny: 'denied', answer: 'answered' } as const
        assert.equal(explanation.outcome, outcomes[verdict.kind])
        assert.equal(explanation.filter, step?.filter.name)
        if (verdict.kind === 'deny') {
          assert.equal(explanation.denial, verdict.denial.name)
          assert.equal(explanation.status, verdict.denial.status)
          assert.deepEqual(explanation.origins, verdict.origin === undefined ? step?.origins : [verdict.origin])
          // The issuer that jwt names is known from a signature that an explanation does not have.
          if (step?.filter.name !== 'jwt') assert.equal(explanation.rule, verdict.rule)
        } else if (verdict.kind === 'continue') {
          assert.equal(explanation.rule, facts.rule)
          const { dryRun } = explanation
          assert.equal(dryRun?.outcome === 'denied', wouldDeny !== undefined)
          if (wouldDeny !== undefined) {
            assert.equal(dryRun?.denial, wouldDeny.verdict.denial.name)
            if (wouldDeny.step.filter.name !== 'jwt') assert.equal(dryRun?.rule, wouldDeny.verdict.rule)
          }
        }
        const end = explanation.denial ?? (wouldDeny === undefined ? explanation.outcome : 'would-deny')
        seen.set(end, (seen.get(end) ?? 0) + 1)
      }),
      { numRuns: RUNS },
    )
    // Otherwise the worlds are too small to say anything.
    for (const end of ['allowed', 'not-allowed', 'denied-by-rule', 'token-missing', 'token-invalid']) {
      assert.ok((seen.get(end) ?? 0) > 0, `${end} in ${JSON.stringify([...seen])}`)
    }
  })

  it('suggests only changes with which the sidecar lets the request pass', async () => {
    let suggested = 0
    await fc.assert(
      fc.asyncProperty(world, asked, async (one, request) => {
        const pipeline = pipelineOf(one)
        const judgement = judge(pipeline, request)
        if (judgement.kind === 'judged' && judgement.explanation.outcome !== 'denied') return
        for (const way of smallestWays(pipeline, request).slice(0, 4)) {
          const changed = applied(request, way)
          const again = judge(pipeline, changed)
          assert.ok(again.kind === 'judged')
          const { decision } = await decided(again.chain, changed)
          assert.notEqual(decision.verdict.kind, 'deny', way.map(({ wording, value }) => `${wording} ${value}`).join())
          suggested++
        }
      }),
      { numRuns: RUNS / 2 },
    )
    assert.ok(suggested > RUNS / 20, `${suggested} changes were suggested`)
  })
})
