import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sleep } from './clock.ts'
import { createManualClock } from './manual-clock.ts'

test('timers run in the order of their due times, equal ones as they were set, each at its own time', async () => {
  const clock = createManualClock(1_000)
  const ran: string[] = []
  const note = (name: string) => () => ran.push(`${name}@${clock.now()}`)
  clock.setTimer(30, note('c'))
  clock.setTimer(10, note('a'))
  clock.setTimer(30, note('d'))
  clock.setTimer(20, note('b'))
  await clock.advance(29)
  assert.deepEqual(ran, ['a@1010', 'b@1020'])
  await clock.advance(1)
  assert.deepEqual(ran, ['a@1010', 'b@1020', 'c@1030', 'd@1030'])
  assert.equal(clock.pendingTimers(), 0)
})

test('a loop that sleeps is driven through every turn that fits', async () => {
  const clock = createManualClock()
  const turns: number[] = []
  const loop = async () => {
    for (let turn = 0; turn < 5; turn++) {
      await sleep(clock, 10)
      turns.push(clock.monotonic())
    }
  }
  const done = loop()
  await clock.advance(35)
  assert.deepEqual(turns, [10, 20, 30])
  await clock.advance(20)
  await done
  assert.deepEqual(turns, [10, 20, 30, 40, 50])
})

test('a jump of the wall clock moves no timer and no monotonic time', async () => {
  const clock = createManualClock(0)
  let ran = false
  clock.setTimer(10, () => {
    ran = true
  })
  clock.jump(3_600_000)
  await clock.advance(9)
  assert.equal(ran, false)
  assert.equal(clock.now(), 3_600_009)
  assert.equal(clock.monotonic(), 9)
  clock.jump(-7_200_000)
  await clock.advance(1)
  assert.equal(ran, true)
})

test('cancelled and aborted timers do not run', async () => {
  const clock = createManualClock()
  const abort = new AbortController()
  clock.setTimer(1, () => assert.fail('ran'))()
  clock.setTimer(1, () => assert.fail('ran'), { signal: abort.signal })
  abort.abort()
  assert.equal(clock.pendingTimers(), 0)
  await clock.advance(10)
})
