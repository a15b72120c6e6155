import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type FailedAttempt, mayRetry } from './retry.ts'

const LOST: FailedAttempt = {
  retries: 0,
  hasWritten: true,
  hasRead: false,
  wasReused: true,
  method: 'GET',
  hasBody: false,
}

test('what was never written may be sent again, whatever it is', () => {
  assert.equal(mayRetry({ ...LOST, hasWritten: false, wasReused: false, method: 'POST', hasBody: true }), true)
})

test('what was written may be sent again if a kept connection was closed and nothing happens twice by it (RFC 9112, 9.3.1)', () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']) {
    assert.equal(mayRetry({ ...LOST, method }), true, method)
  }
  for (const method of ['POST', 'PATCH', 'CONNECT', 'LOCK', 'get']) {
    assert.equal(mayRetry({ ...LOST, method }), false, method)
  }
  assert.equal(mayRetry({ ...LOST, hasBody: true }), false)
  assert.equal(mayRetry({ ...LOST, wasReused: false }), false)
})

test('nothing is sent a third time, nor after a byte of an answer', () => {
  assert.equal(mayRetry({ ...LOST, retries: 1 }), false)
  assert.equal(mayRetry({ ...LOST, hasRead: true }), false)
  assert.equal(mayRetry({ ...LOST, hasRead: true, hasWritten: false }), false)
})
