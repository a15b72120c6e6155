import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { Balancer, type BalanceSettings, type Candidate, PLAIN_BALANCE } from './balancer.ts'

interface Endpoint extends Candidate {
  readonly name: number
}

interface Given {
  readonly outstanding?: number
  readonly isUp?: boolean
  readonly latencyMs?: number
  readonly sinceMs?: number
}

function endpoint(name: number, { outstanding = 0, isUp = true, latencyMs = 0, sinceMs = 0 }: Given = {}): Endpoint {
  return { name, outstanding, sinceMs, isAvailable: () => isUp, latencyMs: () => latencyMs }
}

/** Numbers that look drawn and are the same every time (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

function shares(
  near: readonly Endpoint[],
  far: readonly Endpoint[],
  settings: BalanceSettings = PLAIN_BALANCE,
  { nowMs = 0, picks = 20_000 } = {},
): (name: number) => number {
  const balancer = new Balancer(near, far, settings, seeded(7))
  const counts = new Map<number, number>()
  for (let i = 0; i < picks; i++) {
    const { name } = balancer.pick(nowMs)!
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return (name) => (counts.get(name) ?? 0) / picks
}

function assertAbout(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 0.03, `${actual} is not about ${expected}`)
}

test('of two endpoints the one with fewer requests is chosen', () => {
  const [idle, busy] = [endpoint(0, { outstanding: 1 }), endpoint(1, { outstanding: 9 })]
  assert.equal(shares([idle, busy], [])(0), 1)
})

test('equal endpoints get equal shares', () => {
  const share = shares(
    [0, 1, 2, 3].map((name) => endpoint(name)),
    [],
  )
  for (const name of [0, 1, 2, 3]) assertAbout(share(name), 0.25)
})

test('of two endpoints with as many requests the one that answers sooner is chosen, unless the difference is noise', () => {
  const slow = endpoint(0, { latencyMs: 80 })
  assert.equal(shares([slow, endpoint(1, { latencyMs: 5 })], [])(1), 1)
  assertAbout(shares([slow, endpoint(1, { latencyMs: 75 })], [])(1), 0.5)
  assertAbout(shares([endpoint(0, { latencyMs: 0.4 }), endpoint(1, { latencyMs: 0.1 })], [])(1), 0.5)
})

test('a slow endpoint with few requests waits longer than a fast one with several', () => {
  const [slow, fast] = [endpoint(0, { latencyMs: 400, outstanding: 1 }), endpoint(1, { latencyMs: 9, outstanding: 6 })]
  assert.equal(shares([slow, fast], [])(1), 1)
})

test('an endpoint of which nothing is known is compared by its requests alone', () => {
  assertAbout(shares([endpoint(0, { latencyMs: 900 }), endpoint(1)], [])(1), 0.5)
  assert.equal(shares([endpoint(0, { latencyMs: 900 }), endpoint(1, { outstanding: 1 })], [])(0), 1)
})

test('an endpoint that is put aside is chosen only if all are', () => {
  const [up, down] = [endpoint(0, { outstanding: 50 }), endpoint(1, { isUp: false })]
  assert.equal(shares([up, down], [])(0), 1)
  assert.equal(shares([down], [])(1), 1)
  assertAbout(shares([down, endpoint(2, { isUp: false })], [])(2), 0.5)
})

test('the one that has just failed is not chosen again, even if it is the only one', () => {
  const [failed, other] = [endpoint(0), endpoint(1, { outstanding: 99 })]
  const of = (near: readonly Endpoint[]) => new Balancer(near, [], PLAIN_BALANCE, Math.random)
  assert.equal(of([failed, other]).pick(0, failed), other)
  assert.equal(of([failed]).pick(0, failed), undefined)
  assert.equal(of([]).pick(0), undefined)
})

test('a new endpoint comes to its share little by little', () => {
  const [old, fresh] = [endpoint(0, { sinceMs: -1e9 }), endpoint(1, { sinceMs: 0 })]
  const settings = { ...PLAIN_BALANCE, warmUpMs: 10_000 }
  const at = (nowMs: number) => shares([old, fresh], [], settings, { nowMs })(1)
  assertAbout(at(0), 0.05)
  assertAbout(at(5_000), 0.25)
  assertAbout(at(10_000), 0.5)
})

test('endpoints that are all new share as if none were', () => {
  const share = shares(
    [0, 1, 2].map((name) => endpoint(name)),
    [],
    { ...PLAIN_BALANCE, warmUpMs: 60_000 },
    { nowMs: 5 },
  )
  for (const name of [0, 1, 2]) assertAbout(share(name), 1 / 3)
})

test('requests stay in the zone until its endpoints are too loaded, or none of them is up', () => {
  const settings = { ...PLAIN_BALANCE, spillOver: 2 }
  const far = [endpoint(8, { outstanding: 3 }), endpoint(9, { outstanding: 3 })]
  assert.equal(shares([endpoint(0, { outstanding: 7 })], far, settings)(0), 1)
  assert.equal(shares([endpoint(0, { outstanding: 8 })], far, settings)(0), 0)
  assert.equal(shares([endpoint(0, { isUp: false })], far, settings)(0), 0)
  const down = far.map(({ name }) => endpoint(name, { isUp: false }))
  assert.equal(shares([endpoint(0, { outstanding: 99 })], down, settings)(0), 1)
})

test('every choice is a candidate, never the excepted one, never one put aside beside one that is not, never the busiest of two', () => {
  const candidate = fc.record({ outstanding: fc.nat(10), isUp: fc.boolean(), latencyMs: fc.nat(3) })
  fc.assert(
    fc.property(
      fc.array(candidate, { maxLength: 8 }),
      fc.array(candidate, { maxLength: 3 }),
      fc.nat(8),
      fc.nat(),
      fc.nat(30_000),
      (nearby, elsewhere, excepted, seed, warmUpMs) => {
        const near = nearby.map((given, name) => endpoint(name, { ...given, sinceMs: given.outstanding * 1_000 }))
        const far = elsewhere.map((given, i) => endpoint(100 + i, given))
        const all = [...near, ...far]
        const except = near[excepted]
        const picked = new Balancer(near, far, { warmUpMs, spillOver: 2 }, seeded(seed)).pick(20_000, except)
        const others = all.filter((each) => each !== except)
        if (others.length === 0) return picked === undefined
        if (picked === undefined || picked === except || !all.includes(picked)) return false
        const usable = others.filter((each) => each.isAvailable(0))
        if (usable.length > 0 && !usable.includes(picked)) return false
        const isPlain = warmUpMs === 0 && far.length === 0 && usable.length === 2
        const [a, b] = usable
        if (!isPlain || a!.latencyMs(0) !== b!.latencyMs(0)) return true
        return picked.outstanding === Math.min(a!.outstanding, b!.outstanding)
      },
    ),
  )
})

test('a pick leaves nothing to collect', () => {
  const balancer = new Balancer(
    Array.from({ length: 32 }, (_, name) => endpoint(name, { latencyMs: name % 5, isUp: name % 7 !== 0 })),
    [endpoint(99)],
    { warmUpMs: 1_000, spillOver: 2 },
    () => 0.37,
  )
  for (let i = 0; i < 50_000; i++) balancer.pick(500)
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < 100_000; i++) balancer.pick(500)
  const grown = process.memoryUsage().heapUsed - before
  assert.ok(grown < 2_000_000, `${grown} bytes for 100,000 picks`)
})
