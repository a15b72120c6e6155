import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../../runtime/clock.ts'
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

/** A load whose timers run later than they are due, by what `late` says. */
function lateLoad(maxLagMs: number) {
  const clock = createManualClock()
  const late = { ms: 0 }
  let passedMs = 0
  const lateClock: Clock = {
    ...clock,
    monotonic: () => clock.monotonic() + passedMs,
    setTimer(delayMs, run, options) {
      const runLate = () => {
        passedMs += late.ms
        run()
      }
      return clock.setTimer(delayMs, runLate, options)
    },
  }
  const load = createLoad(lateClock, { maxInFlight: 1_000_000, maxLagMs })
  /** Of a hundred requests that come at once, how many are let in. */
  const admitted = () => {
    let count = 0
    for (let i = 0; i < 100; i++) {
      if (!load.enter()) continue
      count += 1
      load.leave()
    }
    return count
  }
  return { clock, late, admitted }
}

test('F18: a pause refuses nobody: what waited meanwhile is served', async () => {
  const { clock, late, admitted } = lateLoad(500)
  assert.equal(admitted(), 100)
  late.ms = 5_000
  await clock.advance(100)
  late.ms = 0
  assert.equal(admitted(), 100)
  await clock.advance(100)
  assert.equal(admitted(), 100)
})

test('F18: a second or two of pauses, one after the other, refuse nobody either', async () => {
  const { clock, late, admitted } = lateLoad(500)
  assert.equal(admitted(), 100)
  late.ms = 600
  for (let i = 0; i < 4; i++) {
    await clock.advance(100)
    assert.equal(admitted(), 100)
  }
})

test('F18: while the event loop stays late ever fewer are let in, most always are, and that ends by itself', async () => {
  const { clock, late, admitted } = lateLoad(500)
  late.ms = 501
  assert.equal(admitted(), 100)
  const shares: number[] = []
  for (let i = 0; i < 20; i++) {
    await clock.advance(100)
    shares.push(admitted())
  }
  assert.deepEqual(
    shares.slice(1).filter((share, i) => share > (shares[i] ?? 0) + 1),
    [],
  )
  // More refusals would cost more answers than they save.
  assert.ok((shares[7] ?? 0) < 100 && (shares.at(-1) ?? 0) >= 59 && (shares.at(-1) ?? 0) <= 61, shares.join())
  late.ms = 0
  let waited = 0
  while (admitted() < 100) {
    await clock.advance(100)
    waited += 1
    assert.ok(waited <= 30, 'all are let in again')
  }
  assert.ok(waited >= 3, 'not all of them at once')
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
