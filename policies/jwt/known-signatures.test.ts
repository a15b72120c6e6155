import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import fc from '#fast-check'
import { KnownSignatures, SIGNATURE_BYTES } from './known-signatures.ts'

const keyOf = (name: number | string) => hash('sha256', String(name), 'base64url')

test('T25: entries and octets stay within their bounds, overfilled', () => {
  for (const maxEntries of [0, 1, 2, 255, 256, 257, 1_000, 5_000]) {
    const known = new KnownSignatures(maxEntries)
    for (let i = 0; i < 6_000; i++) known.add(keyOf(i), 1, 1_000)
    assert.equal(known.size, maxEntries)
    assert.ok(known.bytes <= Math.max(4, maxEntries * SIGNATURE_BYTES), `${known.bytes} octets for ${maxEntries}`)
  }
})

test('as many as there is room for may come in turn, and all are known', () => {
  const known = new KnownSignatures(1_000)
  for (let i = 0; i < 1_000; i++) known.add(keyOf(i), 1, 1_000)
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 1_000; i++) {
      assert.deepEqual(known.recall(keyOf(i), 1, 0), { untilMs: 1_000, distance: 999 })
    }
  }
})

test('what was found good counts for its keys and its time only', () => {
  const known = new KnownSignatures(10)
  known.add(keyOf('a'), 7, 1_000)
  assert.equal(known.recall(keyOf('a'), 8, 0), undefined)
  assert.equal(known.recall(keyOf('a'), 7, 1_000), undefined)
  assert.deepEqual(known.recall(keyOf('a'), 7, 999), { untilMs: 1_000, distance: 0 })
  known.add(keyOf('a'), 8, 2_000)
  assert.equal(known.size, 1)
  assert.deepEqual(known.recall(keyOf('a'), 8, 1_500), { untilMs: 2_000, distance: 0 })
})

test('hashes that differ in one character are two', () => {
  const one = keyOf('a')
  for (let at = 0; at < one.length; at++) {
    const known = new KnownSignatures(4)
    const other = one.slice(0, at) + (one[at] === 'A' ? 'E' : 'A') + one.slice(at + 1)
    known.add(one, 1, 1_000)
    assert.equal(known.recall(other, 1, 0), undefined, `character ${at}`)
    known.add(other, 2, 2_000)
    assert.equal(known.recall(one, 1, 0)?.untilMs, 1_000)
    assert.equal(known.recall(other, 2, 0)?.untilMs, 2_000)
  }
})

test('it knows what a list of the newest additions knows, whatever is added and asked for', () => {
  const operation = fc.record({
    kind: fc.constantFrom('add', 'recall'),
    name: fc.nat(40),
    generation: fc.nat(2),
    untilMs: fc.nat(20),
    nowMs: fc.nat(20),
  })
  fc.assert(
    fc.property(fc.nat(12), fc.array(operation, { maxLength: 200 }), (maxEntries, operations) => {
      const known = new KnownSignatures(maxEntries)
      let newest: { name: number; generation: number; untilMs: number }[] = []
      for (const { kind, name, generation, untilMs, nowMs } of operations) {
        const before = newest.find((entry) => entry.name === name)
        if (kind === 'recall') {
          const counts = before?.generation === generation && nowMs < before.untilMs
          assert.equal(known.recall(keyOf(name), generation, nowMs)?.untilMs, counts ? before.untilMs : undefined)
        } else {
          known.add(keyOf(name), generation, untilMs)
          if (before !== undefined) Object.assign(before, { generation, untilMs })
          else newest.push({ name, generation, untilMs })
          newest = maxEntries === 0 ? [] : newest.slice(-maxEntries)
        }
        assert.equal(known.size, newest.length)
      }
    }),
    { numRuns: 500 },
  )
})
