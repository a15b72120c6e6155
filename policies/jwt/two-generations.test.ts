import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { TwoGenerations } from './two-generations.ts'

test('T25: neither entries nor bytes go beyond their bounds, whatever is put in', () => {
  const operation = fc.record({
    kind: fc.constantFrom('set', 'set', 'set', 'get', 'delete'),
    key: fc.nat(30).map(String),
    bytes: fc.nat(40),
  })
  fc.assert(
    fc.property(
      fc.nat(12),
      fc.nat(120),
      fc.array(operation, { maxLength: 200 }),
      (maxEntries, maxBytes, operations) => {
        const map = new TwoGenerations<number>({ maxEntries, maxBytes })
        const newest = new Map<string, number>()
        operations.forEach(({ kind, key, bytes }, i) => {
          if (kind === 'set') {
            map.set(key, i, bytes)
            newest.set(key, i)
          } else if (kind === 'delete') {
            map.delete(key)
            newest.delete(key)
          } else {
            const found = map.get(key)
            if (found !== undefined) assert.equal(found, newest.get(key), 'an old value came back')
          }
          assert.ok(map.size <= maxEntries, `${map.size} entries of ${maxEntries}`)
          assert.ok(map.bytes <= maxBytes, `${map.bytes} bytes of ${maxBytes}`)
        })
      },
    ),
    { numRuns: 500 },
  )
})

test('what was just put in is there, and what is asked for stays', () => {
  const map = new TwoGenerations<number>({ maxEntries: 10 })
  map.set('kept', 1)
  for (let i = 0; i < 1_000; i++) {
    map.set(`other ${i}`, i)
    assert.equal(map.get(`other ${i}`), i)
    assert.equal(map.get('kept'), 1)
  }
  assert.equal(map.get('other 0'), undefined)
})

test('an entry that would take half of the bytes is not kept, and drives nothing out', () => {
  const map = new TwoGenerations<string>({ maxEntries: 10, maxBytes: 100 })
  map.set('small', 'a', 10)
  map.set('huge', 'b', 51)
  assert.equal(map.get('huge'), undefined)
  assert.equal(map.get('small'), 'a')
})

test('bounds of nothing keep nothing, and a bound of one keeps one', () => {
  const none = new TwoGenerations<number>({ maxEntries: 0 })
  none.set('a', 1)
  assert.equal(none.size, 0)
  const one = new TwoGenerations<number>({ maxEntries: 1 })
  one.set('a', 1)
  one.set('b', 2)
  assert.deepEqual([one.size, one.get('a'), one.get('b')], [1, undefined, 2])
})
