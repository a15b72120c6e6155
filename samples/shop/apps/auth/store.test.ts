import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createStore } from './store.ts'

test('a flood of one kind pushes out its own oldest entries and no other kind', async () => {
  const store = createStore(() => 0, 100)
  await store('RefreshToken').upsert('kept', { grantId: 'g' }, 60)
  for (let i = 0; i < 1_000; i++) await store('Interaction').upsert(`i${i}`, {}, 60)
  assert.equal(await store('Interaction').find('i899'), undefined)
  assert.ok(await store('Interaction').find('i900'))
  assert.ok(await store('RefreshToken').find('kept'))
})

test('an entry ends with its lifetime', async () => {
  let now = 0
  const store = createStore(() => now)
  await store('Session').upsert('s', { uid: 'u' }, 60)
  now = 59_999
  assert.ok(await store('Session').findByUid('u'))
  now = 60_000
  assert.equal(await store('Session').find('s'), undefined)
})

test('revoking a grant removes what belongs to it', async () => {
  const store = createStore()
  await store('RefreshToken').upsert('a', { grantId: 'one' }, 60)
  await store('RefreshToken').upsert('b', { grantId: 'two' }, 60)
  await store('RefreshToken').revokeByGrantId('one')
  assert.equal(await store('RefreshToken').find('a'), undefined)
  assert.ok(await store('RefreshToken').find('b'))
})
