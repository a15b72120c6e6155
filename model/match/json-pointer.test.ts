import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseJsonPointer } from './json-pointer.ts'

describe('a JSON pointer', () => {
  const claims = { sub: 'u1', org: { dept: 'eng', 'a/b': 1, 'm~n': 2 }, roles: ['x', 'y'], none: null }
  const read = (text: string) => {
    const parsed = parseJsonPointer(text)
    assert.ok(parsed.ok)
    return parsed.value.read(claims)
  }

  it('reads members and items (RFC 6901, section 5)', () => {
    assert.equal(read('/sub'), 'u1')
    assert.equal(read('/org/dept'), 'eng')
    assert.equal(read('/org/a~1b'), 1)
    assert.equal(read('/org/m~0n'), 2)
    assert.equal(read('/roles/1'), 'y')
    assert.equal(read('/none'), null)
  })

  it('finds nothing where there is nothing, on prototypes too', () => {
    for (const text of ['/x', '/sub/length', '/roles/2', '/roles/01', '/roles/length', '/none/x', '/constructor']) {
      assert.equal(read(text), undefined, text)
    }
    assert.equal(read('/__proto__'), undefined)
  })

  it('refuses what is no pointer, and the pointer to everything', () => {
    for (const text of ['', 'sub', 'org.dept', '/a~2', '/a~', '/a'.repeat(17), `/${'a'.repeat(300)}`]) {
      assert.ok(!parseJsonPointer(text).ok, text)
    }
  })
})
