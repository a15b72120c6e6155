import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sleep, systemClock } from './clock.ts'

test('the system clock runs a timer once, and a shorter one before it', async () => {
  const runs: number[] = []
  await new Promise<void>((resolve) => {
    for (const delayMs of [20, 5, 40]) {
      systemClock.setTimer(delayMs, () => {
        runs.push(delayMs)
        if (delayMs === 40) resolve()
      })
    }
  })
  assert.deepEqual(runs, [5, 20, 40])
})

test('a cancelled timer never runs', async () => {
  const cancel = systemClock.setTimer(1, () => assert.fail('ran'))
  cancel()
  cancel()
  await sleep(systemClock, 10)
})

test('an abort cancels a timer, and an aborted signal prevents one', async () => {
  const abort = new AbortController()
  systemClock.setTimer(1, () => assert.fail('ran'), { signal: abort.signal })
  abort.abort()
  systemClock.setTimer(0, () => assert.fail('ran'), { signal: abort.signal })
  await sleep(systemClock, 10)
})

test('a timer longer than setTimeout knows does not run at once', async () => {
  const cancel = systemClock.setTimer(2 ** 31 + 1_000, () => assert.fail('ran'))
  await sleep(systemClock, 10)
  cancel()
})

test('sleep rejects with the reason of its signal', async () => {
  const abort = new AbortController()
  const sleeping = sleep(systemClock, 60_000, { signal: abort.signal })
  abort.abort(new Error('enough'))
  await assert.rejects(sleeping, /enough/)
  await assert.rejects(sleep(systemClock, 1, { signal: abort.signal }), /enough/)
})
