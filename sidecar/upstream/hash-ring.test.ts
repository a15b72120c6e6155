import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { HashRing, hashText, MAX_POINTS, type RingMember } from './hash-ring.ts'

function member(key: string, { outstanding = 0, isUp = true } = {}): RingMember {
  return { key, outstanding, isAvailable: () => isUp }
}

function members(count: number): RingMember[] {
  return Array.from({ length: count }, (_, i) => member(`10.0.${i >> 8}.${i & 255}:8080`))
}

const KEYS = Array.from({ length: 5_000 }, (_, i) => `user-${i}`)
const keyOf = (ring: HashRing<RingMember>, key: string, inFlight = 0) => ring.pick(hashText(key), inFlight, 0)?.key

test('a key leads to the same member whoever asks, and in whatever order the members came', () => {
  const [ring, other] = [new HashRing(members(10)), new HashRing(members(10).reverse())]
  for (const key of KEYS) assert.equal(keyOf(ring, key), keyOf(other, key))
})

test('each member gets about its share of the keys', () => {
  const ring = new HashRing(members(10))
  const counts = Map.groupBy(KEYS, (key) => keyOf(ring, key))
  assert.equal(counts.size, 10)
  for (const keys of counts.values()) assert.ok(keys.length > 300 && keys.length < 750, String(keys.length))
})

test('when a member goes only its keys move, and when one comes it takes only its share', () => {
  const all = members(10)
  const [before, after] = [new HashRing(all), new HashRing(all.slice(0, 9))]
  const gone = all[9]!.key
  let moved = 0
  for (const key of KEYS) {
    if (keyOf(before, key) === gone) moved += 1
    else assert.equal(keyOf(after, key), keyOf(before, key))
  }
  assert.ok(moved > 300 && moved < 750, String(moved))
})

test('the keys of a member that is put aside go to others, and come back with it', () => {
  const all = members(5)
  const ring = new HashRing(all)
  const home = KEYS.find((key) => keyOf(ring, key) === all[2]!.key)!
  const without = new HashRing(all.map(({ key }, i) => member(key, { isUp: i !== 2 })))
  assert.notEqual(keyOf(without, home), all[2]!.key)
  for (const key of KEYS) if (keyOf(ring, key) !== all[2]!.key) assert.equal(keyOf(without, key), keyOf(ring, key))
})

test('a key that everybody uses does not bring its member down', () => {
  const loads = new Map(members(4).map(({ key }) => [key, 0]))
  const ring = new HashRing(
    [...loads.keys()]
      .map((key) => ({ key, isAvailable: () => true, outstanding: 0 }))
      .map((each) => Object.defineProperty(each, 'outstanding', { get: () => loads.get(each.key) })),
  )
  for (let inFlight = 0; inFlight < 100; inFlight++) {
    const { key } = ring.pick(hashText('the-one'), inFlight, 0)!
    loads.set(key, loads.get(key)! + 1)
  }
  assert.ok(Math.max(...loads.values()) <= 32, JSON.stringify([...loads]))
})

test('very many members make a ring of bounded size that still finds one', () => {
  for (const count of [129, 5_000, 20_000]) {
    const ring = new HashRing(members(count))
    assert.ok(ring.size <= Math.max(MAX_POINTS, count), String(ring.size))
    assert.ok(keyOf(ring, 'x') !== undefined)
  }
})

test('every choice is a member, never the excepted one, never one put aside beside one that is not', () => {
  const up = fc.array(fc.record({ isUp: fc.boolean(), outstanding: fc.nat(20) }), { maxLength: 12 })
  fc.assert(
    fc.property(up, fc.string(), fc.nat(12), fc.nat(40), (given, key, excepted, inFlight) => {
      const all = given.map((each, i) => member(`m${i}`, each))
      const except = all[excepted]
      const picked = new HashRing(all).pick(hashText(key), inFlight, 0, except)
      const others = all.filter((each) => each !== except)
      if (others.length === 0) return picked === undefined
      if (picked === undefined || picked === except) return false
      return picked.isAvailable(0) || others.every((each) => !each.isAvailable(0))
    }),
  )
})

test('texts that differ little have hashes that differ much', () => {
  const hashes = new Set(KEYS.map((key) => hashText(key) >>> 20))
  assert.ok(hashes.size > 2_800, String(hashes.size))
})
