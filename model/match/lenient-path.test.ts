import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import { lenient } from './lenient-path.ts'
import { type PathPattern, parsePathPattern } from './path.ts'

function pattern(text: string): PathPattern {
  const parsed = parsePathPattern(text)
  assert.ok(parsed.ok, `${text} parses`)
  return parsed.value
}

describe('a lenient path pattern', () => {
  const cases: readonly [pattern: string, path: string, matches: boolean][] = [
    ['/admin', '/admin', true],
    ['/admin', '/admin/', true],
    ['/admin/', '/admin', true],
    ['/admin', '/ADMIN', true],
    ['/Admin', '/admin', true],
    ['/admin', '/admin;jsessionid=1', true],
    ['/admin', '/admin%3Bx', true],
    ['/admin/users', '/admin;v=1/users', true],
    ['/admin/users', '/admin/;x/users', true],
    ['/admin', '/public/..;/admin', true],
    ['/report@q1', '/report%40q1', true],
    ['/report%40q1', '/report@q1', true],
    ['/a;b', '/a;b', true],
    ['/a;b', '/a', false],
    ['/a;b', '/A;b/', true],
    ['/', '/', true],
    ['/', '*', true],
    ['/{**}', '*', true],
    ['/export/{**}', '/EXPORT/a', true],
    ['/admin', '/administrator', false],
    ['/admin', '/a', false],
    ['/{x}/b', '/a/B', true],
    ['/a/{x}/b', '/a/b', false],
  ]
  for (const [text, path, matches] of cases) {
    it(`T17: ${text} ${matches ? 'covers' : 'does not cover'} ${path}`, () => {
      assert.equal(lenient(pattern(text)).matches(path), matches)
      assert.equal(lenient(pattern(text)).variables(path) !== undefined, matches)
    })
  }

  it('keeps the case of variables, and decodes them once', () => {
    assert.deepEqual({ ...lenient(pattern('/users/{id}')).variables('/Users/Al%2541;v=1/') }, { id: 'Al%41' })
  })

  it('covers whatever the strict pattern matches', () => {
    const segment = fc.constantFrom('a', 'B', 'a;b', ';x', 'a%3Bb', '%C3%A9', '%C4%B0', 'a.b', '%FF', '{v}', '{*}')
    const sent = fc.constantFrom('a', 'A', 'B', 'b', 'a;b', ';x', 'a%3Bb', '%C3%A9', '%C4%B0', 'a.b', '%FF', '')
    const literal = (text: string) => !text.startsWith('{')
    fc.assert(
      fc.property(
        fc.array(segment, { minLength: 1, maxLength: 3 }),
        fc.boolean(),
        fc.array(sent, { minLength: 1, maxLength: 3 }),
        (segments, rest, parts) => {
          fc.pre(segments.filter((text) => text === '{v}').length < 2)
          const strict = pattern(`/${segments.join('/')}${rest ? '/{**}' : ''}`)
          const path = `/${parts.join('/')}`
          // A parameter in a segment that stands where a variable does may leave it empty: then the strict pattern decides.
          fc.pre(segments.every(literal))
          if (strict.matches(path)) assert.ok(lenient(strict).matches(path), `${strict.text} on ${path}`)
        },
      ),
      { numRuns: 5_000 },
    )
  })
})
