import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDrain } from './drain.ts'
import { silentLog } from './log.ts'
import { createManualClock } from './manual-clock.ts'

const settings = () => ({ clock: createManualClock(), log: silentLog, deadlineMs: 1_000, graceMs: 100 })

test('steps run one after another, in the order they were added, once', async () => {
  const drain = createDrain(settings())
  const ran: string[] = []
  drain.step('first', async () => {
    await Promise.resolve()
    ran.push('first')
  })
  drain.step('second', () => void ran.push('second'))
  assert.equal(drain.signal.aborted, false)
  const draining = drain.drain('SIGTERM')
  assert.equal(drain.signal.aborted, true)
  assert.equal(drain.drain('SIGINT'), draining)
  const report = await draining
  assert.deepEqual(ran, ['first', 'second'])
  assert.equal(report.reason, 'SIGTERM')
  assert.equal(report.clean, true)
})

test('a step that fails does not keep the next from running', async () => {
  const drain = createDrain(settings())
  let ran = false
  drain.step('broken', () => {
    throw new Error('no')
  })
  drain.step('next', () => {
    ran = true
  })
  const report = await drain.drain('test')
  assert.equal(ran, true)
  assert.deepEqual(
    report.steps.map(({ name, outcome }) => [name, outcome]),
    [
      ['broken', 'failed'],
      ['next', 'done'],
    ],
  )
  assert.equal(report.clean, false)
})

test('at the deadline a step is told to hurry, and when it does not it is left behind', async () => {
  const options = settings()
  const drain = createDrain(options)
  let hurried = false
  let lastSawAbort: boolean | undefined
  drain.step('polite', (signal) => {
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        hurried = true
        resolve()
      })
    })
  })
  drain.step('stuck', () => new Promise(() => {}))
  drain.step('last', (signal) => {
    lastSawAbort = signal.aborted
  })
  const draining = drain.drain('test')
  await options.clock.advance(999)
  assert.equal(hurried, false)
  await options.clock.advance(1)
  assert.equal(hurried, true)
  await options.clock.advance(100)
  const report = await draining
  assert.deepEqual(
    report.steps.map(({ outcome }) => outcome),
    ['done', 'late', 'done'],
  )
  assert.equal(lastSawAbort, true)
  assert.equal(options.clock.pendingTimers(), 0)
})
