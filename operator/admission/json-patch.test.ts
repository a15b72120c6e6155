import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import { jsonPatch } from './json-patch.ts'
import { applyPatch } from './testing/apply-patch.ts'

describe('a JSON patch', () => {
  it('makes the second document of the first, whatever they are', () => {
    const document = fc.oneof(
      { weight: 1, arbitrary: fc.jsonValue() },
      { weight: 3, arbitrary: fc.array(fc.record({ name: fc.constantFrom('a', 'b', 'c/~d') }), { maxLength: 5 }) },
      { weight: 2, arbitrary: fc.dictionary(fc.constantFrom('a', 'a/b', '~1', ''), fc.jsonValue({ maxDepth: 2 })) },
    )
    fc.assert(
      fc.property(document, document, (before, after) => {
        const [from, to] = [before, after].map((value) => JSON.parse(JSON.stringify(value)) as unknown)
        assert.deepEqual(applyPatch(from, jsonPatch(from, to)), to)
      }),
    )
  })

  it('adds a member that is named as what objects inherit from', () => {
    const after: unknown = JSON.parse('{"__proto__":{"a":1}}')
    assert.deepEqual(jsonPatch({}, after), [{ op: 'add', path: '/__proto__', value: { a: 1 } }])
    assert.deepEqual(applyPatch({}, jsonPatch({}, after)), after)
    assert.deepEqual(applyPatch(after, jsonPatch(after, {})), {})
  })

  it('is empty between equal documents', () => {
    assert.deepEqual(jsonPatch({ a: [1, { b: 2 }], c: undefined }, { a: [1, { b: 2 }] }), [])
  })

  it('adds at the front of a list without sending what was there', () => {
    assert.deepEqual(jsonPatch({ list: ['b', 'c'] }, { list: ['a', 'b', 'c'] }), [
      { op: 'add', path: '/list/0', value: 'a' },
    ])
  })

  it('escapes names as RFC 6901 has it', () => {
    assert.deepEqual(jsonPatch({ annotations: {} }, { annotations: { 'hauberk.dev/a~b': '1' } }), [
      { op: 'add', path: '/annotations/hauberk.dev~1a~0b', value: '1' },
    ])
  })
})
