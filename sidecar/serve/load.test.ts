import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createLoad, MIN_IN_FLIGHT } from './load.ts'
import { createMemoryWatch, type MemoryReading } from './memory-watch.ts'

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

test('F18: without memory to spare only a few are let in, until there is some again', async () => {
  const clock = createManualClock()
  let isTight = false
  const load = createLoad(clock, { maxInFlight: 1_000, maxLagMs: 500 }, { isTight: () => isTight })
  for (let i = 0; i < 100; i++) assert.equal(load.enter(), true)
  isTight = true
  await clock.advance(100)
  assert.equal(load.enter(), false)
  while (load.inFlight > 0) load.leave()
  for (let i = 0; i < MIN_IN_FLIGHT; i++) assert.equal(load.enter(), true)
  assert.equal(load.enter(), false)
  isTight = false
  await clock.advance(100)
  assert.equal(load.enter(), true)
})

test('memory is tight near what the container may have, or near the end of the heap, and read ten times a second', () => {
  const plenty: MemoryReading = { resident: 50, maxResident: 100, heap: 50, maxHeap: 100 }
  let reading = plenty
  let readings = 0
  const watch = createMemoryWatch(() => {
    readings += 1
    return reading
  })
  assert.equal(watch.isTight(0), false)
  reading = { ...plenty, resident: 86 }
  assert.equal(watch.isTight(50), false)
  assert.equal(watch.isTight(100), true)
  reading = { ...plenty, heap: 93 }
  assert.equal(watch.isTight(200), true)
  reading = { ...plenty, resident: 86, maxResident: Number.POSITIVE_INFINITY }
  for (let nowMs = 300; nowMs < 400; nowMs++) assert.equal(watch.isTight(nowMs), false)
  assert.equal(readings, 4)
  reading = { ...plenty, resident: undefined }
  assert.equal(watch.isTight(500), false)
  // Of this very process, whatever it may have.
  assert.equal(createMemoryWatch().isTight(0), false)
})
