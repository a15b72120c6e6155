import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { describeIssue } from '../../model/result.ts'
import { parseSpiffeId, parseTrustDomain } from '../../model/spiffe-id.ts'
import { pemsOf } from '../../model/x509/bundle.ts'
import { parseCertificates } from '../../model/x509/certificate.ts'
import { createTestCa } from '../../model/x509/testing/test-ca.ts'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { openAuthority } from './authority.ts'
import { createFileCaStore } from './ca-store.ts'
import { type CustomRoot, CustomRootError, readCustomRoot } from './custom-root.ts'
import { proveChain } from './prove-chain.ts'
import { openRoots } from './roots.ts'
import { makeSigningKeyPair } from './signing.ts'
import { type CustomCa, createCustomCa } from './testing/custom-ca.ts'

const DAY_MS = 86_400_000

const directories: string[] = []
after(async () => {
  for (const directory of directories) await rm(directory, { recursive: true })
})

async function newStore() {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-ca-'))
  directories.push(directory)
  return createFileCaStore(join(directory, 'ca'))
}

function value<T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false }): T {
  assert.ok(result.ok)
  return result.value
}

const trustDomain = value(parseTrustDomain('cluster.local'))
const spiffeId = value(parseSpiffeId('spiffe://cluster.local/ns/shop/sa/orders'))

async function open(brought: () => CustomRoot | undefined) {
  const clock = createManualClock(Date.now())
  const options = { store: await newStore(), trustDomain, clock, log: silentLog, customRoot: async () => brought() }
  const roots = openRoots(options)
  return { options, roots, clock }
}

/** An authority that signs under what was brought, and a leaf of it, as everybody who trusts that root alone sees it. */
async function leafUnder(brought: CustomRoot) {
  const { options } = await open(() => brought)
  const authority = await openAuthority({
    ...options,
    first: async (roots) => {
      const root = await roots.brought()
      assert.ok(root)
      await roots.prove(root)
      return { trusted: [root], distrusted: [] }
    },
  })
  const { privateKey, publicKey } = makeSigningKeyPair()
  const issued = await authority.issue({ profile: 'svid', publicKey, spiffeId })
  return { authority, issued, privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string }
}

const brought = (ca: CustomCa): CustomRoot => ({ certificate: ca.chain, privateKey: ca.privateKey, root: ca.root })

describe('a root that a user brings', () => {
  it('vouches for leaves by itself, and is all that is trusted', async () => {
    const ca = await createCustomCa()
    const { authority, issued, privateKey } = await leafUnder(brought(ca))
    assert.deepEqual(pemsOf(authority.trustBundle()), [ca.root])
    await proveChain({ privateKey, chain: issued.chain, root: ca.root })
    assert.equal(issued.root, await authority.rootOf(new X509Certificate(issued.chain).raw))
  })

  for (const kind of ['P-256', 'P-384', 'RSA-2048'] as const) {
    it(`signs through an intermediate with a key of ${kind}, and the root's key is never needed`, async () => {
      const root = await createCustomCa({ kind })
      const intermediate = await root.signCa({ kind })
      const { issued, privateKey } = await leafUnder(brought(intermediate))
      assert.equal(value(parseCertificates(issued.chain)).length, 3)
      await proveChain({ privateKey, chain: issued.chain, root: root.root })
    })
  }

  it('may be a key in PKCS#1 or SEC1, as cert-manager writes them', async () => {
    for (const kind of ['P-256', 'RSA-2048'] as const) {
      const ca = await createCustomCa({ kind })
      const key = createPrivateKey(ca.privateKey)
      const privateKey = key.export({ type: kind === 'P-256' ? 'sec1' : 'pkcs1', format: 'pem' } as never) as string
      assert.match(privateKey, /BEGIN (EC|RSA) PRIVATE KEY/)
      assert.ok(readCustomRoot({ ...brought(ca), privateKey }, Date.now()).ok)
    }
  })

  it('is found in tls.crt where there is no ca.crt', async () => {
    const ca = await createCustomCa()
    const { root: _root, ...without } = brought(ca)
    assert.ok(readCustomRoot(without, Date.now()).ok)
    const intermediate = await ca.signCa()
    const chain = { certificate: intermediate.chain + ca.root, privateKey: intermediate.privateKey }
    const read = value(readCustomRoot(chain, Date.now()))
    assert.equal(read.intermediates.length, 0)
    assert.notEqual(read.certificate, read.root)
  })

  it('whose key identifier is no hash of the key is named as it names itself', async () => {
    const ca = await createCustomCa({ keyIdentifier: '0102030405' })
    const { issued, privateKey } = await leafUnder(brought(ca))
    await proveChain({ privateKey, chain: issued.chain, root: ca.root })
  })

  it('ends leaves before any CA above them ends', async () => {
    const root = await createCustomCa()
    const intermediate = await root.signCa({ lifetimeMs: 3_600_000 })
    const { issued } = await leafUnder(brought(intermediate))
    const certificates = value(parseCertificates(issued.chain))
    const ends = certificates.map(({ notAfterMs }) => notAfterMs)
    assert.equal(Math.min(...ends), ends[0])
    assert.ok(ends[0]! <= Date.now() + 3_600_000)
  })

  it('is refused, with what is wrong, when its parts do not belong together', async () => {
    const ca = await createCustomCa()
    const other = await createCustomCa()
    const leaf = await (await createTestCa()).issue()
    const cases: readonly (readonly [CustomRoot, RegExp])[] = [
      [{ ...brought(ca), privateKey: other.privateKey }, /tls.key: is not the key of the first certificate/],
      [{ ...brought(ca), privateKey: 'nothing' }, /tls.key: cannot be read/],
      [{ ...brought(ca), certificate: 'nothing' }, /tls.crt: cannot be read/],
      [{ ...brought(ca), root: 'nothing' }, /ca.crt: cannot be read/],
      [{ certificate: leaf.chain, privateKey: leaf.privateKey }, /not of a CA/],
      [{ ...brought(await ca.signCa()), root: other.root }, /ca.crt: holds no self-signed root/],
      [{ ...brought(ca), root: other.root }, /ca.crt: holds no self-signed root/],
      [{ ...brought(ca), privateKey: smallKey() }, /of a kind that signs nothing here/],
      [{ ...brought(await createCustomCa({ lifetimeMs: -1_000 })) }, /has expired/],
    ]
    for (const [parts, expected] of cases) {
      const read = readCustomRoot(parts, Date.now())
      assert.ok(!read.ok)
      assert.match(read.issues.map(describeIssue).join('; '), expected)
    }
  })

  it('is refused when OpenSSL does not believe what it signs: a path length, a purpose, a constraint', async () => {
    const root = await createCustomCa()
    for (const more of [
      { pathLength: 0 },
      { extendedKeyUsage: 'serverAuth' },
      { permitsUris: 'other.example' },
    ] as const) {
      const intermediate = await root.signCa(more)
      await assert.rejects(leafUnder(brought(intermediate)), (error) => {
        assert.ok(error instanceof CustomRootError, JSON.stringify(more))
        assert.match(error.message, /is not believed/)
        return true
      })
    }
  })

  it('is trusted on after it was taken away; only its key is missed, when the next issuing CA is due', async () => {
    const ca = await createCustomCa({ lifetimeMs: 3_650 * DAY_MS })
    let parts: CustomRoot | undefined = brought(ca)
    const { roots, options, clock } = await open(() => parts)
    const root = await roots.brought()
    assert.ok(root)
    await roots.prove(root)
    parts = undefined
    assert.equal(await roots.brought(), undefined)
    const again = openRoots(options)
    const read = await again.read({ name: root.name, fingerprint: root.fingerprint })
    const cas = await again.issuingCas(read)
    await cas.signer()
    clock.jump(364 * DAY_MS)
    await cas.signer()
    clock.jump(2 * DAY_MS)
    await assert.rejects(cas.signer(), CustomRootError)
  })

  it('may renew its intermediate: the next issuing CA is signed by the new one, under the same root', async () => {
    const root = await createCustomCa({ lifetimeMs: 900 * DAY_MS })
    let parts = brought(await root.signCa({ lifetimeMs: 90 * DAY_MS }))
    const { roots, clock } = await open(() => parts)
    const first = await roots.brought()
    assert.ok(first)
    const cas = await roots.issuingCas(first)
    const before = await cas.signer()
    clock.jump(70 * DAY_MS)
    assert.equal(await cas.signer(), before, 'the old intermediate gains nothing')
    parts = brought(await root.signCa({ lifetimeMs: 180 * DAY_MS }))
    assert.deepEqual(await roots.brought(), first)
    clock.jump(DAY_MS)
    const after = await cas.signer()
    assert.ok(after.certificate.notAfterMs > before.certificate.notAfterMs)
    clock.jump(200 * DAY_MS)
    await assert.rejects(cas.signer(), /has expired/)
  })
})

/** Signs, and is too weak to. */
function smallKey(): string {
  return generateKeyPairSync('rsa', { modulusLength: 1_024 }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  }) as string
}
