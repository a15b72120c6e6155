import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createIdSource } from './ids.ts'

test('ids are sixteen hex digits, all different, and drawn in advance', () => {
  let draws = 0
  const newId = createIdSource((bytes) => {
    draws += 1
    crypto.getRandomValues(bytes)
  })
  const ids = new Set(Array.from({ length: 10_000 }, newId))
  assert.equal(ids.size, 10_000)
  for (const id of ids) assert.match(id, /^[0-9a-f]{16}$/)
  assert.ok(draws < 30)
})
