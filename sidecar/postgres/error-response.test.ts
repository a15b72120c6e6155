import assert from 'node:assert/strict'
import { test } from 'node:test'
import { writeErrorResponse } from './error-response.ts'

test('a client is told in the fields that every server sends', () => {
  const bytes = writeErrorResponse({ sqlState: '28000', message: 'no', hint: 'ask' })
  assert.equal(bytes.toString('latin1', 0, 1), 'E')
  assert.equal(bytes.readUInt32BE(1), bytes.length - 1)
  assert.deepEqual(bytes.toString('utf8', 5).split('\0'), ['SFATAL', 'VFATAL', 'C28000', 'Mno', 'Hask', '', ''])
})

test('a name that a client has chosen ends no field, moves no cursor, and is told in part if it is long', () => {
  const bytes = writeErrorResponse({ sqlState: '28000', message: `user "\0R\u001b[2J${'x'.repeat(9_000)}"` })
  const fields = bytes.toString('utf8', 5).split('\0')
  assert.equal(fields.length, 6)
  assert.match(fields[3] ?? '', /^Muser "\?R\?\[2Jx{400,}$/)
  assert.ok(bytes.length < 600)
})
