import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import { parseTrustBundle, pemsOf } from './bundle.ts'
import { parseCertificate, parseCertificates } from './certificate.ts'
import { decodePem, encodePem } from './pem.ts'
import { createTestCa, KeyUsageFlags, SubjectAlternativeNameExtension } from './testing/test-ca.ts'

const ca = await createTestCa()

describe('a certificate', () => {
  it('says what OpenSSL reads in it', async () => {
    const { der } = await ca.issue({ uris: ['spiffe://td/a', 'spiffe://td/b'], dnsNames: ['a.example', '*.b.example'] })
    const parsed = parseCertificate(der)
    assert.ok(parsed.ok)
    const certificate = parsed.value
    const reference = new X509Certificate(der)
    assert.equal(certificate.serial, reference.serialNumber.toLowerCase().replace(/^0+/, ''))
    assert.equal(certificate.notBeforeMs, Date.parse(reference.validFrom))
    assert.equal(certificate.notAfterMs, Date.parse(reference.validTo))
    assert.deepEqual(certificate.subjectAltNames, {
      uris: ['spiffe://td/a', 'spiffe://td/b'],
      dnsNames: ['a.example', '*.b.example'],
      others: 0,
    })
    assert.deepEqual(Buffer.from(certificate.publicKey), reference.publicKey.export({ type: 'spki', format: 'der' }))
    assert.deepEqual(certificate.keyUsage, { digitalSignature: true, keyCertSign: false, cRLSign: false })
    assert.deepEqual(certificate.extendedKeyUsage, reference.keyUsage)
    assert.equal(certificate.isCa, false)
  })

  it('says which it lacks', async () => {
    const { der } = await ca.issue({ uris: [], keyUsage: undefined, extendedKeyUsage: undefined })
    const parsed = parseCertificate(der)
    assert.ok(parsed.ok)
    assert.equal(parsed.value.keyUsage, undefined)
    assert.equal(parsed.value.extendedKeyUsage, undefined)
    assert.deepEqual(parsed.value.subjectAltNames, { uris: [], dnsNames: [], others: 0 })
  })

  it('of a CA says so', async () => {
    const { der } = await ca.issue({ isCa: true, keyUsage: KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign })
    const parsed = parseCertificate(der)
    assert.ok(parsed.ok)
    assert.equal(parsed.value.isCa, true)
    assert.deepEqual(parsed.value.keyUsage, { digitalSignature: false, keyCertSign: true, cRLSign: true })
  })

  it('with one extension twice is refused', async () => {
    const again = new SubjectAlternativeNameExtension([{ type: 'url', value: 'spiffe://td/other' }], true)
    const { der } = await ca.issue({ extensions: [again] })
    const parsed = parseCertificate(der)
    assert.match(JSON.stringify(parsed), /twice/)
  })

  it('with a NUL or a line break in a name is refused', async () => {
    for (const uri of ['spiffe://td/a\0.example', 'spiffe://td/a\nb']) {
      const { der } = await ca.issue({ uris: [uri] })
      assert.equal(parseCertificate(der).ok, false)
    }
  })

  it('with any byte changed is read or refused, and never throws', async () => {
    const { der } = await ca.issue()
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.nat(255), (at, value) => {
        const changed = der.slice()
        changed[at] = value
        assert.equal(typeof parseCertificate(changed).ok, 'boolean')
      }),
      { numRuns: 3_000 },
    )
  })

  it('cut anywhere is refused', async () => {
    const { der } = await ca.issue()
    for (let length = 0; length < der.length; length++)
      assert.equal(parseCertificate(der.subarray(0, length)).ok, false)
  })

  it('of more than 16 KiB is refused unread', () => {
    assert.match(JSON.stringify(parseCertificate(new Uint8Array(16_385))), /longer than 16384/)
  })
})

describe('PEM', () => {
  it('comes back as it went', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { minLength: 1, maxLength: 4 }),
        (blocks) => {
          const decoded = decodePem(blocks.map((block) => encodePem(block, 'X')).join('between\n'), 'X')
          assert.ok(decoded.ok)
          assert.deepEqual(
            decoded.value.map((block) => [...block]),
            blocks.map((block) => [...block]),
          )
        },
      ),
    )
  })

  it('is refused with a block of another label, no block, or no base64', () => {
    const certificate = encodePem(Uint8Array.of(1), 'CERTIFICATE')
    assert.equal(decodePem(certificate + encodePem(Uint8Array.of(1), 'PRIVATE KEY'), 'CERTIFICATE').ok, false)
    assert.equal(decodePem('', 'CERTIFICATE').ok, false)
    assert.equal(decodePem(certificate.replace('AQ==', 'AQ'), 'CERTIFICATE').ok, false)
    assert.equal(decodePem('a'.repeat(2_000_000), 'CERTIFICATE').ok, false)
  })
})

describe('a trust bundle', () => {
  it('holds each root once, from one text or several', async () => {
    const other = await createTestCa('other root')
    const bundle = parseTrustBundle(ca.root, ca.root + other.root)
    assert.ok(bundle.ok)
    assert.deepEqual(pemsOf(bundle.value), [ca.root, other.root])
  })

  it('is refused with a leaf in it, empty, or with more than 16 roots', async () => {
    const leaf = await ca.issue()
    assert.equal(parseTrustBundle(ca.root, leaf.chain).ok, false)
    assert.equal(parseTrustBundle().ok, false)
    const roots = await Promise.all(Array.from({ length: 17 }, (_, i) => createTestCa(`root ${i}`)))
    assert.equal(parseTrustBundle(...roots.map(({ root }) => root)).ok, false)
  })

  it('of two certificates in one text gives both', async () => {
    const leaf = await ca.issue()
    const chain = parseCertificates(leaf.chain + ca.root)
    assert.equal(chain.ok && chain.value.length, 2)
  })
})
