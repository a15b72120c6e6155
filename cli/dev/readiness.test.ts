import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../runtime/clock.ts'
import { watchReadiness } from './readiness.ts'
import { until } from './testing/small-mesh.ts'

function watch(t: TestContext, look: () => Promise<boolean>) {
  const changes: boolean[] = []
  const readiness = watchReadiness({ look, onChange: (isReady) => changes.push(isReady), clock: systemClock })
  t.after(() => readiness.close())
  return { readiness, changes }
}

test('what becomes ready is told once, whatever a look that fails says', async (t) => {
  let looks = 0
  const { readiness, changes } = watch(t, async () => {
    looks += 1
    if (looks === 1) throw new Error('nobody answers')
    return looks > 2
  })
  await readiness.first
  assert.equal(looks, 3)
  assert.equal(readiness.isReady, true)
  assert.deepEqual(changes, [true])
})

test('what is lost is looked at soon again, and not by the eyes of a look from before', async (t) => {
  const answers: ((isReady: boolean) => void)[] = []
  const { readiness, changes } = watch(t, () => new Promise((resolve) => answers.push(resolve)))
  const answer = async (isReady: boolean) => {
    const respond = await until('somebody looks', () => answers.shift())
    respond(isReady)
  }
  await answer(true)
  await readiness.first
  readiness.lost()
  assert.deepEqual(changes, [true, false])
  const stale = await until('somebody looks', () => answers.shift(), 500)
  readiness.lost()
  stale(true)
  await answer(false)
  await answer(true)
  await until('it is ready', () => readiness.isReady || undefined)
  assert.deepEqual(changes, [true, false, true])
})

test('whoever waits for what is closed is told so', async (t) => {
  const { readiness } = watch(t, async () => false)
  readiness.close()
  await assert.rejects(readiness.first, /not waited for any more/)
})
