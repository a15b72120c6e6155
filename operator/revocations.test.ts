import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { MAX_REVOCATIONS } from '../contract/revocations.ts'
import { createCurrentRevocations, MAX_REVOCATIONS_BYTES } from './revocations.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url')

test('a revocation is told until it is over, in a document that changes only then', () => {
  let nowMs = 0
  const current = createCurrentRevocations(() => nowMs, sha256)
  const revocations = [
    { name: 'a', jti: 'a', untilMs: 100 },
    { name: 'b', sub: 'ann' },
  ]
  const first = current(revocations)
  assert.deepEqual([...first.active], ['a', 'b'])
  nowMs = 99
  assert.equal(current([...revocations]).document, first.document)
  nowMs = 100
  const later = current(revocations)
  assert.deepEqual(later.document.revocations, [{ name: 'b', sub: 'ann' }])
  assert.notEqual(later.document.version, first.document.version)
  assert.equal(current(revocations), later)
})

test('where there are more than sidecars hold, or more bytes, they are told that, and what is over does not count', () => {
  const current = createCurrentRevocations(() => 1_000, sha256)
  const many = Array.from({ length: MAX_REVOCATIONS + 1 }, (_, i) => ({ name: `r${i}`, jti: `j${i}` }))
  const { document } = current(many)
  assert.deepEqual([document.tooMany, document.revocations], [true, []])
  const over = current(many.map((each, i) => (i === 0 ? { ...each, untilMs: 1 } : each)))
  assert.equal(over.document.tooMany, undefined)
  assert.equal(over.document.revocations.length, MAX_REVOCATIONS)
  const long = 'x'.repeat(MAX_REVOCATIONS_BYTES)
  assert.equal(current([{ name: 'long', jti: long }]).document.tooMany, true)
})
