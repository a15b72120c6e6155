import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { MAX_REASONS, OnceASecond } from './once-a-second.ts'

function world() {
  const clock = createManualClock(Date.UTC(2026, 0, 1))
  const told: string[] = []
  const once = new OnceASecond<string>(clock, (line, standsFor) => told.push(`${line} x${standsFor}`))
  return { clock, told, once }
}

test('the first of a reason is told at once, the newest of those that follow a second later with their number', async () => {
  const { clock, told, once } = world()
  for (const line of ['a', 'b', 'c', 'd']) once.add('bare-lf', line)
  once.add('bad-host', 'e')
  assert.deepEqual(told, ['a x1', 'e x1'])
  await clock.advance(1_000)
  assert.deepEqual(told, ['a x1', 'e x1', 'd x3'])
  once.add('bad-host', 'f')
  assert.deepEqual(told.slice(3), ['f x1'])
})

test('whatever the rate, no two lines of one reason are less than a second apart, and every one is stood for', async () => {
  const clock = createManualClock(Date.UTC(2026, 0, 1))
  const at: number[] = []
  let stoodFor = 0
  const once = new OnceASecond<string>(clock, (_line, standsFor) => {
    at.push(clock.monotonic())
    stoodFor += standsFor
  })
  for (let i = 0; i < 3_700; i++) {
    once.add('bare-lf', 'x')
    await clock.advance(i % 7 === 0 ? 3 : 1)
  }
  await clock.advance(5_000)
  assert.equal(stoodFor, 3_700)
  assert.ok(at.length >= 4, `${at.length} lines`)
  for (const [index, ms] of at.entries()) if (index > 0) assert.ok(ms - at[index - 1]! >= 1_000, at.join(' '))
})

test('when nothing comes any more nothing is remembered, and there is no timer', async () => {
  const { clock, once } = world()
  once.add('bare-lf', 'a')
  once.add('bare-lf', 'b')
  await clock.advance(3_000)
  assert.equal(once.size, 0)
  assert.equal(clock.pendingTimers(), 0)
})

test('reasons beyond those that are told apart share one line a second', async () => {
  const { clock, told, once } = world()
  for (let i = 0; i < MAX_REASONS + 1_000; i++) once.add(`reason-${i}`, `line ${i}`)
  assert.equal(once.size, MAX_REASONS + 1)
  assert.equal(told.length, MAX_REASONS + 1)
  await clock.advance(1_000)
  assert.deepEqual(told.slice(MAX_REASONS + 1), [`line ${MAX_REASONS + 999} x999`])
})

test('what was left out is told at the end', () => {
  const { clock, told, once } = world()
  for (const line of ['a', 'b', 'c']) once.add('bare-lf', line)
  once.flush()
  assert.deepEqual(told, ['a x1', 'c x2'])
  assert.equal(clock.pendingTimers(), 0)
})
