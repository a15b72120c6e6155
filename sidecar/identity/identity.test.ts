import assert from 'node:assert/strict'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { createTestCa } from '../../model/x509/testing/test-ca.ts'
import { createIdentity, type IdentityParts, withTrustBundle } from './identity.ts'
import { loadIdentity, saveIdentity } from './identity-file.ts'
import { createIdentityStore } from './identity-store.ts'
import { makePrivateKey, pemOfKey } from './keypair.ts'
import { testId, testIdentity } from './testing/test-identity.ts'

const ca = await createTestCa()
const other = await createTestCa('other root')
const directory = await mkdtemp(join(tmpdir(), 'hauberk-identity-'))
after(() => rm(directory, { recursive: true }))

describe('an identity', () => {
  const sound = async (): Promise<IdentityParts> => ({
    ...(await ca.issue()),
    trustBundle: [ca.root],
    receivedAtMs: Date.now(),
  })

  it('is put together from a key, a chain and the roots it leads to', async () => {
    const identity = createIdentity(await sound(), testId('orders'), Date.now())
    assert.ok(identity.ok)
    assert.equal(identity.value.trustDomain, 'cluster.local')
  })

  it('is refused where its parts do not belong together', async () => {
    const parts = await sound()
    const both = { ...parts, trustBundle: [ca.root, other.root] }
    assert.equal(createIdentity(both, testId('orders'), Date.now()).ok, true)
    const expired = await ca.issue({ notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() - 1_000 })
    const wrong: readonly (readonly [string, IdentityParts, RegExp])[] = [
      ['another key', { ...parts, privateKey: pemOfKey(await makePrivateKey()) }, /another key/],
      ['another root', { ...parts, trustBundle: [other.root] }, /does not lead/],
      ['an expired certificate', { ...parts, ...expired }, /expired/],
      ['no certificate', { ...parts, chain: '' }, /no PEM block/],
      ['no root', { ...parts, trustBundle: [] }, /no certificate/],
      ['a CA in place of the leaf', { ...parts, chain: ca.root }, /not-one-uri/],
    ]
    for (const [what, changed, why] of wrong) {
      assert.match(JSON.stringify(createIdentity(changed, testId('orders'), Date.now())), why, what)
    }
    assert.match(JSON.stringify(createIdentity(parts, testId('payments'), Date.now())), /unexpected-identity/)
  })

  it('F05: can be given the roots of a rotation, and no bundle that is none', async () => {
    const identity = await testIdentity(ca, 'orders')
    const rotating = withTrustBundle(identity, [ca.root, other.root])
    assert.deepEqual(rotating.ok && rotating.value.trustBundle, [ca.root, other.root])
    assert.equal(withTrustBundle(identity, []).ok, false)
    assert.equal(withTrustBundle(identity, ['garbage']).ok, false)
  })

  it('comes back from its file, which is for nobody else', async () => {
    const identity = await testIdentity(ca, 'orders')
    await saveIdentity(directory, identity)
    assert.equal((await stat(join(directory, 'identity.json'))).mode & 0o777, 0o600)
    assert.deepEqual(await loadIdentity(directory, testId('orders'), Date.now()), { ok: true, value: identity })
  })

  it('is not used from its file when it is somebody else’s, expired, damaged or not there', async () => {
    const identity = await testIdentity(ca, 'orders')
    await saveIdentity(directory, identity)
    assert.equal((await loadIdentity(directory, testId('payments'), Date.now())).ok, false)
    assert.equal((await loadIdentity(directory, testId('orders'), Date.now() + 86_400_000)).ok, false)
    for (const damage of ['', '{', 'null', '{"privateKey":1}']) {
      await writeFile(join(directory, 'identity.json'), damage)
      assert.equal((await loadIdentity(directory, testId('orders'), Date.now())).ok, false)
    }
    assert.deepEqual(await loadIdentity(join(directory, 'none'), testId('orders'), Date.now()), {
      ok: true,
      value: undefined,
    })
  })
})

describe('the identity store', () => {
  it('swaps whole, counts, and tells those who listen', async () => {
    const first = await testIdentity(ca, 'orders')
    const second = await testIdentity(ca, 'orders')
    const store = createIdentityStore(first)
    const seen: unknown[] = []
    const stop = store.onChange((identity) => seen.push(identity === store.current()))
    assert.equal(store.version(), 0)
    store.replace(second)
    assert.equal(store.current(), second)
    assert.equal(store.version(), 1)
    stop()
    store.replace(first)
    assert.deepEqual(seen, [true])
  })
})
