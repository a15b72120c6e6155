import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_ANSWERS, MAX_ASKED_AT_ONCE, SharedAnswers } from './shared-answers.ts'

const rules = { keepMs: () => 60_000, overloaded: 'overloaded', now: () => 0 }

test('T27: answers are forgotten for newer ones where there are more than are remembered', async () => {
  const answers = new SharedAnswers<string>(rules)
  for (let i = 0; i < MAX_ANSWERS * 2; i++) await answers.ask(`question ${i}`, async () => 'yes', undefined)
  assert.ok(answers.size <= MAX_ANSWERS, String(answers.size))
  assert.equal(answers.get(`question ${MAX_ANSWERS * 2 - 1}`), 'yes')
  assert.equal(answers.get('question 0'), undefined)
})

test('F18: of questions that nobody answers, so many wait and one more is answered by nobody', async () => {
  const answers = new SharedAnswers<string>(rules)
  for (let i = 0; i < MAX_ASKED_AT_ONCE; i++) void answers.ask(`question ${i}`, () => new Promise(() => {}), undefined)
  assert.equal(answers.asking, MAX_ASKED_AT_ONCE)
  assert.equal(await answers.ask('one more', async () => 'yes', undefined), 'overloaded')
})

test('a question that failed is asked again', async () => {
  const answers = new SharedAnswers<string>(rules)
  await assert.rejects(
    answers.ask('q', async () => Promise.reject(new Error('no')), undefined),
    /no/,
  )
  assert.equal(answers.asking, 0)
  assert.equal(await answers.ask('q', async () => 'yes', undefined), 'yes')
})
