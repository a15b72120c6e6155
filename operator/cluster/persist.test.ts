import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { KubernetesError } from '../kubernetes/errors.ts'
import { createPersist } from './persist.ts'

function start() {
  const clock = createManualClock()
  const end = new AbortController()
  const persist = createPersist({ clock, random: () => 0.5, log: silentLog, signal: end.signal })
  return { clock, end, persist }
}

const failed = (status: number) => new KubernetesError({ status, reason: 'x', message: 'x' })

test('what the API server cannot do yet is done when it can', async () => {
  const { clock, persist } = start()
  const answers: readonly (Error | string)[] = [failed(0), failed(403), failed(404), failed(429), failed(503), 'done']
  let attempts = 0
  const outcome = persist('it', async () => {
    const answer = answers[attempts++]
    if (answer instanceof Error) throw answer
    return answer
  })
  let result: string | undefined
  void outcome.then((value) => {
    result = value
  })
  for (let i = 0; i < 60 && result === undefined; i++) await clock.advance(1_000)
  assert.equal(await outcome, 'done')
  assert.equal(attempts, answers.length)
})

test('what no waiting mends is told at once', async () => {
  const { persist } = start()
  for (const error of [failed(422), new Error('a CA that is not ours')]) {
    await assert.rejects(
      persist('it', async () => {
        throw error
      }),
      error,
    )
  }
})

test('the end of the operator ends it', async () => {
  const { end, persist } = start()
  const outcome = persist('it', async () => {
    throw failed(0)
  })
  const reason = new Error('told to end')
  end.abort(reason)
  await assert.rejects(outcome, reason)
})
