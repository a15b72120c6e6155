import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { atOnce } from '../../model/turns.ts'
import { textInTurns } from './text-in-turns.ts'

test('the text of a value is the one that JSON.stringify makes', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 8 }), (value) =>
      assert.equal(atOnce(textInTurns(value)), JSON.stringify(value)),
    ),
  )
  const sparse = {
    a: undefined,
    b: [undefined, { c: undefined }],
    d: {},
    e: [],
    f: { g: { h: { i: { j: { k: 1 } } } } },
  }
  assert.equal(atOnce(textInTurns(sparse)), JSON.stringify(sparse))
})

test('a long text takes turns', () => {
  const routes = Array.from({ length: 1_000 }, (_, i) => ({ id: `route-${i}`, text: 'x'.repeat(500) }))
  const turns = [...textInTurns({ listeners: [{ routes }] })]
  assert.ok(turns.length >= 7, `${turns.length} turns`)
  assert.deepEqual([...textInTurns({ listeners: [] })], [])
})
