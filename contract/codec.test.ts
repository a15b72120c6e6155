import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import * as v from 'valibot'
import fc from '#fast-check'
import { canonicalJson, decode, versionOf } from './codec.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url')

/** The same value with the members of every object in another order. */
function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffled)
  if (typeof value !== 'object' || value === null) return value
  const out: Record<string, unknown> = Object.create(null)
  for (const key of Object.keys(value).reverse()) out[key] = shuffled((value as Record<string, unknown>)[key])
  return out
}

test('equal values have one canonical form, whatever the order of their members', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      assert.equal(canonicalJson(shuffled(value)), canonicalJson(value))
      assert.deepEqual(JSON.parse(canonicalJson(value)), JSON.parse(JSON.stringify(value)))
    }),
  )
})

test('every string is written as JSON has it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.equal(canonicalJson(text), JSON.stringify(text))
      assert.equal(canonicalJson({ [text]: 1 }), `{${JSON.stringify(text)}:1}`)
    }),
  )
})

test('what is known of parts is taken as it is', () => {
  const part = { b: 1, a: [2] }
  const known = new WeakMap([[part, canonicalJson(part)]])
  assert.equal(canonicalJson({ x: [part], y: part }, known), canonicalJson({ x: [part], y: part }))
  assert.equal(canonicalJson([part], new WeakMap([[part, 'known']])), '[known]')
})

test('values that differ have canonical forms that differ', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
      const equal = JSON.stringify(shuffled(a)) === JSON.stringify(shuffled(b))
      if (!equal && canonicalJson(a) === canonicalJson(b)) assert.deepEqual(JSON.parse(canonicalJson(a)), b)
    }),
  )
})

test('a version is a hash of all of a document but the version', () => {
  const document = { contract: 1, version: 'old', list: [1, { b: 1, a: 2 }] }
  assert.equal(versionOf(document, sha256), versionOf({ ...document, version: 'other' }, sha256))
  assert.notEqual(versionOf(document, sha256), versionOf({ ...document, list: [1, { b: 1, a: 3 }] }, sha256))
  assert.equal(versionOf(document, sha256).length, 43)
})

test('what is not JSON, and what a schema does not know, is refused with its place', () => {
  const schema = v.strictObject({ name: v.string() })
  const broken = decode(schema, '{"name":')
  assert.equal(!broken.ok && broken.issues[0]?.code, 'not-json')
  const odd = decode(schema, '{"name":"a","other":1}')
  assert.equal(!odd.ok && odd.issues[0]?.path, 'other')
  assert.equal(decode(schema, '{"__proto__":{"name":"a"}}').ok, false)
})
