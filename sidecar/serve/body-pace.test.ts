import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BodyPace } from './body-pace.ts'

const LIMITS = { minBodyBytesPerSecond: 100, bodyGraceMs: 10_000 }

/** Takes `bytes` each `everyMs`; how many reads until it is too slow, at most 1,000. */
function readsUntilTooSlow(bytes: number, everyMs: number): number {
  const pace = new BodyPace(LIMITS)
  let nowMs = 0
  for (let reads = 1; reads <= 1_000; reads++) {
    pace.waits(nowMs)
    nowMs += everyMs
    if (!pace.took(bytes, nowMs)) return reads
  }
  return 1_000
}

test('T20: one byte just before each silence would be too long ends at the first read behind the grace', () => {
  assert.equal(readsUntilTooSlow(1, 29_000), 1)
  assert.equal(readsUntilTooSlow(1, 3_000), 4)
})

test('a body at the rate or above is never too slow, one below is in the end', () => {
  assert.equal(readsUntilTooSlow(100, 1_000), 1_000)
  assert.equal(readsUntilTooSlow(3_000, 29_000), 1_000)
  assert.ok(readsUntilTooSlow(90, 1_000) < 1_000)
})

test('what came fast at first is a credit for what comes slowly', () => {
  const pace = new BodyPace(LIMITS)
  assert.ok(pace.took(5_000, 0))
  pace.waits(0)
  assert.ok(pace.took(1, 60_000))
  pace.waits(60_000)
  assert.equal(pace.took(1, 61_000), false)
})

test('time in which nobody waits for the client does not count', () => {
  const pace = new BodyPace(LIMITS)
  let nowMs = 0
  for (let i = 0; i < 100; i++) {
    pace.waits(nowMs)
    nowMs += 10
    assert.ok(pace.took(1, nowMs))
    // The upstream holds it back.
    nowMs += 60_000
  }
})
