import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Answer } from './answer.ts'
import { MAX_ANSWERS, MAX_ASKED_AT_ONCE, SharedAnswers } from './shared-answers.ts'

const ALLOWED: Answer = { kind: 'allowed', upstreamHeaders: [], removeHeaders: [], clientHeaders: [] }

test('T27: answers are forgotten for newer ones where there are more than are remembered', async () => {
  const answers = new SharedAnswers(60_000, () => 0)
  for (let i = 0; i < MAX_ANSWERS * 2; i++) await answers.ask(`question ${i}`, async () => ALLOWED, undefined)
  assert.ok(answers.size <= MAX_ANSWERS, String(answers.size))
  assert.equal(answers.get(`question ${MAX_ANSWERS * 2 - 1}`), ALLOWED)
  assert.equal(answers.get('question 0'), undefined)
})

test('F18: of questions that nobody answers, so many wait and one more is answered by nobody', async () => {
  const answers = new SharedAnswers(60_000, () => 0)
  for (let i = 0; i < MAX_ASKED_AT_ONCE; i++) void answers.ask(`question ${i}`, () => new Promise(() => {}), undefined)
  assert.equal(answers.asking, MAX_ASKED_AT_ONCE)
  const said = await answers.ask('one more', async () => ALLOWED, undefined)
  assert.ok(said.kind === 'none' && said.reason === 'overloaded')
})

test('a question that failed is asked again', async () => {
  const answers = new SharedAnswers(60_000, () => 0)
  await assert.rejects(
    answers.ask('q', async () => Promise.reject(new Error('no')), undefined),
    /no/,
  )
  assert.equal(answers.asking, 0)
  assert.equal(await answers.ask('q', async () => ALLOWED, undefined), ALLOWED)
})
