import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import { type PathPattern, parsePathPattern } from './path.ts'

function pattern(text: string): PathPattern {
  const parsed = parsePathPattern(text)
  assert.ok(parsed.ok, `${text} parses`)
  return parsed.value
}

describe('a path pattern', () => {
  const cases: readonly [pattern: string, path: string, matches: boolean][] = [
    ['/', '/', true],
    ['/', '/a', false],
    ['/', '*', false],
    ['/healthz', '/healthz', true],
    ['/healthz', '/healthz/', false],
    ['/healthz', '/Healthz', false],
    ['/healthz', '/healthzz', false],
    ['/a/', '/a/', true],
    ['/a/', '/a', false],
    ['/users/{userId}/orders', '/users/7/orders', true],
    ['/users/{userId}/orders', '/users/7/orders/', false],
    ['/users/{userId}/orders', '/users//orders', false],
    ['/users/{userId}/orders', '/users/7/8/orders', false],
    ['/users/{userId}', '/users/', false],
    ['/users/{userId}', '/users', false],
    ['/{*}/b', '/a/b', true],
    ['/{*}/b', '//b', false],
    ['/{**}', '/', true],
    ['/{**}', '/a/b/c', true],
    ['/{**}', '*', false],
    ['/export/{**}', '/export', true],
    ['/export/{**}', '/export/', true],
    ['/export/{**}', '/export/a/b', true],
    ['/export/{**}', '/exports', false],
    ['/export/{**}', '/', false],
    ['/{tenant}/{**}', '/', false],
    ['/{tenant}/{**}', '/acme', true],
    ['/caf%c3%a9', '/caf%C3%A9', true],
    ['/%7euser', '/~user', true],
  ]
  for (const [text, path, matches] of cases) {
    it(`${text} ${matches ? 'matches' : 'does not match'} ${path}`, () => {
      assert.equal(pattern(text).matches(path), matches)
      assert.equal(pattern(text).variables(path) !== undefined, matches)
    })
  }

  it('gives variables decoded, and leaves out one that is not UTF-8', () => {
    assert.deepEqual({ ...pattern('/{a}/{b}').variables('/caf%C3%A9/x%20y') }, { a: 'café', b: 'x y' })
    assert.deepEqual({ ...pattern('/{a}/{b}').variables('/%C0%AF/ok') }, { b: 'ok' })
    assert.equal(Object.getPrototypeOf(pattern('/{a}').variables('/x')), null)
  })

  for (const text of [
    '',
    'healthz',
    '/a//b',
    '/a/../b',
    '/a/%2e%2e/b',
    '/a/.',
    '/a?b=c',
    '/a#b',
    '/a\\b',
    '/a%2fb',
    '/a%5Cb',
    '/a%00',
    '/a%252f',
    '/a%g0',
    '/a b',
    '/café',
    '/{**}/b',
    '/{a}/{a}',
    '/{1a}',
    '/{__proto__}',
    '/x{a}',
    '/{a}x',
    '/{}',
    `/${'a'.repeat(1024)}`,
    '/a'.repeat(65),
  ]) {
    it(`refuses ${text.length > 40 ? `${text.length} characters` : JSON.stringify(text)}`, () => {
      const parsed = parsePathPattern(text)
      assert.ok(!parsed.ok)
      assert.equal(parsed.issues[0]?.code, 'malformed-path')
    })
  }

  it('agrees with a regular expression made from the same segments', () => {
    const name = fc.constantFrom('a', 'b', 'ab', 'A', '~', 'a.b', ';x')
    const segment = fc.oneof(
      name.map((text) => ({ text, source: text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&') })),
      fc.constant({ text: '{*}', source: '[^/]+' }),
      fc.constant({ text: '{v}', source: '[^/]+' }),
    )
    const path = fc.array(fc.oneof(name, fc.constant('')), { maxLength: 4 }).map((parts) => `/${parts.join('/')}`)
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 3 }), fc.boolean(), path, (segments, rest, sent) => {
        fc.pre(segments.filter(({ text }) => text === '{v}').length < 2)
        const text = `/${segments.map((part) => part.text).join('/')}${rest ? '/{**}' : ''}`
        const source = `^/${segments.map((part) => part.source).join('/')}${rest ? '(?:/.*)?' : ''}$`
        assert.equal(pattern(text).matches(sent), new RegExp(source).test(sent), `${text} on ${sent}`)
      }),
    )
  })

  it('never throws, whatever is written or sent', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (text, path) => {
        const parsed = parsePathPattern(`/${text}`)
        if (parsed.ok) parsed.value.variables(path)
      }),
    )
  })
})
