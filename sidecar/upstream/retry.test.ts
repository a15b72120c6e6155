import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type FailedAttempt, mayRetry } from './retry.ts'

const LOST: FailedAttempt = { retries: 0, request: 'closed', method: 'GET', hasBody: false, hasSentBody: false }

test('what nobody has looked at may be sent again, whatever it is', () => {
  assert.equal(mayRetry({ ...LOST, request: 'unseen', method: 'POST', hasBody: true }), true)
})

test('what was sent may be sent again if a kept connection was closed and nothing happens twice by it (RFC 9112, 9.3.1)', () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']) {
    assert.equal(mayRetry({ ...LOST, method }), true, method)
  }
  for (const method of ['POST', 'PATCH', 'CONNECT', 'LOCK', 'get']) {
    assert.equal(mayRetry({ ...LOST, method }), false, method)
  }
  assert.equal(mayRetry({ ...LOST, hasBody: true }), false)
  assert.equal(mayRetry({ ...LOST, request: 'seen' }), false)
})

test('nothing is sent a third time, nor without the part of its body that is gone', () => {
  assert.equal(mayRetry({ ...LOST, retries: 1 }), false)
  assert.equal(mayRetry({ ...LOST, request: 'unseen', hasBody: true, hasSentBody: true }), false)
})
