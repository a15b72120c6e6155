import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { createBackoff } from './backoff.ts'

test('the upper bound doubles until it reaches the maximum', () => {
  const backoff = createBackoff({ baseMs: 100, maxMs: 1_000, random: () => 1 })
  assert.deepEqual(
    Array.from({ length: 6 }, () => backoff.next()),
    [100, 200, 400, 800, 1_000, 1_000],
  )
  assert.equal(backoff.attempts, 6)
})

test('a success begins anew', () => {
  const backoff = createBackoff({ baseMs: 100, maxMs: 1_000, random: () => 1 })
  backoff.next()
  backoff.next()
  backoff.reset()
  assert.equal(backoff.next(), 100)
})

test('every wait is a number between the bounds, however long it goes on', () => {
  fc.assert(
    fc.property(
      fc.nat(1_000),
      fc.nat(100_000),
      fc.nat(500),
      fc.double({ min: 0, max: 0.999999, noNaN: true }),
      fc.integer({ min: 1, max: 2_000 }),
      (baseMs, extraMs, minMs, drawn, turns) => {
        const maxMs = minMs + extraMs
        const backoff = createBackoff({ baseMs, maxMs, minMs, random: () => drawn })
        for (let turn = 0; turn < turns; turn++) {
          const waitMs = backoff.next()
          assert.ok(waitMs >= minMs && waitMs <= maxMs, `${waitMs}`)
        }
      },
    ),
    { numRuns: 50 },
  )
})
