import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import { isWildcard, parseHostname, parseHostnamePattern } from './hostname.ts'

describe('a host name', () => {
  it('is lower-cased', () => {
    assert.deepEqual(parseHostname('Shop.Example'), { ok: true, value: 'shop.example' })
  })

  it('stays as it is when parsed again', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9.-]{1,30}$/), (text) => {
        const once = parseHostname(text)
        if (once.ok) assert.deepEqual(parseHostname(once.value), once)
      }),
    )
  })

  const invalid = [
    '',
    '.',
    'a.',
    '.a',
    'a..b',
    '-a',
    'a-',
    'a_b',
    'a b',
    'a:80',
    'user@a',
    'a,b',
    '*.a',
    '1.2.3.4',
    '[::1]',
    'a.b\n',
    'a\0',
    'shop.\u212a',
    'ö.example',
    `${'a'.repeat(64)}.b`,
    `${'a.'.repeat(127)}`,
  ]
  for (const text of invalid) {
    it(`is refused as ${JSON.stringify(text).slice(0, 40)}`, () => assert.equal(parseHostname(text).ok, false))
  }

  it('is no longer than 253 characters', () => {
    const label = 'a'.repeat(61)
    assert.equal(parseHostname([label, label, label, label, 'abcde'].join('.')).ok, true)
    assert.equal(parseHostname([label, label, label, label, 'abcdef'].join('.')).ok, false)
  })
})

describe('a host name pattern', () => {
  it('may begin with one wildcard label', () => {
    const pattern = parseHostnamePattern('*.Shop.Example')
    assert.deepEqual(pattern, { ok: true, value: '*.shop.example' })
    assert.equal(pattern.ok && isWildcard(pattern.value), true)
    const exact = parseHostnamePattern('shop.example')
    assert.equal(exact.ok && isWildcard(exact.value), false)
  })

  for (const text of ['*', '*.', '*shop.example', 'a.*.b', '*.*.b', '*.1.2.3.4']) {
    it(`is refused as ${text}`, () => assert.equal(parseHostnamePattern(text).ok, false))
  }
})
