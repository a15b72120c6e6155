import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { type JsonReading, readJson } from './read-json.ts'

const DEEP = 64

function refused(text: string, maxDepth = DEEP): string {
  const read = readJson(text, maxDepth)
  assert.equal(read.ok, false, text)
  return (read as JsonReading & { ok: false }).reason
}

test('what JSON.stringify writes is read as it was', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), fc.constantFrom(0, 2), (json, indent) => {
      const text = JSON.stringify(JSON.parse(json), null, indent)
      const read = readJson(text, DEEP)
      assert.ok(read.ok)
      assert.equal(JSON.stringify(read.value), JSON.stringify(JSON.parse(text)))
    }),
  )
})

test('nothing is read that JSON.parse refuses, and a difference is always stricter', () => {
  const soup = fc.string({ unit: fc.constantFrom(...'{}[]",:\\u0123456789dDeE+-.truefalsn \t\n/b'), maxLength: 24 })
  fc.assert(
    fc.property(fc.oneof(soup, fc.string({ unit: 'binary' })), (text) => {
      const read = readJson(text, DEEP)
      if (!read.ok) return
      assert.equal(JSON.stringify(read.value), JSON.stringify(JSON.parse(text)))
    }),
    { numRuns: 5_000 },
  )
})

test('T23: a member that is there twice is refused, at any depth and in any spelling', () => {
  for (const text of ['{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '[{"b":{"c":0,"d":0,"c":0}}]', '{"":1,"":2}']) {
    assert.equal(refused(text), 'a member that is there twice')
  }
})

test('T23: nesting is bounded, however deep the text goes', () => {
  assert.equal(readJson('[[[0]]]', 3).ok, true)
  assert.equal(refused('[[[[0]]]]', 3), 'deeper than 3')
  assert.equal(refused('['.repeat(20_000), 16), 'deeper than 16')
  assert.equal(refused('{"a":'.repeat(20_000), 16), 'deeper than 16')
  const read = readJson('{"a":[1,{}],"b":[]}', DEEP)
  assert.equal(read.ok && read.depth, 3)
})

test('T23: a byte order mark, comments, trailing text and JavaScript are no JSON', () => {
  for (const text of [
    '',
    '\ufeff{}',
    '{} {}',
    '{}x',
    '{"a":1,}',
    '[1,]',
    '[,1]',
    '{a:1}',
    "{'a':1}",
    '/**/{}',
    'undefined',
    'NaN',
    'Infinity',
    '01',
    '1.',
    '.5',
    '+1',
    '1e',
    '0x10',
    '-',
    'tru',
    'nullx',
    '"a',
    '"\\x"',
    '"\\u12"',
    '"\\u12g4"',
    '"\n"',
    '"\0"',
    '{"a" 1}',
    '{"a":}',
    '{1:1}',
    '\u00a0{}',
    '\v{}',
  ]) {
    refused(text)
  }
})

test('T23: a number that is not finite is refused, and 1e300 is a number', () => {
  refused('1e400')
  refused('-1e999')
  assert.deepEqual(readJson('1e300', DEEP), { ok: true, depth: 0, value: 1e300 })
})

test('half of a surrogate pair is no text', () => {
  refused('"\\ud800"')
  refused('"\\udc00\\ud800"')
  assert.deepEqual(readJson('"\\ud83d\\ude00"', DEEP), { ok: true, depth: 0, value: '😀' })
})

test('names that mean something to JavaScript are only names', () => {
  const read = readJson('{"__proto__":{"admin":true},"constructor":1,"toString":2}', DEEP)
  assert.ok(read.ok)
  const value = read.value as Record<string, unknown>
  assert.equal(Object.getPrototypeOf(value), null)
  assert.deepEqual(Object.keys(value), ['__proto__', 'constructor', 'toString'])
  assert.equal(value['admin'], undefined)
})

test('what was read cannot be changed', () => {
  const read = readJson('{"a":[{"b":1}]}', DEEP)
  assert.ok(read.ok)
  const value = read.value as { a: { b: number }[] }
  assert.throws(() => value.a.push({ b: 2 }), TypeError)
  assert.throws(() => {
    ;(value.a[0] as { b: number }).b = 2
  }, TypeError)
})
