import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EncodedLines, MAX_KEPT_BYTES } from './encoded-lines.ts'

test('lines are written again from the third time on, for as long as the table is what it was', () => {
  const known = new EncodedLines()
  const lines = {}
  const out = Buffer.from('..encoded..')
  const again = (generation: number, filter?: object) => {
    const to = Buffer.alloc(9)
    const end = known.write(lines, filter, generation, to, 1)
    return end === -1 ? undefined : to.toString('latin1', 1, end)
  }
  known.keep(lines, undefined, 1, out, 2, 9)
  assert.equal(again(1), undefined)
  known.keep(lines, undefined, 1, out, 2, 9)
  out.fill(0)
  assert.equal(again(1), 'encoded')
  assert.equal(again(2), undefined)
  assert.equal(again(1, {}), undefined)
  known.keep({}, undefined, 1, out, 2, 9)
  assert.equal(again(1), undefined)
})

test('what is too long is not kept', () => {
  const known = new EncodedLines()
  const lines = {}
  const out = Buffer.alloc(MAX_KEPT_BYTES + 1)
  for (let time = 0; time < 2; time++) known.keep(lines, undefined, 0, out, 0, out.length)
  assert.equal(known.write(lines, undefined, 0, out, 0), -1)
})
