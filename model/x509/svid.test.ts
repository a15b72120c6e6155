import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseSpiffeId, parseTrustDomain } from '../spiffe-id.ts'
import { EXTENDED_KEY_USAGE } from './certificate.ts'
import { judgeSvid, type SvidExpectation, type SvidRefusal } from './svid.ts'
import { createTestCa, KeyUsageFlags, type TestLeaf } from './testing/test-ca.ts'

const ca = await createTestCa()
const trustDomain = parseTrustDomain('cluster.local')
assert.ok(trustDomain.ok)
const expected: SvidExpectation = { trustDomain: trustDomain.value, role: 'client', nowMs: Date.now() }
const { digitalSignature, keyCertSign, cRLSign, keyEncipherment } = KeyUsageFlags

async function verdictOn(leaf: TestLeaf, expectation: Partial<SvidExpectation> = {}) {
  const { der } = await ca.issue(leaf)
  return judgeSvid(der, { ...expected, ...expectation })
}

describe('an SVID', () => {
  it('proves its one SPIFFE id, in either role', async () => {
    for (const role of ['client', 'server'] as const) {
      const notAfterMs = Math.floor(Date.now() / 1000) * 1000 + 5_000
      const verdict = await verdictOn({ notAfterMs }, { role })
      assert.deepEqual(verdict, { ok: true, spiffeId: 'spiffe://cluster.local/ns/shop/sa/orders', notAfterMs })
    }
  })

  it('may have a DNS name beside it', async () => {
    assert.equal((await verdictOn({ dnsNames: ['orders.shop'] })).ok, true)
  })

  it('is refused where another identity was expected', async () => {
    const other = parseSpiffeId('spiffe://cluster.local/ns/shop/sa/payments')
    const own = parseSpiffeId('spiffe://cluster.local/ns/shop/sa/orders')
    assert.ok(other.ok && own.ok)
    assert.deepEqual(await verdictOn({}, { spiffeIds: new Set([other.value]) }), {
      ok: false,
      reason: 'unexpected-identity',
    })
    assert.equal((await verdictOn({}, { spiffeIds: new Set([other.value, own.value]) })).ok, true)
  })

  const refused: readonly (readonly [what: string, leaf: TestLeaf, reason: SvidRefusal])[] = [
    ['without a URI', { uris: [] }, 'not-one-uri'],
    ['with a DNS name only', { uris: [], dnsNames: ['orders.shop'] }, 'not-one-uri'],
    ['with two URIs', { uris: ['spiffe://cluster.local/a', 'spiffe://cluster.local/b'] }, 'not-one-uri'],
    ['with a second URI that is no SPIFFE id', { uris: ['spiffe://cluster.local/a', 'https://a'] }, 'not-one-uri'],
    ['with the CA bit', { isCa: true }, 'ca-certificate'],
    ['with keyCertSign', { keyUsage: digitalSignature | keyCertSign }, 'wrong-key-usage'],
    ['with cRLSign', { keyUsage: digitalSignature | cRLSign }, 'wrong-key-usage'],
    ['without digitalSignature', { keyUsage: keyEncipherment }, 'wrong-key-usage'],
    ['without key usage', { keyUsage: undefined }, 'wrong-key-usage'],
    ['without a path', { uris: ['spiffe://cluster.local'] }, 'no-path'],
    ['with a root path', { uris: ['spiffe://cluster.local/'] }, 'malformed-spiffe-id'],
    ['of a foreign trust domain', { uris: ['spiffe://evil.local/ns/shop/sa/orders'] }, 'foreign-trust-domain'],
    ['of a longer trust domain', { uris: ['spiffe://cluster.local.evil/a'] }, 'foreign-trust-domain'],
    ['with dot segments', { uris: ['spiffe://cluster.local/ns/shop/../admin'] }, 'malformed-spiffe-id'],
    ['with percent-encoding', { uris: ['spiffe://cluster.local/ns/%73hop/sa/orders'] }, 'malformed-spiffe-id'],
    ['with an upper-case scheme', { uris: ['SPIFFE://cluster.local/ns/shop/sa/orders'] }, 'malformed-spiffe-id'],
    ['with an upper-case trust domain', { uris: ['spiffe://Cluster.local/ns/shop/sa/orders'] }, 'malformed-spiffe-id'],
    [
      'with a comma that looks like a second name',
      { uris: ['spiffe://cluster.local/a, URI:spiffe://cluster.local/b'] },
      'malformed-spiffe-id',
    ],
    ['for servers only', { extendedKeyUsage: [EXTENDED_KEY_USAGE.serverAuth] }, 'wrong-extended-key-usage'],
    ['without extended key usage', { extendedKeyUsage: undefined }, 'wrong-extended-key-usage'],
    ['for anything', { extendedKeyUsage: ['2.5.29.37.0'] }, 'wrong-extended-key-usage'],
    ['that has expired', { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() - 1_000 }, 'expired'],
    ['of tomorrow', { notBeforeMs: Date.now() + 86_400_000, notAfterMs: Date.now() + 90_000_000 }, 'not-yet-valid'],
  ]
  for (const [what, leaf, reason] of refused) {
    it(`T05: is refused ${what}`, async () => assert.deepEqual(await verdictOn(leaf), { ok: false, reason }))
  }

  it('T05: for clients only is refused of a server', async () => {
    const leaf = { extendedKeyUsage: [EXTENDED_KEY_USAGE.clientAuth] }
    assert.deepEqual(await verdictOn(leaf, { role: 'server' }), { ok: false, reason: 'wrong-extended-key-usage' })
  })

  it('T05: that is none, or no certificate at all, is refused', () => {
    assert.deepEqual(judgeSvid(undefined, expected), { ok: false, reason: 'no-certificate' })
    assert.deepEqual(judgeSvid(Uint8Array.of(1, 2, 3), expected), { ok: false, reason: 'malformed-certificate' })
  })
})
