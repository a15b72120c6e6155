import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SCENARIOS } from '../scenarios/all.ts'
import { readTourRequest } from './options.ts'

test('without options, everything is walked through, with two minutes of load', () => {
  assert.deepEqual(readTourRequest([]), {
    kind: 'walk',
    scenarios: SCENARIOS,
    own: false,
    stateDirectory: '.hauberk',
    soakMs: 120_000,
  })
})

test('scenarios are chosen by name or number, and come in the order of the tour', () => {
  const request = readTourRequest(['--only', 'rate-limit,3', '--only', '01'])
  assert.ok(request.kind === 'walk')
  assert.deepEqual(
    request.scenarios.map(({ name }) => name),
    ['plain-http', 'no-token', 'rate-limit'],
  )
})

test('what is not understood is said, not guessed', () => {
  for (const args of [['--only', 'no-such'], ['--soak', 'long'], ['--soak', '-1'], ['--quick'], ['extra']]) {
    assert.equal(readTourRequest(args).kind, 'wrong', args.join(' '))
  }
})

test('every scenario has a name of its own', () => {
  assert.equal(new Set(SCENARIOS.map(({ name }) => name)).size, SCENARIOS.length)
})
