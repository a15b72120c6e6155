import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import type { Check } from '../../model/filter.ts'
import type { Facts } from '../../model/request.ts'
import type { Levels } from '../../model/section.ts'
import type { Deny, Verdict } from '../../model/verdict.ts'
import { attached, contextOf, levelsOf, meshWide } from '../testing/context.ts'
import { type TestDeps, testDeps } from '../testing/deps.ts'
import { type RequestWords, requestOf } from '../testing/request.ts'
import { schemaFaults } from '../testing/schema-conventions.ts'
import { createBuckets, MAX_KEYS } from './buckets.ts'
import type { RateLimitConfig } from './config.ts'
import { rateLimit } from './filter.ts'
import { type LimitSpec, type RateLimitSpec, rateLimitSection } from './section.ts'

function configOf(words: Partial<Levels<RateLimitSpec>>): RateLimitConfig {
  const combined = rateLimitSection.combine(levelsOf(words), contextOf())
  assert.ok(combined)
  const decoded = rateLimit.decode(JSON.parse(JSON.stringify(combined.value)))
  assert.ok(decoded.ok)
  return decoded.value
}

function withSha256(deps: TestDeps): TestDeps {
  const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url')
  return { ...deps, crypto: { ...deps.crypto, sha256 } }
}

class Limiter {
  readonly deps: TestDeps
  readonly #check: Check

  constructor(words: Partial<Levels<RateLimitSpec>>, deps: TestDeps = withSha256(testDeps())) {
    const check = rateLimit.compile(configOf(words), deps)
    assert.ok(check.ok, JSON.stringify(check))
    this.#check = check.value
    this.deps = deps
  }

  ask(words: RequestWords = {}, facts: Facts = {}): Verdict {
    const verdict = this.#check(requestOf(words), facts)
    assert.ok(!(verdict instanceof Promise))
    return verdict
  }

  passes(words: RequestWords = {}, facts: Facts = {}): boolean {
    return this.ask(words, facts).kind === 'continue'
  }

  refusal(words: RequestWords = {}, facts: Facts = {}): Deny {
    const verdict = this.ask(words, facts)
    assert.ok(verdict.kind === 'deny')
    return verdict
  }
}

function one(limit: Partial<LimitSpec> = {}): Limiter {
  return new Limiter({
    policies: [attached('orders', [{ name: 'calls', limit: { requests: 1, per: '1s' }, ...limit }])],
  })
}

function limitBy(key: NonNullable<LimitSpec['key']>): LimitSpec {
  return { name: 'calls', limit: { requests: 1, per: '1s' }, key }
}

function tokenFacts(claims: Record<string, unknown>): Facts {
  return { token: { issuer: 'corp', iss: 'https://corp', claims, expiresAt: 2_000_000_000 } }
}

describe('a rate limit', () => {
  it('refuses what comes too soon with 429, the limit and the time to wait', () => {
    const limiter = one({ limit: { requests: 50, per: '10s', burst: 2 } })
    assert.ok(limiter.passes())
    assert.ok(limiter.passes())
    const { denial, rule, origin, headers } = limiter.refusal()
    assert.equal(denial.name, 'rate-limited')
    assert.equal(denial.status, 429)
    assert.equal(rule, 'calls')
    assert.equal(origin, 'shop/orders@1')
    assert.deepEqual(headers, [
      ['retry-after', '1'],
      ['ratelimit', '"calls";r=0;t=1'],
      ['ratelimit-policy', '"calls";q=50;w=10'],
    ])
    limiter.deps.advance(200)
    assert.ok(limiter.passes())
    assert.ok(!limiter.passes())
  })

  it('tells whole seconds, rounded up', () => {
    const limiter = one({ limit: { requests: 1, per: '90s' } })
    limiter.passes()
    limiter.deps.advance(500)
    assert.deepEqual(limiter.refusal().headers?.[0], ['retry-after', '90'])
  })

  it('counts a burst of its own, or as many as it has requests', () => {
    const passing = (limit: LimitSpec['limit']) => {
      const limiter = one({ limit })
      return Array.from({ length: 20 }, () => limiter.passes()).filter(Boolean).length
    }
    assert.equal(passing({ requests: 5, per: '1s' }), 5)
    assert.equal(passing({ requests: 5, per: '1s', burst: 10 }), 10)
    assert.equal(passing({ requests: 5, per: '1s', burst: 1 }), 1)
  })

  it('counts only the requests that it is for, in every spelling of their paths', () => {
    const limiter = one({ to: { methods: ['GET'], paths: ['/search'] } })
    assert.ok(limiter.passes({ path: '/search' }))
    for (const path of ['/search', '/search/', '/Search', '/search;v=1']) {
      assert.ok(!limiter.passes({ path }), path)
      assert.ok(!limiter.passes({ path, method: 'HEAD' }), path)
    }
    assert.ok(limiter.passes({ path: '/other' }))
    assert.ok(limiter.passes({ path: '/search', method: 'POST' }))
  })

  it('counts all clients together without a key', () => {
    const limiter = one()
    assert.ok(limiter.passes({ from: 'shop/a' }))
    assert.ok(!limiter.passes({ from: 'shop/b' }))
  })
})

describe('the key of a rate limit', () => {
  function sameBucket(key: LimitSpec['key'], first: RequestWords, second: RequestWords, facts: Facts[] = []): boolean {
    const limiter = one({ ...(key && { key }), to: { paths: ['/users/{userId}/{**}', '/{**}'] } })
    assert.ok(limiter.passes(first, facts[0] ?? {}))
    return !limiter.passes(second, facts[1] ?? {})
  }

  it('tells clients apart by service account, claim, address, header and path', () => {
    const [ann, bob] = [tokenFacts({ sub: 'ann' }), tokenFacts({ sub: 'bob' })]
    assert.ok(!sameBucket([{ source: 'ServiceAccount' }], { from: 'shop/a' }, { from: 'shop/b' }))
    assert.ok(sameBucket([{ source: 'ServiceAccount' }], { from: 'shop/a' }, { from: 'shop/a', clientIp: '10.0.0.9' }))
    assert.ok(!sameBucket([{ claim: '/sub' }], {}, {}, [ann, bob]))
    assert.ok(sameBucket([{ claim: '/sub' }], { clientIp: '10.0.0.1' }, { clientIp: '10.0.0.2' }, [ann, ann]))
    assert.ok(!sameBucket([{ source: 'IP' }], { clientIp: '10.0.0.1' }, { clientIp: '10.0.0.2' }))
    assert.ok(!sameBucket([{ header: 'x-t' }], { headers: { 'x-t': 'a' } }, { headers: { 'x-t': 'b' } }))
    assert.ok(!sameBucket([{ path: 'userId' }], { path: '/users/ann/x' }, { path: '/users/bob/x' }))
    assert.ok(sameBucket([{ path: 'userId' }], { path: '/users/ann/x' }, { path: '/users/ann/y' }))
  })

  it('tells clients of API keys apart, and those without a key by their addresses', () => {
    const key = [{ source: 'Client' as const }]
    const [acme, globex]: Facts[] = [{ client: { id: 'acme' } }, { client: { id: 'globex' } }]
    assert.ok(sameBucket(key, { clientIp: '10.0.0.1' }, { clientIp: '10.0.0.2' }, [acme!, { client: { id: 'acme' } }]))
    assert.ok(!sameBucket(key, {}, {}, [acme!, globex!]))
    assert.ok(!sameBucket(key, { clientIp: '10.0.0.1' }, { clientIp: '10.0.0.2' }))
    const { deps, ...words } = { deps: withSha256(testDeps()), policies: [attached('p', [{ ...limitBy(key) }])] }
    const config = configOf(words)
    assert.equal(rateLimit.since?.(config), 3)
    assert.ok(rateLimit.compile(config, deps).ok)
    const [line] = rateLimit.explain(config, requestOf({}), acme!)
    assert.match(JSON.stringify(line), /by client acme/)
  })

  it('takes its parts together', () => {
    const key = [{ source: 'ServiceAccount' as const }, { header: 'x-t' }]
    const request = (from: string, tenant: string) => ({ from, headers: { 'x-t': tenant } })
    assert.ok(sameBucket(key, request('shop/a', '1'), request('shop/a', '1')))
    assert.ok(!sameBucket(key, request('shop/a', '1'), request('shop/a', '2')))
    assert.ok(!sameBucket(key, request('shop/a', '1'), request('shop/b', '1')))
  })

  it('T27: has one value for every spelling of a path, a header and an address', () => {
    for (const path of ['/Users/Ann/x', '/users/%61nn/x', '/users/ann;v=2/x', '/users/ANN/']) {
      assert.ok(sameBucket([{ path: 'userId' }], { path: '/users/ann/x' }, { path }), path)
    }
    const header = (value: string) => ({ headers: { 'x-t': value } })
    assert.ok(sameBucket([{ header: 'x-t' }], header('Acme'), header('acme ')))
    assert.ok(sameBucket([{ source: 'IP' }], { clientIp: '2001:db8:1:2::1' }, { clientIp: '2001:DB8:1:2:ffff::9' }))
    assert.ok(!sameBucket([{ source: 'IP' }], { clientIp: '2001:db8:1:2::1' }, { clientIp: '2001:db8:1:3::1' }))
    assert.ok(sameBucket([{ source: 'IP' }], { clientIp: '10.0.0.1' }, { clientIp: '::ffff:10.0.0.1' }))
  })

  it('T27: counts a client that leaves a part out by its identity and address, never not at all', () => {
    for (const key of [
      [{ claim: '/sub' }],
      [{ header: 'x-t' }],
      [{ path: 'userId' }],
      [{ source: 'IP' as const }, { claim: '/sub' }],
    ]) {
      assert.ok(sameBucket(key, {}, {}))
      assert.ok(!sameBucket(key, { from: 'shop/a' }, { from: 'shop/b' }))
      assert.ok(!sameBucket(key, { clientIp: '10.0.0.1' }, { clientIp: '10.0.0.2' }))
    }
    const twice = (...values: string[]) => ({ headers: { 'x-t': values } })
    assert.ok(sameBucket([{ header: 'x-t' }], twice('a', 'b'), twice('c', 'd')))
    assert.ok(sameBucket([{ source: 'IP' }], { clientIp: 'unknown' }, { clientIp: 'fe80::1%eth0' }))
  })

  it('cannot be made to look like another', () => {
    const header = (a: string, b: string) => ({ headers: { 'x-a': a, 'x-b': b } })
    const value = fc.string({ unit: fc.constantFrom('a', '=', '#', '1', '2', '3', ' ', '?', '|'), maxLength: 6 })
    const lower = (text: string) => text.trim().toLowerCase()
    fc.assert(
      fc.property(value, value, value, value, (a, b, c, d) => {
        const isSame = lower(a) === lower(c) && lower(b) === lower(d)
        assert.equal(sameBucket([{ header: 'x-a' }, { header: 'x-b' }], header(a, b), header(c, d)), isSame)
      }),
    )
  })

  it('is the same for each request with one token, and of the request itself where the token has no such claim', () => {
    const ann = tokenFacts({ sub: 'ann' })
    const again = { token: ann.token! }
    assert.ok(sameBucket([{ claim: '/sub' }], { from: 'shop/a' }, { from: 'shop/b' }, [ann, again]))
    const nameless = tokenFacts({})
    const nobody = { token: nameless.token! }
    assert.ok(sameBucket([{ claim: '/sub' }], { from: 'shop/a' }, { from: 'shop/a' }, [nameless, nobody]))
    assert.ok(!sameBucket([{ claim: '/sub' }], { from: 'shop/a' }, { from: 'shop/b' }, [nameless, nobody]))
  })

  it('takes the type of a claim with it', () => {
    assert.ok(!sameBucket([{ claim: '/id' }], {}, {}, [tokenFacts({ id: 7 }), tokenFacts({ id: '7' })]))
  })
})

describe('several rate limits', () => {
  const slow: LimitSpec = { name: 'slow', limit: { requests: 1, per: '10s' } }
  const fast: LimitSpec = { name: 'fast', limit: { requests: 2, per: '1s' } }

  it('refuse with the longest wait, and a refused request spends none of them', () => {
    const limiter = new Limiter({ policies: [attached('p', [fast, slow])] })
    assert.ok(limiter.passes())
    for (let i = 0; i < 10; i++) assert.equal(limiter.refusal().rule, 'slow')
    limiter.deps.advance(10_000)
    assert.ok(limiter.passes())
  })

  it('let one that is in dry run refuse nobody, tell that it would have, and count what it let pass', () => {
    const limiter = new Limiter({ policies: [attached('p', [fast, { ...slow, mode: 'DryRun' }])] })
    const first: Facts = {}
    const second: Facts = {}
    assert.ok(limiter.passes({}, first))
    assert.equal(first.wouldDeny, undefined)
    assert.ok(limiter.passes({}, second))
    assert.equal(second.wouldDeny?.rule, 'slow')
    assert.equal(second.wouldDeny?.denial.name, 'rate-limited')
    assert.ok(!limiter.passes())
    limiter.deps.advance(10_000)
    const third: Facts = {}
    assert.ok(limiter.passes({}, third))
    assert.equal(third.wouldDeny, undefined)
  })

  it('leave out one that is off', () => {
    assert.equal(
      rateLimitSection.combine(
        levelsOf({ policies: [attached('p', [{ ...slow, mode: 'Off' as const }])] }),
        contextOf(),
      ),
      undefined,
    )
  })

  it('apply from all floors and policies, and from defaults where no policy has any', () => {
    const names = (words: Partial<Levels<RateLimitSpec>>) =>
      configOf(words).limits.map(({ name, policy }) => `${policy} ${name}`)
    const floor = [meshWide('base', [slow])]
    const defaults = [meshWide('base', [fast])]
    assert.deepEqual(names({ floor, policies: [attached('p', [fast]), attached('q', [fast])], defaults }), [
      'MeshSecurityPolicy/base slow',
      'SecurityPolicy/shop/p fast',
      'SecurityPolicy/shop/q fast',
    ])
    assert.deepEqual(names({ floor, defaults }), ['MeshSecurityPolicy/base slow', 'MeshSecurityPolicy/base fast'])
  })

  it('of one name in two policies have buckets of their own', () => {
    const limiter = new Limiter({
      policies: [attached('p', [slow]), attached('q', [{ ...slow, to: { paths: ['/q'] } }])],
    })
    assert.ok(limiter.passes({ path: '/' }))
    limiter.deps.advance(9_999)
    assert.equal(limiter.refusal({ path: '/q' }).origin, 'shop/p@1')
    limiter.deps.advance(1)
    assert.ok(limiter.passes({ path: '/q' }))
  })

  it('let through exactly what each of them would, taken together', () => {
    const limit = fc.record({
      requests: fc.integer({ min: 1, max: 4 }),
      power: fc.integer({ min: 6, max: 10 }),
      burst: fc.integer({ min: 1, max: 4 }),
      paths: fc.option(fc.constantFrom(['/a'], ['/b'], ['/{**}']), { nil: undefined }),
    })
    const calls = fc.array(
      fc.record({
        gapMs: fc.nat(300),
        path: fc.constantFrom('/a', '/b', '/c'),
        from: fc.constantFrom('shop/x', 'shop/y'),
      }),
      { maxLength: 40 },
    )
    fc.assert(
      fc.property(fc.array(limit, { minLength: 1, maxLength: 3 }), calls, (limits, asked) => {
        const limiter = new Limiter({
          policies: [
            attached(
              'p',
              limits.map(({ requests, power, burst, paths }, i): LimitSpec => {
                const to = paths && { paths }
                const key = [{ source: 'ServiceAccount' as const }]
                return {
                  name: `limit-${i}`,
                  key,
                  ...(to && { to }),
                  limit: { requests, per: `${2 ** power}ms`, burst },
                }
              }),
            ),
          ],
        })
        const passed = limits.map(() => new Map<string, number[]>())
        let ms = 0
        for (const { gapMs, path, from } of asked) {
          limiter.deps.advance(gapMs)
          ms += gapMs
          const applying = limits.flatMap(({ paths }, i) =>
            paths === undefined || paths[0] === '/{**}' || paths[0] === path ? [i] : [],
          )
          const conforms = applying.every((i) => {
            const { requests, power, burst } = limits[i]!
            const list = passed[i]!.get(from) ?? []
            return list.every((since, n) => (list.length - n + 1 - burst) * 2 ** power <= (ms - since) * requests)
          })
          if (conforms) for (const i of applying) passed[i]!.set(from, [...(passed[i]!.get(from) ?? []), ms])
          assert.equal(limiter.passes({ path, from }), conforms)
        }
      }),
    )
  })
})

describe('the memory of a rate limit', () => {
  it('T27: holds 100,000 clients and forgets the one not seen for longest', () => {
    const limiter = one({ key: [{ source: 'ServiceAccount' }], limit: { requests: 1, per: '24h' } })
    assert.equal(MAX_KEYS, 100_000)
    for (let i = 0; i < MAX_KEYS; i++) assert.ok(limiter.passes({ from: `shop/sa-${i}` }))
    assert.equal(limiter.deps.counts.get('rate_limit_keys_evicted'), undefined)
    assert.ok(!limiter.passes({ from: 'shop/sa-0' }))
    assert.ok(limiter.passes({ from: 'shop/one-more' }))
    assert.equal(limiter.deps.counts.get('rate_limit_keys_evicted'), 1)
    assert.ok(!limiter.passes({ from: 'shop/sa-99999' }))
    assert.ok(limiter.passes({ from: 'shop/sa-0' }))
  })

  it('never holds more than its bound, and keeps who came last', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 9 })), fc.integer({ min: 1, max: 5 }), (keys, bound) => {
        const buckets = createBuckets(bound)
        for (const [i, key] of keys.entries()) buckets.set(String(key), i)
        assert.ok(buckets.size <= bound)
        const recent = [...new Set(keys.toReversed())].slice(0, bound)
        for (const key of recent) assert.equal(buckets.get(String(key)), keys.lastIndexOf(key))
      }),
    )
  })

  it('holds a hash of what is long', () => {
    const hashed: string[] = []
    const deps = testDeps()
    const sha256 = (text: string) => {
      hashed.push(text)
      return 'hash'
    }
    const words = {
      policies: [attached('p', [{ name: 'a', key: [{ header: 'x-t' }], limit: { requests: 1, per: '1s' } }])],
    }
    const limiter = new Limiter(words, { ...deps, crypto: { ...deps.crypto, sha256 } })
    limiter.passes({ headers: { 'x-t': 'a'.repeat(64) } })
    assert.equal(hashed.length, 0)
    limiter.passes({ headers: { 'x-t': 'a'.repeat(10_000) } })
    assert.equal(hashed.length, 1)
  })

  it('outlives a push that leaves the limit what it is, and no other', () => {
    const spec: LimitSpec = { name: 'a', limit: { requests: 1, per: '1h' } }
    const first = new Limiter({ policies: [attached('p', [spec])] })
    assert.ok(first.passes())
    const origin = { kind: 'SecurityPolicy', namespace: 'shop', name: 'p', generation: 2 }
    const more: LimitSpec = { name: 'b', limit: { requests: 100, per: '1s' } }
    const pushed = new Limiter({ policies: [attached('p', [more, spec], { origin })] }, first.deps)
    assert.equal(pushed.refusal().origin, 'shop/p@2')
    const changed = new Limiter(
      { policies: [attached('p', [{ ...spec, limit: { requests: 2, per: '1h' } }])] },
      first.deps,
    )
    assert.ok(changed.passes())
  })

  it('T27: does not mind a wall clock that jumps', () => {
    const deps = withSha256(testDeps())
    let wallMs = 0
    const words = { policies: [attached('p', [{ name: 'a', limit: { requests: 1, per: '1s' } }])] }
    const limiter = new Limiter(words, { ...deps, clock: { now: () => wallMs, monotonic: deps.clock.monotonic } })
    assert.ok(limiter.passes())
    wallMs = 1e12
    assert.ok(!limiter.passes())
    wallMs = -1e12
    assert.ok(!limiter.passes())
    deps.advance(1_000)
    assert.ok(limiter.passes())
  })
})

describe('a shared rate limit', () => {
  const words = (limit: Partial<LimitSpec> = {}) => ({
    policies: [attached('p', [{ name: 'a', limit: { requests: 10, per: '10s' }, scope: 'Shared' as const, ...limit }])],
  })
  const passing = (limiter: Limiter) => Array.from({ length: 20 }, () => limiter.passes()).filter(Boolean).length

  it('lets each replica have its share, and says so in what it refuses', () => {
    const limiter = new Limiter(words(), { ...withSha256(testDeps()), share: { replicas: 3 } })
    assert.equal(passing(limiter), 3)
    const { detail, headers } = limiter.refusal()
    assert.equal(detail, '10 in 10000 ms, 10 at once, of which this replica has 1/3; the next one in 2000 ms')
    // What is shared is the limit: clients see the whole of it.
    assert.deepEqual(headers?.[2], ['ratelimit-policy', '"a";q=10;w=10'])
    limiter.deps.advance(2_000)
    assert.equal(passing(limiter), 1)
  })

  it('is all of one replica, and of one that does not know of others', () => {
    assert.equal(passing(new Limiter(words())), 10)
  })

  it('changes its share at once, and what was counted stays counted', () => {
    const share = { replicas: 2 }
    const limiter = new Limiter(words(), { ...withSha256(testDeps()), share })
    assert.equal(passing(limiter), 5)
    share.replicas = 1
    assert.equal(passing(limiter), 0)
    limiter.deps.advance(1_000)
    assert.equal(passing(limiter), 1)
    limiter.deps.advance(100_000)
    assert.equal(passing(limiter), 10)
  })

  it('leaves a local one beside it as it is', () => {
    const local: LimitSpec = { name: 'b', limit: { requests: 4, per: '10s' }, to: { paths: ['/b'] } }
    const shared: LimitSpec = { name: 'a', limit: { requests: 4, per: '10s' }, to: { paths: ['/a'] }, scope: 'Shared' }
    const deps = { ...withSha256(testDeps()), share: { replicas: 2 } }
    const limiter = new Limiter({ policies: [attached('p', [local, shared])] }, deps)
    const passed = (path: string) => Array.from({ length: 9 }, () => limiter.passes({ path })).filter(Boolean).length
    assert.deepEqual([passed('/a'), passed('/b')], [2, 4])
  })

  it('needs version 3 of the contract, as does a window of more than a day', () => {
    const since = (limit: Partial<LimitSpec>) => rateLimit.since?.(configOf(words(limit)))
    assert.equal(since({}), 3)
    assert.equal(since({ scope: 'Local' }), 1)
    assert.equal(since({ scope: 'Local', limit: { requests: 1, per: '24h' } }), 1)
    assert.equal(since({ scope: 'Local', limit: { requests: 1, per: '744h' } }), 3)
    assert.equal(rateLimit.since?.(undefined), 1)
  })

  it('is explained as one', () => {
    const [found] = rateLimit.explain(configOf(words()), requestOf({}), {})
    assert.equal(found?.expected, '10 in 10000 ms, 10 at once, shared by all replicas')
  })
})

describe('the rateLimit section', () => {
  it('keeps to the conventions of our CRDs', () => {
    assert.deepEqual(schemaFaults('rateLimit', rateLimitSection.schema['rateLimit'] ?? {}), [])
  })

  it('finds what does not parse, and key parts that say nothing or too much', () => {
    const limit = { requests: 1, per: '1s' }
    const issues = rateLimitSection.review([
      { name: 'a', limit: { requests: 1, per: '745h' } },
      { name: 'b', limit, to: { paths: ['/users/{id}', 'nope'] }, key: [{ path: 'id' }, { path: 'userId' }] },
      { name: 'c', limit, key: [{}, { claim: '/sub', header: 'x' }, { claim: 'sub' }, { header: 'x y' }] },
    ])
    assert.deepEqual(
      issues.map(({ path }) => path),
      [
        'rateLimit[0].limit.per',
        'rateLimit[1].to.paths[1]',
        'rateLimit[1].key[1].path',
        'rateLimit[2].key[0]',
        'rateLimit[2].key[1]',
        'rateLimit[2].key[2].claim',
        'rateLimit[2].key[3].header',
      ],
    )
  })

  it('explains which limits count a request, and spends none of them', () => {
    const config = configOf({
      policies: [
        attached('p', [
          { name: 'per-user', key: [{ claim: '/sub' }], limit: { requests: 50, per: '1s', burst: 100 } },
          { name: 'search', to: { methods: ['GET'], paths: ['/search'] }, limit: { requests: 1, per: '1s' } },
        ]),
      ],
    })
    assert.deepEqual(rateLimit.explain(config, requestOf({ path: '/orders' }), tokenFacts({ sub: 'ann' })), [
      {
        filter: 'rate-limit',
        rule: 'per-user',
        origin: 'shop/p@1',
        outcome: 'matched',
        field: 'limit',
        expected: '50 in 1000 ms, 100 at once',
        got: 'by claim /sub',
      },
      {
        filter: 'rate-limit',
        rule: 'search',
        origin: 'shop/p@1',
        outcome: 'not-matched',
        field: 'to',
        expected: 'GET, /search',
        got: 'GET /orders',
      },
    ])
  })
})
