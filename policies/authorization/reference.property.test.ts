import assert from 'node:assert/strict'
import { BlockList, isIP } from 'node:net'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import type { Check } from '../../model/filter.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import type { Attached, Levels } from '../../model/section.ts'
import type { Verdict } from '../../model/verdict.ts'
import { attached, contextOf, levelsOf } from '../testing/context.ts'
import { testDeps } from '../testing/deps.ts'
import { type RequestWords, requestOf } from '../testing/request.ts'
import type { AuthorizationConfig, From, To } from './config.ts'
import { authorization } from './filter.ts'
import { type AuthorizationSpec, authorizationSection, type RuleSpec } from './section.ts'

// The rules of POLICY-API, as slowly and plainly as they can be written: nothing here is shared with the product.

type MeshDefault = 'Deny' | 'Allow'

interface Case {
  readonly levels: Levels<AuthorizationSpec>
  readonly meshDefault: MeshDefault
  readonly request: RequestView
  readonly facts: Facts
}

type Answer = 'allowed' | 'denied-by-rule' | 'not-allowed' | 'no-policy'

function reference({ levels, meshDefault, request, facts }: Case): Answer {
  const everywhere = [...levels.floor, ...levels.policies, ...levels.defaults]
  for (const { spec } of levels.floor) {
    if (spec.onlyFrom !== undefined && !isFrom(spec.onlyFrom, request, facts, false)) return 'denied-by-rule'
  }
  if (everywhere.some(({ spec }) => spec.deny?.some((rule) => matches(rule, request, facts, true)))) {
    return 'denied-by-rule'
  }
  const teamsSay = levels.policies.some(({ spec }) => spec.allow || spec.default)
  const heard = teamsSay ? [...levels.floor, ...levels.policies] : everywhere
  if (heard.some(({ spec }) => spec.allow?.some((rule) => matches(rule, request, facts, false)))) return 'allowed'
  const defaults = heard.map(({ spec }) => spec.default ?? (spec.allow ? 'Deny' : 'silent'))
  if (defaults.includes('Deny')) return 'not-allowed'
  if (defaults.includes('Allow') || meshDefault === 'Allow') return 'allowed'
  return levels.policies.length === 0 && levels.defaults.length === 0 ? 'no-policy' : 'not-allowed'
}

function matches(rule: RuleSpec, request: RequestView, facts: Facts, denies: boolean): boolean {
  if (rule.from !== undefined && !isFrom(rule.from, request, facts, denies)) return false
  if (rule.to !== undefined && !isTo(rule.to, request, denies)) return false
  if (rule.when === undefined) return true
  const said = WHENS[rule.when]
  assert.ok(said, 'every generated expression has a twin')
  const variables =
    rule.to?.paths === undefined ? [{}] : rule.to.paths.flatMap((text) => bind(text, request.path, denies))
  return variables.some((path) => {
    const outcome = said(request, facts, path)
    return outcome === 'error' ? denies : outcome
  })
}

function isFrom(from: From, { peer, clientIp }: RequestView, { token, client }: Facts, denies: boolean): boolean {
  const ofMesh = peer.trustDomain === 'mesh'
  const account = `${peer.namespace}/${peer.serviceAccount}`
  if (
    from.serviceAccounts?.every(
      (written) => !ofMesh || (written.includes('/') ? written : `shop/${written}`) !== account,
    )
  )
    return false
  if (from.namespaces?.every((namespace) => !ofMesh || namespace !== peer.namespace)) return false
  if (from.spiffeIds?.every((id) => id !== peer.spiffeId)) return false
  if (from.trustDomains?.every((domain) => domain !== peer.trustDomain)) return false
  if (from.ipBlocks?.every((block) => !isInBlock(block, clientIp, denies))) return false
  if (from.issuers?.every((issuer) => issuer !== token?.issuer)) return false
  if (from.clients?.every((id) => id !== client?.id)) return false
  for (const { claim, values } of from.claims ?? []) {
    const value = token?.claims[claim.slice(1)]
    const words = claim === '/scope' && typeof value === 'string' ? value.split(' ') : [value].flat()
    if (!words.some((word) => typeof word !== 'object' && values.includes(String(word)))) return false
  }
  return true
}

function isTo(to: To, request: RequestView, denies: boolean): boolean {
  const asked = denies && request.method === 'HEAD' ? ['HEAD', 'GET'] : [request.method]
  if (to.methods?.every((method) => !asked.includes(method))) return false
  const isHost = (pattern: string) =>
    pattern.startsWith('*.') ? request.host.endsWith(pattern.slice(1)) : request.host === pattern
  if (to.hosts && !to.hosts.some(isHost)) return false
  if (to.ports && !to.ports.includes(request.port)) return false
  if (to.paths?.every((text) => bind(text, request.path, denies).length === 0)) return false
  for (const { name, values } of to.headers ?? []) {
    const sent = request.headers(name)
    if (sent.length === 0) return false
    if (values === undefined) continue
    if (denies && !sent.some((line) => [line, ...line.split(',').map((s) => s.trim())].some((s) => values.includes(s))))
      return false
    if (!denies && !sent.every((line) => values.includes(line))) return false
  }
  return true
}

/** The variables of each way in which the path matches. */
function bind(text: string, path: string, denies: boolean): Record<string, string>[] {
  const ways: Record<string, string>[] = []
  const strict = expressionOf(text, '').exec(path)
  if (strict) ways.push(mapValues(strict.groups ?? {}, decodeURIComponent))
  if (denies) {
    const plain =
      path === '*'
        ? '/'
        : `/${decodeURIComponent(path)
            .split('/')
            .map((s) => s.split(';')[0])
            .filter(Boolean)
            .join('/')}`
    const found = expressionOf(text.length > 1 ? text.replace(/\/$/, '') : text, 'i').exec(plain)
    if (found) ways.push({ ...found.groups })
  }
  return ways
}

function expressionOf(text: string, flags: string): RegExp {
  const source = text
    .replace(/\/\{\*\*\}$/, '(?:/.*)?')
    .replace(/\{\*\}/g, '[^/]+')
    .replace(/\{(\w+)\}/g, '(?<$1>[^/]+)')
  return new RegExp(`^(?=/)${source}$`, flags)
}

function mapValues(record: Record<string, string>, change: (value: string) => string): Record<string, string> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]))
}

function isInBlock(block: string, ip: string, denies: boolean): boolean {
  if (isIP(ip) === 0) return denies
  const [network = '', prefix = '32'] = block.split('/')
  const list = new BlockList()
  list.addSubnet(network, Number(prefix), isIP(network) === 4 ? 'ipv4' : 'ipv6')
  return list.check(ip, isIP(ip) === 4 ? 'ipv4' : 'ipv6')
}

type Twin = (request: RequestView, facts: Facts, path: Record<string, string>) => boolean | 'error'

/** Expressions, each with what it means in plain JavaScript. */
const WHENS: Readonly<Record<string, Twin>> = {
  true: () => true,
  "claims.sub == 'ann'": (_, { token }) => (token === undefined ? 'error' : token.claims['sub'] === 'ann'),
  "'read' in claims.scope": (_, { token }) =>
    typeof token?.claims['scope'] === 'string' ? token.claims['scope'].split(' ').includes('read') : 'error',
  "source.namespace == 'dev'": ({ peer }) => (peer.namespace === undefined ? 'error' : peer.namespace === 'dev'),
  "has(source.namespace) && source.namespace == 'dev'": ({ peer }) => peer.namespace === 'dev',
  "request.method in ['GET', 'PUT']": ({ method }) => ['GET', 'PUT'].includes(method),
  "request.headers['x-role'] == 'admin'": (request) => {
    const sent = request.headers('x-role')
    return sent.length === 1 ? sent[0] === 'admin' : 'error'
  },
  "has(path.id) ? path.id == 'ann' : false": (_, __, path) => path['id'] === 'ann',
  "path.id == 'ann'": (_, __, path) => (path['id'] === undefined ? 'error' : path['id'] === 'ann'),
}

const namespace = fc.constantFrom('shop', 'dev')
const identity = fc.constantFrom(
  'shop/storefront',
  'shop/admin',
  'dev/storefront',
  'spiffe://other/ns/shop/sa/storefront',
)
const PATHS = [
  '/',
  '/a',
  '/a/',
  '/A',
  '/a/b',
  '/users/ann',
  '/users/bob',
  '/users/%61nn',
  '/Users/ann/',
  '/users/ann;x',
  '/b%40',
]
const some = <T>(value: fc.Arbitrary<T>) => fc.uniqueArray(value, { minLength: 1, maxLength: 2 })

function maybe<T extends Record<string, fc.Arbitrary<unknown>>>(fields: T) {
  return fc.record(fields, { requiredKeys: [] }).filter((value) => Object.keys(value).length > 0)
}

const source = {
  serviceAccounts: some(fc.constantFrom('shop/storefront', 'admin', 'dev/storefront')),
  namespaces: some(namespace),
  spiffeIds: some(fc.constantFrom('spiffe://mesh/ns/shop/sa/admin', 'spiffe://other/ns/shop/sa/storefront')),
  trustDomains: some(fc.constantFrom('mesh', 'other')),
  ipBlocks: some(fc.constantFrom('10.0.0.0/8', '10.1.0.0/16', '2001:db8::/32', '192.0.2.1')),
}
const from = maybe({
  ...source,
  issuers: some(fc.constantFrom('corp', 'partner')),
  clients: some(fc.constantFrom('acme', 'globex')),
  claims: fc.uniqueArray(
    fc.record({
      claim: fc.constantFrom('/sub', '/scope', '/level', '/org'),
      values: some(fc.constantFrom('ann', 'read', '3', 'true')),
    }),
    { minLength: 1, maxLength: 2, selector: ({ claim }) => claim },
  ),
}) as fc.Arbitrary<From>
const to = maybe({
  methods: some(fc.constantFrom('GET', 'PUT', 'HEAD')),
  hosts: some(fc.constantFrom('orders.shop', '*.shop', '*.orders.shop')),
  paths: some(fc.constantFrom('/', '/a', '/a/', '/a/{**}', '/users/{id}', '/{**}', '/{*}/b', '/{id}/ann', '/b@')),
  ports: some(fc.constantFrom(80, 443)),
  headers: fc.constant([{ name: 'x-role', values: ['admin', 'user'] }]),
}) as fc.Arbitrary<To>

const rule = fc
  .record({ from, to, when: fc.constantFrom(...Object.keys(WHENS)) }, { requiredKeys: [] })
  .filter(({ when, to: target }) => {
    // A rule that reads a variable has a path with it.
    if (!when?.includes('path.')) return true
    return target?.paths?.some((text) => text.includes('{id}')) ?? false
  })

const rules = fc
  .array(rule, { maxLength: 3 })
  .map((list) => list.map((body, i) => ({ name: `rule-${i}`, ...body }) as RuleSpec))

const spec = fc.record(
  { default: fc.constantFrom('Deny' as const, 'Allow' as const), deny: rules, allow: rules },
  { requiredKeys: [] },
) as fc.Arbitrary<AuthorizationSpec>
const floorSpec = fc
  .tuple(spec, fc.option(maybe(source), { nil: undefined, freq: 4 }))
  .map(([said, onlyFrom]) => (onlyFrom === undefined ? said : { ...said, onlyFrom })) as fc.Arbitrary<AuthorizationSpec>

function level(one: fc.Arbitrary<AuthorizationSpec>, maxLength: number) {
  return fc
    .array(one, { maxLength })
    .map((specs): readonly Attached<AuthorizationSpec>[] => specs.map((said, i) => attached(`policy-${i}`, said)))
}

const levels = fc
  .tuple(level(floorSpec, 1), level(spec, 3), level(spec, 1))
  .map(([floor, policies, defaults]) => levelsOf({ floor, policies, defaults }))

const requestWords: fc.Arbitrary<RequestWords> = fc
  .record({
    from: fc.option(identity, { nil: undefined }),
    method: fc.constantFrom('GET', 'PUT', 'HEAD', 'DELETE'),
    path: fc.constantFrom(...PATHS, '*'),
    host: fc.constantFrom('orders.shop', 'a.orders.shop', 'shop'),
    port: fc.constantFrom(80, 443),
    clientIp: fc.constantFrom('10.0.0.1', '10.1.0.1', '192.0.2.1', '2001:db8::1', 'unknown'),
    role: fc.constantFrom([], ['admin'], ['user', 'admin'], ['guest, admin'], ['guest']),
  })
  .map(({ from: caller, role, ...words }) => ({
    ...words,
    ...(caller !== undefined && { from: caller }),
    headers: { 'x-role': role },
  }))

const facts: fc.Arbitrary<Facts> = fc
  .option(
    fc.record({
      issuer: fc.constantFrom('corp', 'partner'),
      claims: fc.record({
        sub: fc.constantFrom('ann', 'bob'),
        scope: fc.constantFrom('read', 'write read', 'readonly', ['read'], 7),
        level: fc.constantFrom(3, '3', true, 3.5, null),
        org: fc.constantFrom({ ann: true }, ['ann', { read: 1 }]),
      }),
    }),
    { nil: undefined },
  )
  .chain((token) =>
    fc.constantFrom(undefined, 'acme', 'other').map((id) => ({
      ...(token !== undefined && { token: { ...token, iss: 'https://corp', expiresAt: 2_000_000_000 } }),
      ...(id !== undefined && { client: { id } }),
    })),
  )

// `'read' in claims.scope` has no twin for scopes that are no string.
const aCase: fc.Arbitrary<Case> = fc
  .record({
    levels,
    meshDefault: fc.constantFrom('Deny' as const, 'Allow' as const),
    request: requestWords.map(requestOf),
    facts,
  })
  .filter(
    ({ levels: said, facts: known }) =>
      known.token === undefined ||
      typeof known.token.claims['scope'] === 'string' ||
      !JSON.stringify(said).includes('claims.scope'),
  )

function configOf(said: Levels<AuthorizationSpec>, meshDefault: MeshDefault): AuthorizationConfig {
  const context = contextOf({ authorizationDefault: meshDefault })
  const combined = authorizationSection.combine(said, context)
  assert.ok(combined)
  const translated = authorizationSection.translate(combined.value, context)
  assert.ok(translated.ok)
  return translated.value
}

function checkOf(config: AuthorizationConfig): Check {
  const decoded = authorization.decode(JSON.parse(JSON.stringify(config)))
  assert.ok(decoded.ok)
  const compiled = authorization.compile(decoded.value, testDeps())
  assert.ok(compiled.ok, JSON.stringify(compiled))
  return compiled.value
}

function answer({ levels: said, meshDefault, request, facts: known }: Case): Answer {
  const verdict = checkOf(configOf(said, meshDefault))(request, { ...known }) as Verdict
  if (verdict.kind === 'continue') return 'allowed'
  assert.equal(verdict.kind, 'deny')
  return verdict.denial.name as Answer
}

const RUNS = { numRuns: 1_500 }

describe('authorization, whatever the policies', () => {
  it('decides as the rules of combination say, read plainly', () => {
    const seen = new Map<Answer, number>()
    fc.assert(
      fc.property(aCase, (one) => {
        const expected = reference(one)
        seen.set(expected, (seen.get(expected) ?? 0) + 1)
        assert.equal(answer(one), expected)
      }),
      { numRuns: 4_000 },
    )
    for (const kind of ['allowed', 'denied-by-rule', 'not-allowed', 'no-policy'] as const) {
      assert.ok((seen.get(kind) ?? 0) > 20, `${kind} came up ${seen.get(kind)} times`)
    }
  })

  it('decides the same in whatever order policies and rules stand', () => {
    const shuffled = <T>(list: readonly T[], seed: number) =>
      list
        .map((item, i) => ({ item, key: Math.sin(seed + i) }))
        .sort((a, b) => a.key - b.key)
        .map(({ item }) => item)
    fc.assert(
      fc.property(aCase, fc.nat(), (one, seed) => {
        const reordered = (list: readonly Attached<AuthorizationSpec>[]) =>
          shuffled(list, seed).map((policy) => ({
            ...policy,
            spec: {
              ...policy.spec,
              ...(policy.spec.deny && { deny: shuffled(policy.spec.deny, seed) }),
              ...(policy.spec.allow && { allow: shuffled(policy.spec.allow, seed) }),
            },
          }))
        const { floor, policies, defaults } = one.levels
        const other = { floor: reordered(floor), policies: reordered(policies), defaults: reordered(defaults) }
        assert.equal(answer({ ...one, levels: other }), answer(one))
      }),
      RUNS,
    )
  })

  it('becomes only stricter by a deny rule more or an allow rule less', () => {
    fc.assert(
      fc.property(aCase, rule, fc.nat(), fc.boolean(), (one, more, at, adds) => {
        const { policies } = one.levels
        fc.pre(policies.length > 0)
        const target = at % policies.length
        const changed = policies.map((policy, i) => {
          if (i !== target) return policy
          const { deny = [], allow } = policy.spec
          return adds
            ? { ...policy, spec: { ...policy.spec, deny: [...deny, { name: 'more', ...more } as RuleSpec] } }
            : { ...policy, spec: { ...policy.spec, ...(allow && { allow: allow.slice(1) }) } }
        })
        if (answer({ ...one, levels: { ...one.levels, policies: changed } }) === 'allowed') {
          assert.equal(answer(one), 'allowed')
        }
      }),
      RUNS,
    )
  })

  it('becomes only stricter by a policy more that allows nothing', () => {
    fc.assert(
      fc.property(aCase, rules, (one, deny) => {
        // Without any policy the mesh default may be Allow in one policy's word only; a deny list does not change that.
        const policies = [...one.levels.policies, attached('more', { deny })]
        if (answer({ ...one, levels: { ...one.levels, policies } }) === 'allowed') assert.equal(answer(one), 'allowed')
      }),
      RUNS,
    )
  })

  it('is explained as it is decided', () => {
    fc.assert(
      fc.property(aCase, (one) => {
        const config = configOf(one.levels, one.meshDefault)
        const known = { ...one.facts }
        const verdict = checkOf(config)(one.request, known) as Verdict
        const considered = authorization.explain(config, one.request, { ...one.facts })
        const denied = considered.filter(({ outcome }) => outcome === 'denied')
        assert.equal(denied.length, verdict.kind === 'deny' ? 1 : 0)
        if (verdict.kind === 'deny') {
          assert.equal(denied[0]?.denial, verdict.denial.name)
          assert.equal(denied[0]?.rule, verdict.rule)
          assert.equal(denied[0]?.origin, verdict.origin)
          assert.ok(denied[0]?.change, 'says what would help')
        } else {
          assert.equal(considered.find(({ outcome }) => outcome === 'allowed')?.rule, known.rule)
        }
      }),
      RUNS,
    )
  })
})
