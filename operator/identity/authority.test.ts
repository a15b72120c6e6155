import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { parseHostnamePattern } from '../../model/hostname.ts'
import { parseSpiffeId, parseTrustDomain } from '../../model/spiffe-id.ts'
import { pemsOf } from '../../model/x509/bundle.ts'
import { parseCertificates } from '../../model/x509/certificate.ts'
import { judgeSvid } from '../../model/x509/svid.ts'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { type AuthorityOptions, openAuthority } from './authority.ts'
import { CaEntryError } from './ca-certificate.ts'
import { type CaStore, CaStoreError, createFileCaStore } from './ca-store.ts'
import { RootExpiredError } from './issuing-cas.ts'
import { makeSigningKeyPair } from './signing.ts'

const DAY_MS = 86_400_000
const directories: string[] = []
after(async () => {
  for (const directory of directories) await rm(directory, { recursive: true })
})

async function newDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-ca-'))
  directories.push(directory)
  return join(directory, 'ca')
}

function value<T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false }): T {
  assert.ok(result.ok)
  return result.value
}

const trustDomain = value(parseTrustDomain('cluster.local'))
const spiffeId = value(parseSpiffeId('spiffe://cluster.local/ns/shop/sa/orders'))
const { publicKey } = makeSigningKeyPair()

async function open(directory: string, options: Partial<AuthorityOptions> = {}) {
  const clock = createManualClock(Date.now())
  const authority = await openAuthority({
    store: createFileCaStore(directory),
    trustDomain,
    clock,
    log: silentLog,
    ...options,
  })
  return { authority, clock }
}

async function entries(directory: string): Promise<readonly string[]> {
  return (await readdir(directory)).sort()
}

describe('the authority', () => {
  it('keeps a root and an issuing CA for nobody else to read', async () => {
    const directory = await newDirectory()
    await open(directory)
    const names = await entries(directory)
    assert.equal(names.length, 2)
    assert.equal((await stat(directory)).mode & 0o777, 0o700)
    for (const name of names) assert.equal((await stat(join(directory, name))).mode & 0o777, 0o600)
  })

  it('is the same one when opened again', async () => {
    const directory = await newDirectory()
    const first = await open(directory)
    const second = await open(directory)
    assert.deepEqual(pemsOf(second.authority.trustBundle()), pemsOf(first.authority.trustBundle()))
    assert.equal((await entries(directory)).length, 2)
  })

  it('has one root however many open an empty store at once', async () => {
    const directory = await newDirectory()
    const opened = await Promise.all(Array.from({ length: 8 }, () => open(directory)))
    const roots = new Set(opened.map(({ authority }) => pemsOf(authority.trustBundle()).join('')))
    assert.equal(roots.size, 1)
    assert.deepEqual(
      (await entries(directory)).map((name) => name.replace(/[0-9a-f]{16}/, 'DOMAIN')),
      ['issuing-DOMAIN-1.pem', 'root-1.pem'],
    )
  })

  it('refuses a key that others could read', async () => {
    const directory = await newDirectory()
    await open(directory)
    await chmod(join(directory, 'root-1.pem'), 0o640)
    await assert.rejects(open(directory), (error) => error instanceof CaStoreError && error.code === 'exposed')
  })

  it('does not start over where the root is damaged', async () => {
    const directory = await newDirectory()
    await open(directory)
    await writeFile(join(directory, 'root-1.pem'), 'garbage')
    await assert.rejects(open(directory), CaEntryError)
    assert.equal(await readFile(join(directory, 'root-1.pem'), 'utf8'), 'garbage')
  })

  it('has an issuing CA that can sign leaves of its trust domain only', async () => {
    const { authority } = await open(await newDirectory())
    const { chain } = await authority.issue({ profile: 'svid', publicKey, spiffeId })
    const issuing = new X509Certificate(chain.slice(chain.indexOf('-----END') + 26))
    const [root] = pemsOf(authority.trustBundle())
    assert.equal(issuing.ca, true)
    assert.equal(issuing.verify(new X509Certificate(root!).publicKey), true)
    const der = issuing.raw.toString('hex')
    assert.ok(der.includes('30060101ff020100'), 'basic constraints: CA, path length 0')
    assert.ok(der.includes(`860d${Buffer.from('cluster.local').toString('hex')}`), 'a name constraint on URIs')
  })

  it('gives an SVID exactly what it must have', async () => {
    const { authority, clock } = await open(await newDirectory())
    const issued = await authority.issue({ profile: 'svid', publicKey, spiffeId })
    const [leaf] = value(parseCertificates(issued.chain))
    assert.ok(leaf)
    assert.deepEqual(leaf.subjectAltNames, { uris: [spiffeId], dnsNames: [], others: 0 })
    assert.deepEqual(leaf.extendedKeyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])
    assert.deepEqual(leaf.keyUsage, { digitalSignature: true, keyCertSign: false, cRLSign: false })
    assert.equal(leaf.isCa, false)
    assert.equal(leaf.subject, '3000')
    assert.equal(leaf.notAfterMs, issued.notAfterMs)
    assert.equal(issued.notAfterMs, Math.floor((clock.now() + DAY_MS) / 1000) * 1000)
    for (const role of ['client', 'server'] as const) {
      assert.equal(judgeSvid(leaf.der, { trustDomain, role, nowMs: clock.now() }).ok, true)
    }
  })

  it('gives a serving certificate DNS names, server use and no identity', async () => {
    const { authority, clock } = await open(await newDirectory())
    const dnsNames = [value(parseHostnamePattern('shop.localhost')), value(parseHostnamePattern('*.shop.localhost'))]
    const { chain } = await authority.issue({ profile: 'serving', publicKey, dnsNames })
    const [leaf] = value(parseCertificates(chain))
    assert.ok(leaf)
    assert.deepEqual(leaf.subjectAltNames, { uris: [], dnsNames, others: 0 })
    assert.deepEqual(leaf.extendedKeyUsage, ['1.3.6.1.5.5.7.3.1'])
    const verdict = judgeSvid(leaf.der, { trustDomain, role: 'server', nowMs: clock.now() })
    assert.deepEqual(verdict, { ok: false, reason: 'not-one-uri' })
  })

  it('gives every certificate a serial number of 128 random bits', async () => {
    const { authority } = await open(await newDirectory())
    const serials = new Set<string>()
    for (let i = 0; i < 50; i++) {
      const { serial } = await authority.issue({ profile: 'svid', publicKey, spiffeId })
      assert.match(serial, /^1[0-9a-f]{32}$/)
      serials.add(serial)
    }
    assert.equal(serials.size, 50)
  })

  it('F10: backdates, so that a clock 5 minutes behind finds a new certificate valid', async () => {
    const { authority, clock } = await open(await newDirectory())
    const { chain } = await authority.issue({ profile: 'svid', publicKey, spiffeId })
    for (const certificate of value(parseCertificates(chain))) {
      assert.ok(certificate.notBeforeMs <= clock.now() - 5 * 60_000)
    }
  })

  it('never lets a leaf outlive its signer', async () => {
    const { authority, clock } = await open(await newDirectory(), {
      leafLifetimeMs: 30 * DAY_MS,
      issuingLifetimeMs: 9 * DAY_MS,
      rootLifetimeMs: 40 * DAY_MS,
    })
    const root = authority.trustBundle().roots[0]!
    for (let day = 0; day < 39; day++) {
      const { chain } = await authority.issue({ profile: 'svid', publicKey, spiffeId })
      const [leaf, issuing] = value(parseCertificates(chain))
      assert.ok(leaf && issuing)
      assert.ok(leaf.notAfterMs <= issuing.notAfterMs, `day ${day}`)
      assert.ok(issuing.notAfterMs <= root.notAfterMs, `day ${day}`)
      assert.ok(leaf.notAfterMs > clock.now(), `day ${day}`)
      await clock.advance(DAY_MS)
    }
    await clock.advance(2 * DAY_MS)
    await assert.rejects(authority.issue({ profile: 'svid', publicKey, spiffeId }), RootExpiredError)
  })

  it('reads the root key when an issuing CA is made, and at no other time', async () => {
    const files = createFileCaStore(await newDirectory())
    let rootReads = 0
    const store: CaStore = {
      ...files,
      read(name) {
        if (name.startsWith('root')) rootReads += 1
        return files.read(name)
      },
    }
    const { authority, clock } = await open('', { store, issuingLifetimeMs: 30 * DAY_MS })
    rootReads = 0
    for (let i = 0; i < 5; i++) await authority.issue({ profile: 'svid', publicKey, spiffeId })
    assert.equal(rootReads, 0)
    await clock.advance(21 * DAY_MS)
    await Promise.all(Array.from({ length: 5 }, () => authority.issue({ profile: 'svid', publicKey, spiffeId })))
    assert.equal(rootReads, 1)
  })

  it('goes on with the issuing CA it has while the store fails', async () => {
    const files = createFileCaStore(await newDirectory())
    let fails = false
    const store: CaStore = {
      read: (name) => (fails ? Promise.reject(new CaStoreError('io', 'no disk')) : files.read(name)),
      create: (name, content) => files.create(name, content),
    }
    const { authority, clock } = await open('', { store, issuingLifetimeMs: 30 * DAY_MS })
    fails = true
    await clock.advance(21 * DAY_MS)
    assert.ok((await authority.issue({ profile: 'svid', publicKey, spiffeId })).notAfterMs > clock.now())
    await clock.advance(10 * DAY_MS)
    await assert.rejects(authority.issue({ profile: 'svid', publicKey, spiffeId }), CaStoreError)
  })

  it('makes another issuing CA, under the same root, for a renamed trust domain', async () => {
    const directory = await newDirectory()
    const before = await open(directory)
    const renamed = await open(directory, { trustDomain: value(parseTrustDomain('other.example')) })
    assert.deepEqual(pemsOf(renamed.authority.trustBundle()), pemsOf(before.authority.trustBundle()))
    assert.equal((await entries(directory)).length, 3)
  })

  it('T31: gives out no private key', async () => {
    const directory = await newDirectory()
    const { authority } = await open(directory)
    const { chain } = await authority.issue({ profile: 'svid', publicKey, spiffeId })
    assert.ok(!chain.includes('PRIVATE'))
    assert.ok(!pemsOf(authority.trustBundle()).join('').includes('PRIVATE'))
    const root = await readFile(join(directory, 'root-1.pem'), 'utf8')
    assert.equal(createPrivateKey(root).asymmetricKeyDetails?.namedCurve, 'prime256v1')
  })

  it('asks for the lifetime of each leaf, where it may change', async () => {
    let lifetimeMs = 3_600_000
    const { authority, clock } = await open(await newDirectory(), { leafLifetimeMs: () => lifetimeMs })
    const lifetimeOf = async () =>
      (await authority.issue({ profile: 'svid', publicKey, spiffeId })).notAfterMs - clock.now()
    assert.ok(Math.abs((await lifetimeOf()) - 3_600_000) <= 1_000)
    lifetimeMs = 7_200_000
    assert.ok(Math.abs((await lifetimeOf()) - 7_200_000) <= 1_000)
    lifetimeMs = 0
    assert.ok((await lifetimeOf()) >= 29_000)
  })

  it('refuses leaves of less than 30 s', async () => {
    await assert.rejects(open(await newDirectory(), { leafLifetimeMs: 29_999 }), RangeError)
  })
})
