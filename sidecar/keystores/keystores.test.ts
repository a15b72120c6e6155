import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { fromBER } from 'asn1js'
import { createTestCa } from '../../model/x509/testing/test-ca.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { withTrustBundle } from '../identity/identity.ts'
import { createIdentityStore, type IdentityStore } from '../identity/identity-store.ts'
import { testIdentity } from '../identity/testing/test-identity.ts'
import { keepKeystores } from './keystores.ts'

const run = promisify(execFile)

/** Java's own reader, which judges by itself what it finds. */
const keytool = await run('keytool', ['-help']).then(
  () => true,
  () => false,
)
const skip = keytool
  ? false
  : 'SKIPPED: there is no keytool here. It comes with every JDK: apt-get install openjdk-17-jre-headless'

interface Kept {
  readonly directory: string
  readonly stateDirectory: string
  /** Resolves once they could not be written. */
  readonly failed: Promise<void>
  /** Resolves once the files were written that many times in all. */
  written(times: number): Promise<void>
  file(name: string): Promise<string>
  end(): Promise<void>
}

async function keep(t: TestContext, store: IdentityStore, kept?: Kept): Promise<Kept> {
  const root = kept === undefined ? await mkdtemp(join(tmpdir(), 'hauberk-keystores-')) : ''
  const directory = kept?.directory ?? (await mkdtemp(join(root, 'app-')))
  const stateDirectory = kept?.stateDirectory ?? join(root, 'state')
  const controller = new AbortController()
  const failed = Promise.withResolvers<void>()
  let times = 0
  const waiting: (() => void)[] = []
  const done = keepKeystores(store, {
    place: { directory, mode: 0o444 },
    stateDirectory,
    clock: systemClock,
    random: () => 0.5,
    log: { ...silentLog, error: () => failed.resolve() },
    signal: controller.signal,
    onWritten() {
      times += 1
      for (const wake of waiting.splice(0)) wake()
    },
  })
  const end = async () => {
    controller.abort()
    await done
  }
  t.after(async () => {
    await end()
    if (root !== '') await rm(root, { recursive: true, force: true })
  })
  return {
    directory,
    stateDirectory,
    failed: failed.promise,
    async written(wanted) {
      while (times < wanted) await new Promise<void>((resolve) => waiting.push(resolve))
    },
    file: async (name) => (await readFile(join(directory, name))).toString('latin1'),
    end,
  }
}

/** What Java says is in a store. */
async function listed({ directory }: Kept, file: string): Promise<string> {
  const password = await readFile(join(directory, 'password'), 'utf8')
  const args = ['-list', '-v', '-storetype', 'PKCS12', '-keystore', join(directory, file), '-storepass', password]
  const { stdout } = await run('keytool', args, { env: { ...process.env, LC_ALL: 'C' } })
  return stdout
}

const ca = await createTestCa()

test('an identity becomes a keystore, a truststore and the password of both, for those who may read the folder', async (t) => {
  const kept = await keep(t, createIdentityStore(await testIdentity(ca, 'orders')))
  await kept.written(1)
  assert.deepEqual((await readdir(kept.directory)).sort(), ['keystore.p12', 'password', 'truststore.p12'])
  assert.match(await kept.file('password'), /^[A-Za-z0-9_-]{43}$/)
  for (const name of ['keystore.p12', 'truststore.p12']) {
    assert.equal((await stat(join(kept.directory, name))).mode & 0o777, 0o444)
    assert.equal(
      fromBER(await readFile(join(kept.directory, name))).offset,
      (await readFile(join(kept.directory, name))).length,
    )
  }
})

test('Java reads the key with its chain and trusts the roots, before a renewal and after', { skip }, async (t) => {
  const store = createIdentityStore(await testIdentity(ca, 'orders'))
  const kept = await keep(t, store)
  await kept.written(1)
  const [keystore, truststore] = [await listed(kept, 'keystore.p12'), await listed(kept, 'truststore.p12')]
  assert.match(keystore, /Your keystore contains 1 entry\n\nAlias name: identity\n/)
  assert.match(keystore, /Entry type: PrivateKeyEntry\nCertificate chain length: 1\n/)
  assert.match(keystore, /URIName: spiffe:\/\/cluster\.local\/ns\/shop\/sa\/orders/)
  assert.match(truststore, /Your keystore contains 1 entry\n\nAlias name: root-[0-9a-f]{16}\n/)
  assert.match(truststore, /Entry type: trustedCertEntry/)

  store.replace(await testIdentity(ca, 'orders'))
  await kept.written(2)
  const renewed = await listed(kept, 'keystore.p12')
  assert.match(renewed, /Entry type: PrivateKeyEntry/)
  assert.notEqual(serialIn(renewed), serialIn(keystore))
})

test('a renewal replaces the keystore alone, a new root the truststore alone, and the password stays', async (t) => {
  const store = createIdentityStore(await testIdentity(ca, 'orders'))
  const kept = await keep(t, store)
  await kept.written(1)
  const first = await all(kept)

  store.replace(await testIdentity(ca, 'orders'))
  await kept.written(2)
  const renewed = await all(kept)
  assert.notEqual(renewed.keystore, first.keystore)
  assert.deepEqual([renewed.truststore, renewed.password], [first.truststore, first.password])

  const other = await createTestCa()
  const next = withTrustBundle(store.current(), [ca.root, other.root])
  assert(next.ok)
  store.replace(next.value)
  await kept.written(3)
  const rotated = await all(kept)
  assert.notEqual(rotated.truststore, renewed.truststore)
  assert.deepEqual([rotated.keystore, rotated.password], [renewed.keystore, renewed.password])
})

test('after a restart the password is the one that an app has read before', async (t) => {
  const store = createIdentityStore(await testIdentity(ca, 'orders'))
  const kept = await keep(t, store)
  await kept.written(1)
  const before = await kept.file('password')
  await kept.end()
  const again = await keep(t, store, kept)
  await again.written(1)
  assert.equal(await kept.file('password'), before)
})

test('F11: a folder that cannot be written is tried again, and what is in it stays', async (t) => {
  const store = createIdentityStore(await testIdentity(ca, 'orders'))
  const kept = await keep(t, store)
  await kept.written(1)
  const before = await all(kept)
  const gone = `${kept.directory}-gone`
  await rename(kept.directory, gone)
  t.after(() => rm(gone, { recursive: true, force: true }))
  store.replace(await testIdentity(ca, 'orders'))
  await kept.failed
  await rename(gone, kept.directory)
  await kept.written(2)
  assert.notEqual((await all(kept)).keystore, before.keystore)
  assert.deepEqual((await readdir(kept.directory)).sort(), ['keystore.p12', 'password', 'truststore.p12'])
})

async function all({ file }: Kept) {
  return {
    keystore: await file('keystore.p12'),
    truststore: await file('truststore.p12'),
    password: await file('password'),
  }
}

function serialIn(listing: string): string | undefined {
  return /Serial number: ([0-9a-f]+)/.exec(listing)?.[1]
}
