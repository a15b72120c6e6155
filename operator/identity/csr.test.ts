import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import { encodeDer } from '../../model/x509/der-write.ts'
import { encodePem } from '../../model/x509/pem.ts'
import { publicKeyOfCsr } from './csr.ts'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
} from './x509-library.ts'

const P256 = { name: 'ECDSA', namedCurve: 'P-256' }
const keys = await crypto.subtle.generateKey(P256, true, ['sign', 'verify'])
const spki = new Uint8Array(await crypto.subtle.exportKey('spki', keys.publicKey))
const sound = await csrWith()

async function csrWith(extensions: Extension[] = [], name = 'CN=anything'): Promise<string> {
  const request = await Pkcs10CertificateRequestGenerator.create({
    name,
    keys,
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions,
  })
  return encodePem(new Uint8Array(request.rawData), 'CERTIFICATE REQUEST')
}

/** A request of any key and digest, self-signed as well as they allow. */
function csrOf(
  publicKey: KeyObject,
  privateKey: KeyObject,
  algorithm: string,
  digest: string | null = 'sha256',
): string {
  const key = publicKey.export({ type: 'spki', format: 'der' })
  const info = encodeDer(
    0x30,
    Buffer.from('020100', 'hex'),
    Buffer.from('3000', 'hex'),
    key,
    Buffer.from('a000', 'hex'),
  )
  const signature = encodeDer(0x03, Buffer.of(0), sign(digest, info, privateKey))
  return encodePem(encodeDer(0x30, info, Buffer.from(algorithm, 'hex'), signature), 'CERTIFICATE REQUEST')
}

const ECDSA_SHA256 = '300a06082a8648ce3d040302'
const ECDSA_SHA1 = '300906072a8648ce3d0401'
const RSA_SHA256 = '300d06092a864886f70d01010b0500'
const ED25519 = '300506032b6570'

describe('a certificate request', () => {
  it('gives its public key', async () => {
    assert.deepEqual(publicKeyOfCsr(sound), { ok: true, value: spki })
  })

  it('T03: gives nothing but its key, whatever it asks for', async () => {
    const greedy = await csrWith(
      [
        new SubjectAlternativeNameExtension([
          { type: 'url', value: 'spiffe://cluster.local/ns/kube-system/sa/admin' },
          { type: 'dns', value: 'bank.example' },
        ]),
        new BasicConstraintsExtension(true, 5, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
        new ExtendedKeyUsageExtension(['2.5.29.37.0']),
      ],
      'CN=spiffe://cluster.local/ns/kube-system/sa/admin',
    )
    assert.deepEqual(publicKeyOfCsr(greedy), { ok: true, value: spki })
  })

  it('T03: is refused with a key that is weak or of another kind', () => {
    const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength })
    const weak = rsa(1024)
    const strong = rsa(3072)
    const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
    const k256 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
    const ed = generateKeyPairSync('ed25519')
    const explicit = generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' })
    for (const csr of [
      csrOf(weak.publicKey, weak.privateKey, RSA_SHA256),
      csrOf(strong.publicKey, strong.privateKey, RSA_SHA256),
      csrOf(p384.publicKey, p384.privateKey, ECDSA_SHA256),
      csrOf(k256.publicKey, k256.privateKey, ECDSA_SHA256),
      csrOf(ed.publicKey, ed.privateKey, ED25519, null),
      csrOf(explicit.publicKey, explicit.privateKey, ECDSA_SHA256),
    ]) {
      assert.match(JSON.stringify(publicKeyOfCsr(csr)), /not of P-256/)
    }
  })

  it('T03: is refused when it is not signed by its own key, or with SHA-1', () => {
    const own = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    assert.equal(publicKeyOfCsr(csrOf(own.publicKey, own.privateKey, ECDSA_SHA256)).ok, true)
    assert.match(
      JSON.stringify(publicKeyOfCsr(csrOf(own.publicKey, other.privateKey, ECDSA_SHA256))),
      /not signed by the key/,
    )
    assert.match(JSON.stringify(publicKeyOfCsr(csrOf(own.publicKey, own.privateKey, ECDSA_SHA1, 'sha1'))), /SHA-256/)
  })

  it('T03: is refused when its key is no point of the curve', () => {
    const own = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const der = own.publicKey.export({ type: 'spki', format: 'der' })
    const off = Buffer.from(der)
    off[off.length - 1]! ^= 1
    const csr = csrOf(own.publicKey, own.privateKey, ECDSA_SHA256)
    const moved = Buffer.from(csr.replace(/-----[^-]+-----/g, ''), 'base64')
    const at = moved.indexOf(der)
    off.copy(moved, at)
    assert.throws(() => createPublicKey({ key: off, type: 'spki', format: 'der' }))
    assert.match(JSON.stringify(publicKeyOfCsr(encodePem(moved, 'CERTIFICATE REQUEST'))), /no point/)
  })

  it('T03: is refused, fast, when it is 1 MB or nested without end', () => {
    const huge = encodePem(encodeDer(0x30, new Uint8Array(1_000_000)), 'CERTIFICATE REQUEST')
    let nested: Uint8Array = new Uint8Array()
    while (nested.length < 16_000) nested = encodeDer(0x30, nested)
    const bomb = encodePem(nested, 'CERTIFICATE REQUEST')
    for (const csr of [huge, bomb]) {
      // Its own time on the processor: what else the machine does has no say.
      const before = process.cpuUsage()
      assert.equal(publicKeyOfCsr(csr).ok, false)
      assert.ok(process.cpuUsage(before).user < 500_000, '500 ms')
    }
  })

  it('is refused when there is none, there are two, or it is something else', () => {
    for (const text of ['', 'garbage', sound + sound, sound.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE')]) {
      assert.equal(publicKeyOfCsr(text).ok, false)
    }
  })

  it('with any byte changed gives the same key or is refused', () => {
    const der = Buffer.from(sound.replace(/-----[^-]+-----/g, ''), 'base64')
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(der)
        changed[at]! ^= flip
        const result = publicKeyOfCsr(encodePem(changed, 'CERTIFICATE REQUEST'))
        if (result.ok) assert.deepEqual(result.value, spki)
      }),
      { numRuns: 1_000 },
    )
  })
})
