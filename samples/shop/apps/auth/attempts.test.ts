import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LoginAttempts } from './attempts.ts'

test('guesses count when they begin, so that many at once are many', () => {
  const attempts = new LoginAttempts(() => 0)
  const waits = Array.from({ length: 8 }, () => attempts.begin('alice', '192.0.2.1'))
  assert.deepEqual(waits, [0, 0, 0, 0, 0, 60, 60, 60])
})

test('a right password does not count', () => {
  const attempts = new LoginAttempts(() => 0)
  for (let i = 0; i < 50; i++) {
    assert.equal(attempts.begin('alice', '192.0.2.1'), 0)
    attempts.forgive('alice', '192.0.2.1')
  }
})

test('one address cannot try many users', () => {
  const attempts = new LoginAttempts(() => 0)
  for (let i = 0; i < 30; i++) assert.equal(attempts.begin(`user-${i}`, '192.0.2.1'), 0)
  assert.equal(attempts.begin('user-30', '192.0.2.1'), 60)
  assert.equal(attempts.begin('user-30', '192.0.2.2'), 0)
})

test('a minute later the count starts again', () => {
  let now = 0
  const attempts = new LoginAttempts(() => now)
  for (let i = 0; i < 5; i++) attempts.begin('alice', '192.0.2.1')
  now = 59_500
  assert.equal(attempts.begin('alice', '192.0.2.1'), 1)
  now = 60_000
  assert.equal(attempts.begin('alice', '192.0.2.1'), 0)
})

test('what is remembered is bounded', () => {
  const attempts = new LoginAttempts(() => 0, 100)
  for (let i = 0; i < 1_000; i++) attempts.begin('alice', `address-${i}`)
  assert.equal(attempts.remembered, 100)
})
