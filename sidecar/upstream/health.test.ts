import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PassiveHealth } from './health.ts'

test('an endpoint is put aside after three failures in a row, not after three in all', () => {
  const health = new PassiveHealth()
  health.fail(0)
  health.fail(0)
  health.succeed()
  health.fail(0)
  health.fail(0)
  assert.equal(health.isAvailable(0), true)
  health.fail(0)
  assert.equal(health.isAvailable(0), false)
  assert.equal(health.isAvailable(1_999), false)
  assert.equal(health.isAvailable(2_000), true)
})

test('one that comes back and fails again is put aside at once, for twice as long, up to a minute', () => {
  const health = new PassiveHealth()
  for (let i = 0; i < 3; i++) health.fail(0)
  let nowMs = 2_000
  for (const expectedMs of [4_000, 8_000, 16_000, 32_000, 60_000, 60_000]) {
    health.fail(nowMs)
    assert.equal(health.isAvailable(nowMs + expectedMs - 1), false)
    assert.equal(health.isAvailable(nowMs + expectedMs), true)
    nowMs += expectedMs
  }
  health.succeed()
  health.fail(nowMs)
  assert.equal(health.isAvailable(nowMs), true)
})

test('failures of requests that were under way when it was put aside do not make it longer', () => {
  const health = new PassiveHealth()
  for (let i = 0; i < 20; i++) health.fail(0)
  assert.equal(health.isAvailable(2_000), true)
})
