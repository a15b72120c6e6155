import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KnownSection, MAX_KNOWN_BYTES } from './known-section.ts'

test('a section is known again by all of its octets, the table and its context', () => {
  const known = new KnownSection<string>()
  const bytes = Buffer.from('..section..')
  assert.equal(known.find(bytes, 2, 9, 0, 0), undefined)
  known.remember(bytes, 2, 9, 7, 1, 'read')
  assert.equal(known.find(Buffer.from('section'), 0, 7, 7, 1), 'read')
  assert.equal(known.find(bytes, 2, 8, 7, 1), undefined)
  assert.equal(known.find(Buffer.from('sectioN'), 0, 7, 7, 1), undefined)
  assert.equal(known.find(bytes, 2, 9, 8, 1), undefined)
  assert.equal(known.find(bytes, 2, 9, 7, 0), undefined)
})

test('the newest section is known, and what is too long to keep leaves it as it was', () => {
  const known = new KnownSection<string>()
  known.remember(Buffer.from('one'), 0, 3, 0, 0, 'one')
  known.remember(Buffer.from('three'), 0, 5, 0, 0, 'three')
  const long = Buffer.alloc(MAX_KNOWN_BYTES + 1)
  known.remember(long, 0, long.length, 0, 0, 'long')
  assert.equal(known.find(Buffer.from('one'), 0, 3, 0, 0), undefined)
  assert.equal(known.find(Buffer.from('three'), 0, 5, 0, 0), 'three')
  assert.equal(known.find(long, 0, long.length, 0, 0), undefined)
})
