import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHealth } from './health.ts'

test('a condition fails until it is first said to hold', () => {
  const health = createHealth()
  const config = health.condition('config', 'ready')
  assert.deepEqual(health.ready(), {
    ok: false,
    conditions: [{ name: 'config', scope: 'ready', ok: false, reason: 'not yet' }],
  })
  config.pass()
  assert.equal(health.ready().ok, true)
  config.fail('no config was ever received')
  assert.equal(health.ready().conditions[0]?.reason, 'no config was ever received')
})

test('a process that is not ready can be live; one that is not live is not ready', () => {
  const health = createHealth()
  const loop = health.condition('loop', 'live')
  const config = health.condition('config', 'ready')
  loop.pass()
  assert.equal(health.live().ok, true)
  assert.equal(health.ready().ok, false)
  config.pass()
  loop.fail('stuck')
  assert.equal(health.live().ok, false)
  assert.equal(health.ready().ok, false)
})

test('whenReady resolves when the last condition holds, and rejects when its signal aborts', async () => {
  const health = createHealth()
  const a = health.condition('a', 'ready')
  const b = health.condition('b', 'live')
  const abort = new AbortController()
  const given = health.whenReady(abort.signal)
  abort.abort(new Error('too late'))
  await assert.rejects(given, /too late/)
  const waiting = health.whenReady()
  a.pass()
  b.pass()
  await waiting
  await health.whenReady()
})

test('a name is given once', () => {
  const health = createHealth()
  health.condition('config', 'ready')
  assert.throws(() => health.condition('config', 'live'), /config/)
})
