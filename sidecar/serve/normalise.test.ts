import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { normaliseHost, normaliseTarget } from './normalise.ts'

const pathOf = (target: string) => {
  const normal = normaliseTarget(target)
  return 'kind' in normal ? normal.reason : normal.path
}

const hostOf = (raw: string) => {
  const normal = normaliseHost(raw)
  return 'kind' in normal ? normal.reason : normal.port === undefined ? normal.host : `${normal.host} ${normal.port}`
}

test('a path that is normal already is passed on as it is, with its query beside it', () => {
  assert.deepEqual(normaliseTarget("/users/~1/a-b_c.d/!$&'()*+,;=:@?q=1"), {
    path: "/users/~1/a-b_c.d/!$&'()*+,;=:@",
    query: 'q=1',
  })
  assert.deepEqual(normaliseTarget('/'), { path: '/', query: '' })
  assert.deepEqual(normaliseTarget('/a?'), { path: '/a', query: '' })
  assert.deepEqual(normaliseTarget('/a?b?c'), { path: '/a', query: 'b?c' })
  assert.equal(pathOf('/.well-known/x'), '/.well-known/x')
  assert.equal(pathOf('/a/...'), '/a/...')
})

test('T17: unreserved octets are decoded, other escapes are in upper case (RFC 3986, 6.2.2)', () => {
  assert.equal(pathOf('/%61%5A%30%2d%2E%5f%7e'), '/aZ0-._~')
  assert.equal(pathOf('/caf%c3%a9'), '/caf%C3%A9')
  assert.equal(pathOf('/a%3bb%20c%3A'), '/a%3Bb%20c%3A')
  assert.equal(pathOf('/100%25'), '/100%25')
})

test('T17: dot segments are resolved, then slashes are merged (RFC 3986, 5.2.4)', () => {
  for (const [target, path] of [
    ['/a/./b', '/a/b'],
    ['/a/../b', '/b'],
    ['/a/b/..', '/a/'],
    ['/a/.', '/a/'],
    ['/..', '/'],
    ['/../../a', '/a'],
    ['/a/b/c/./../../g', '/a/g'],
    ['/a/%2e%2e/b', '/b'],
    ['/a/.%2E/b', '/b'],
    ['/%2e/b', '/b'],
    ['/a//b///c//', '/a/b/c/'],
    ['/a//../b', '/a/b'],
    ['/a/..//b', '/b'],
    ['/.//b', '/b'],
  ] as const) {
    assert.equal(pathOf(target), path, target)
  }
})

test('T17: a target that two readers could read differently has no normal form', () => {
  for (const target of [
    [
      '//',
      '//a/b',
      '/a\\b',
      '/a\\..\\b',
      '/%2f',
      '/%2F',
      '/a%2fb',
      '/%5c',
      '/%5C',
      '/%00',
      '/a%00.txt',
      '/a?b\\c',
      '/a?%00',
    ],
    ['/..;', '/..;/b', '/a/..;x=1/b', '/.;/b', '/..%3b/b', '/%2e%2e;/b', '/.%2e%3B'],
  ].flat()) {
    assert.equal(pathOf(target), 'ambiguous-path', target)
  }
  for (const target of ['/a#b', '/#', '/a?b#c']) assert.equal(pathOf(target), 'target-with-fragment', target)
  for (const target of ['/%', '/%2', '/%g0', '/%0g', '/a%', '/%%30', '/%u002e', '/a?%', '/a?%zz', '/a?b%2']) {
    assert.equal(pathOf(target), 'bad-escape', target)
  }
  for (const target of ['/%252e', '/%2525', '/%25%32%65', '/%2541', '/a%252fb', '/%25%41%42']) {
    assert.equal(pathOf(target), 'double-escape', target)
  }
  for (const target of [
    '',
    'a',
    '*',
    '?',
    '/a b',
    '/a\tb',
    '/\x7f',
    '/\xe9',
    '/\u2215',
    '/a"',
    '/<a>',
    '/a|b',
    '/{a}',
    '/a^b',
    '/[a]',
    '/a?"',
    '/a?<',
    '/a?\xe9',
  ]) {
    assert.equal(pathOf(target), 'bad-target', target)
  }
})

test('T17: escapes that are not UTF-8 are refused, overlong forms and surrogates among them', () => {
  for (const target of [
    '/%c0%ae',
    '/%c0%af',
    '/%e0%80%af',
    '/%f0%80%80%af',
    '/%ed%a0%80',
    '/%f4%90%80%80',
    '/%ff',
    '/%80',
    '/%c3',
    '/%c3a%a9',
    '/%c3/%a9',
    '/%c3%a9%a9',
  ]) {
    assert.equal(pathOf(target), 'bad-escape', target)
  }
  for (const character of ['é', '€', '\u{10ffff}', '\u{800}', '\u{ffff}']) {
    const escaped = `/${encodeURIComponent(character)}`
    assert.equal(pathOf(escaped), escaped)
  }
})

test('a query is never rewritten', () => {
  const query = 'redirect_uri=https%3A%2F%2Fa%2F..%2Fb%3Fc%3D%2525&a[]={x|y}^`&d=./../%5c'
  assert.deepEqual(normaliseTarget(`/a/../b?${query}`), { path: '/b', query })
})

const targetText = fc
  .array(
    fc.constantFrom(
      '/',
      '/',
      '//',
      '.',
      '..',
      '%2e',
      '%2E',
      '%61',
      '%c3%a9',
      '%20',
      '%25',
      '%3b',
      ';',
      'a',
      'bc',
      '?',
      '%',
      '\\',
      '%2f',
      '~',
      '25',
      '%41',
    ),
    { maxLength: 14 },
  )
  .map((parts) => `/${parts.join('')}`)

test('a normal form is its own normal form', () => {
  fc.assert(
    fc.property(fc.oneof(targetText, fc.webPath(), fc.string()), (target) => {
      const once = normaliseTarget(target)
      if ('kind' in once) return
      assert.deepEqual(normaliseTarget(once.query === '' ? once.path : `${once.path}?${once.query}`), once)
      assert.ok(once.path.startsWith('/') && !once.path.includes('//'))
      assert.ok(once.path.split('/').every((segment) => segment !== '.' && segment !== '..'))
    }),
    { numRuns: 5_000 },
  )
})

test('a path is resolved as the WHATWG URL parser would, which knows nothing of merging', () => {
  fc.assert(
    fc.property(targetText, (target) => {
      const path = pathOf(target)
      if (!path.startsWith('/') || target.includes('//')) return
      const decoded = target.replace(/\?.*/, '').replaceAll('%61', 'a').replaceAll('%41', 'A')
      assert.equal(
        path,
        new URL(`http://a${decoded}`).pathname.replace(/%[0-9a-f]{2}/gi, unreserved).replace(/\/{2,}/g, '/'),
      )
    }),
    { numRuns: 5_000 },
  )
})

function unreserved(triplet: string): string {
  const octet = String.fromCharCode(Number.parseInt(triplet.slice(1), 16))
  return /[A-Za-z0-9._~-]/.test(octet) ? octet : triplet.toUpperCase()
}

test('T14: a host is in lower case, without trailing dot, apart from its port', () => {
  assert.equal(hostOf('Shop.Example'), 'shop.example')
  assert.equal(hostOf('shop.example.'), 'shop.example')
  assert.equal(hostOf('SHOP.EXAMPLE.:8443'), 'shop.example 8443')
  assert.equal(hostOf('a_b-c.d'), 'a_b-c.d')
  assert.equal(hostOf('localhost:65535'), 'localhost 65535')
  assert.equal(hostOf('127.0.0.1:80'), '127.0.0.1 80')
  assert.equal(hostOf('1.2.3.4.example'), '1.2.3.4.example')
})

test('T14: an IPv6 literal has the one spelling of RFC 5952', () => {
  assert.equal(hostOf('[2001:DB8:0:0:1:0:0:1]'), '[2001:db8::1:0:0:1]')
  assert.equal(hostOf('[0:0:0:0:0:0:0:0]:1'), '[::] 1')
  assert.equal(hostOf('[1:0:2:3:4:5:6:7]'), '[1:0:2:3:4:5:6:7]')
  assert.equal(hostOf('[::ffff:1.2.3.4]'), '[::ffff:102:304]')
})

test('T14: what is no host, or could be two, is refused', () => {
  assert.equal(hostOf(''), 'empty-host')
  for (const raw of [
    [
      'a,b',
      'a@b',
      'a b',
      ' a',
      'a/b',
      'a\\b',
      'a?b',
      'a#b',
      'a%41',
      'a:',
      'a:0',
      'a:65536',
      'a:080',
      'a:8_0',
      'a:1:2',
      ':80',
      'a;b',
      'a*',
      '*.a',
    ],
    ['.', '..', '.a', 'a..', 'a..b', `${'a'.repeat(64)}.b`, `${'a.'.repeat(127)}a`, '\u212a', '\xe9.example', 'a\0'],
    [
      '127.1',
      '1',
      '0x7f.0.0.1',
      '0x7f000001',
      '017700000001',
      '127.0.0.01',
      '1.2.3.4.5',
      '256.1.1.1',
      '1.2.3.0x4',
      'a.1',
      'a.0x',
      '2130706433',
    ],
    [
      '[',
      '[]',
      '[::1',
      '::1',
      '[::1]a',
      '[::1]:',
      '[::1]:0',
      '[1:2:3:4:5:6:7]',
      '[1:2:3:4:5:6:7:8:9]',
      '[1::2::3]',
      '[:::]',
      '[12345::]',
      '[g::]',
      '[::1%25eth0]',
      '[v1.a]',
      '[1.2.3.4::]',
      '[::1.2.3]',
      '[1:2:3:4:5:6:7::8]',
      '[::1.2.3.4:5]',
    ],
  ].flat()) {
    assert.equal(hostOf(raw), 'bad-host', raw)
  }
})

test('a normal host is its own normal form, and the one that the WHATWG URL parser has', () => {
  const label = fc.string({ unit: fc.constantFrom(...'abXY019-_'), minLength: 1, maxLength: 4 })
  const name = fc
    .tuple(fc.array(label, { minLength: 1, maxLength: 4 }), fc.constantFrom('', '.'))
    .map(([labels, dot]) => labels.join('.') + dot)
  const hosts = fc.oneof(
    name,
    fc.ipV4(),
    fc.ipV4Extended(),
    fc.ipV6().map((address) => `[${address}]`),
    fc.domain(),
  )
  fc.assert(
    fc.property(hosts, (raw) => {
      const normal = normaliseHost(raw)
      if ('kind' in normal) return
      assert.deepEqual(normaliseHost(normal.host), normal)
      // The parser reads punycode, and refuses what is none; that is nothing to us.
      if (/(^|\.)xn--/i.test(raw) || /(^|\.)..--/.test(raw)) return
      assert.equal(new URL(`http://${raw}`).hostname.replace(/\.$/, ''), normal.host)
    }),
    { numRuns: 3_000 },
  )
})
