import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createLoad } from './load.ts'

test('no more is let in than may be in flight', () => {
  const load = createLoad(createManualClock(), { maxInFlight: 2, maxLagMs: 100 })
  assert.equal(load.enter(), true)
  assert.equal(load.enter(), true)
  assert.equal(load.enter(), false)
  assert.equal(load.inFlight, 2)
  load.leave()
  assert.equal(load.enter(), true)
})

test('while the event loop is late nothing new is let in, and that ends by itself', async () => {
  const clock = createManualClock()
  let lateMs = 0
  // Timers run when they are due, and the time they see is later.
  const load = createLoad({ ...clock, monotonic: () => clock.monotonic() + lateMs }, { maxInFlight: 9, maxLagMs: 500 })
  assert.equal(load.enter(), true)
  lateMs = 501
  await clock.advance(100)
  assert.equal(load.enter(), false)
  await clock.advance(100)
  assert.equal(load.enter(), true)
})

test('nothing to do means no timer', async () => {
  const clock = createManualClock()
  const load = createLoad(clock, { maxInFlight: 9, maxLagMs: 500 })
  assert.equal(clock.pendingTimers(), 0)
  load.enter()
  load.leave()
  assert.equal(clock.pendingTimers(), 1)
  await clock.advance(300)
  assert.equal(clock.pendingTimers(), 0)
})
