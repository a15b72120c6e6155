import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import {
  parseSpiffeId,
  parseTrustDomain,
  pathOf,
  serviceAccountOf,
  spiffeIdFor,
  type TrustDomain,
  trustDomainOf,
} from './spiffe-id.ts'

function accepted(text: string) {
  const result = parseSpiffeId(text)
  assert.ok(result.ok, `${text} should parse`)
  return result.value
}

function trustDomain(text: string): TrustDomain {
  const result = parseTrustDomain(text)
  assert.ok(result.ok)
  return result.value
}

describe('a SPIFFE id', () => {
  const valid = [
    'spiffe://cluster.local',
    'spiffe://cluster.local/ns/shop/sa/orders',
    'spiffe://trust_domain-1.example/A/b-C_d.e',
    'spiffe://1.2.3.4/...',
    `spiffe://${'a'.repeat(255)}/x`,
    `spiffe://td/${'a'.repeat(2048 - 'spiffe://td/'.length)}`,
  ]
  for (const text of valid) {
    it(`may be ${text.slice(0, 60)}`, () => assert.equal(accepted(text), text))
  }

  const invalid: Readonly<Record<string, string>> = {
    empty: '',
    'without scheme': 'cluster.local/ns/a/sa/b',
    'of another scheme': 'https://cluster.local/ns/a/sa/b',
    'with an upper-case scheme': 'SPIFFE://cluster.local/ns/a/sa/b',
    'with one slash after the scheme': 'spiffe:/cluster.local/a',
    'without trust domain': 'spiffe:///ns/a',
    'with an upper-case trust domain': 'spiffe://Cluster.local/a',
    'with a port': 'spiffe://cluster.local:8443/a',
    'with userinfo': 'spiffe://me@cluster.local/a',
    'with a query': 'spiffe://cluster.local/a?b=c',
    'with a bare query': 'spiffe://cluster.local?b',
    'with a fragment': 'spiffe://cluster.local/a#b',
    'with percent-encoding': 'spiffe://cluster.local/ns/%61/sa/b',
    'with percent-encoding in the trust domain': 'spiffe://cluster%2elocal/a',
    'with a trailing slash': 'spiffe://cluster.local/',
    'with a trailing slash after a path': 'spiffe://cluster.local/a/',
    'with an empty segment': 'spiffe://cluster.local/a//b',
    'with a dot segment': 'spiffe://cluster.local/a/./b',
    'with a double dot segment': 'spiffe://cluster.local/ns/a/../b',
    'ending in a dot segment': 'spiffe://cluster.local/a/..',
    'with a backslash': 'spiffe://cluster.local/a\\b',
    'with a space': 'spiffe://cluster.local/a b',
    'with a newline at the end': 'spiffe://cluster.local/a\n',
    'with a newline after the trust domain': 'spiffe://cluster.local\n/a',
    'with a NUL': 'spiffe://cluster.local/a\0b',
    'with a letter beyond ASCII': 'spiffe://cluster.local/ö',
    'with a colon': 'spiffe://cluster.local/a:b',
    'with a trust domain of 256 bytes': `spiffe://${'a'.repeat(256)}/x`,
    'of 2049 bytes': `spiffe://td/${'a'.repeat(2049 - 'spiffe://td/'.length)}`,
  }
  for (const [what, text] of Object.entries(invalid)) {
    it(`is refused ${what}`, () => {
      const result = parseSpiffeId(text)
      assert.equal(result.ok, false)
      assert.equal(!result.ok && result.issues[0]?.code, 'malformed-spiffe-id')
    })
  }

  it('is made of a trust domain and a path, nothing lost', () => {
    const segment = fc.stringMatching(/^[A-Za-z0-9._-]{1,20}$/).filter((text) => text !== '.' && text !== '..')
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9._-]{1,40}$/), fc.array(segment, { maxLength: 5 }), (domain, segments) => {
        const path = segments.map((text) => `/${text}`).join('')
        const id = accepted(`spiffe://${domain}${path}`)
        assert.equal(trustDomainOf(id), domain)
        assert.equal(pathOf(id), path)
      }),
    )
  })

  it('is refused, or is what the URL parser of browsers makes of it, for any text', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (domain, path) => {
        const text = `spiffe://${domain}/${path}`
        if (!parseSpiffeId(text).ok) return
        const url = new URL(text)
        assert.equal(url.href, text)
        assert.equal(url.search + url.hash + url.port + url.username, '')
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('a service account', () => {
  it('has an id that names it', () => {
    const id = spiffeIdFor(trustDomain('cluster.local'), 'shop', 'orders.v2')
    assert.deepEqual(id, { ok: true, value: 'spiffe://cluster.local/ns/shop/sa/orders.v2' })
    assert.deepEqual(serviceAccountOf(accepted('spiffe://cluster.local/ns/shop/sa/orders.v2')), {
      namespace: 'shop',
      serviceAccount: 'orders.v2',
    })
  })

  it('is not found in an id of another form', () => {
    const others = [
      '',
      '/ns/shop',
      '/ns/shop/sa',
      '/ns/shop/sa/a/b',
      '/sa/a/ns/b',
      '/ns/Shop/sa/a',
      '/ns/a.b/sa/c',
      '/ns/a/sa/-',
    ]
    for (const path of others)
      assert.equal(serviceAccountOf(accepted(`spiffe://cluster.local${path}`)), undefined, path)
  })

  it('has no id when Kubernetes would not take its names', () => {
    for (const [namespace, name] of [
      ['a/sa/b', 'c'],
      ['', 'c'],
      ['a', ''],
      ['a', 'b/c'],
      ['A', 'b'],
      ['a', '..'],
      ['a', 'b%2f'],
    ] as const) {
      assert.equal(spiffeIdFor(trustDomain('cluster.local'), namespace, name).ok, false, `${namespace} ${name}`)
    }
  })
})
