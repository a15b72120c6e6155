import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { parseSpiffeId, parseTrustDomain } from '../../model/spiffe-id.ts'
import { pemsOf } from '../../model/x509/bundle.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { openClient } from '../kubernetes/client.ts'
import { KubernetesError } from '../kubernetes/errors.ts'
import { resourcePath } from '../kubernetes/path.ts'
import { type Authority, openAuthority } from './authority.ts'
import { CaStoreError } from './ca-store.ts'
import { CustomRootError } from './custom-root.ts'
import { proveChain } from './prove-chain.ts'
import { fingerprintOf } from './root.ts'
import { createRootRotation, firstRoots, type WantedRoots } from './rotation/root-rotation.ts'
import { createSecretRotationStore, ROTATION_SECRET } from './rotation/secret-rotation-store.ts'
import { stableWith } from './rotation/state.ts'
import { CUSTOM_ROOT_SECRET, createSecretCaStore, secretCustomRoot } from './secret-ca-store.ts'
import { makeSigningKeyPair } from './signing.ts'
import { type CustomCa, createCustomCa } from './testing/custom-ca.ts'
import { createTestNamespace, type TestNamespace } from './testing/kind-namespace.ts'

/** The CA in Secrets of a real API server, in a namespace of the test's own. */

const trustDomain = parseTrustDomain('cluster.local')
const parsedId = parseSpiffeId('spiffe://cluster.local/ns/shop/sa/orders')
assert.ok(trustDomain.ok && parsedId.ok)
const mesh = trustDomain.value
const spiffeId = parsedId.value

let space: TestNamespace
beforeEach(async () => {
  space = await createTestNamespace('idt-ca')
})
afterEach(async () => {
  await space.end()
})

const in_ = () => ({ client: space.client, namespace: space.name })

async function start(wanted: WantedRoots = { rootGeneration: 1, distrustedRoots: [] }) {
  const store = createSecretRotationStore(in_())
  const authority = await openAuthority({
    store: createSecretCaStore(in_()),
    customRoot: secretCustomRoot(in_()),
    trustDomain: mesh,
    clock: systemClock,
    log: silentLog,
    first: (roots) => firstRoots(roots, store, wanted),
  })
  return { authority, store }
}

async function secretNames(): Promise<readonly string[]> {
  const path = resourcePath({ apiVersion: 'v1', plural: 'secrets', namespace: space.name })
  const list = await space.client.request<{
    readonly items: readonly { readonly metadata: { readonly name: string } }[]
  }>({
    path,
  })
  return list.items.map(({ metadata }) => metadata.name.replace(/[0-9a-f]{16}/, 'HASH')).sort()
}

async function prove(authority: Authority): Promise<void> {
  const { privateKey, publicKey } = makeSigningKeyPair()
  const { chain } = await authority.issue({ profile: 'svid', publicKey, spiffeId })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  await proveChain({ privateKey: pem, chain, root: pemsOf(authority.trustBundle()).join('') })
}

async function bring(ca: CustomCa, changes: Readonly<Record<string, string>> = {}): Promise<void> {
  const encode = (text: string) => Buffer.from(text).toString('base64')
  const data = { 'tls.crt': encode(ca.chain), 'tls.key': encode(ca.privateKey), 'ca.crt': encode(ca.root), ...changes }
  await space.create({ kind: 'Secret', metadata: { name: CUSTOM_ROOT_SECRET }, type: 'kubernetes.io/tls', data })
}

describe('the CA in Secrets', () => {
  it('has one root, however many operators start at once, each with connections of its own', async () => {
    const clients = await Promise.all(
      Array.from({ length: 5 }, () => openClient({ config: { from: 'default' }, userAgent: 'hauberk-tests' })),
    )
    const opened = await Promise.all(
      clients.map((client) => {
        const at = { client, namespace: space.name }
        const store = createSecretRotationStore(at)
        return openAuthority({
          store: createSecretCaStore(at),
          trustDomain: mesh,
          clock: systemClock,
          log: silentLog,
          first: (roots) => firstRoots(roots, store, { rootGeneration: 1, distrustedRoots: [] }),
        })
      }),
    )
    const bundles = new Set(opened.map((authority) => pemsOf(authority.trustBundle()).join('')))
    assert.equal(bundles.size, 1)
    for (const authority of opened) await prove(authority)
    assert.deepEqual(await secretNames(), ['hauberk-ca-issuing-HASH-1', 'hauberk-ca-root-1', ROTATION_SECRET])
    const again = await start()
    assert.deepEqual(new Set([pemsOf(again.authority.trustBundle()).join('')]), bundles)
    for (const client of clients) client.close()
  })

  it('cannot be changed, not even by who may write Secrets; what is not ours is not taken for a CA', async () => {
    await start()
    const path = resourcePath({ apiVersion: 'v1', plural: 'secrets', namespace: space.name, name: 'hauberk-ca-root-1' })
    await assert.rejects(
      space.client.request({
        method: 'PATCH',
        path,
        contentType: 'application/merge-patch+json',
        body: { data: { 'ca.pem': Buffer.from('another').toString('base64') } },
      }),
      (error) => error instanceof KubernetesError && error.status === 422,
    )
    await space.delete('secrets', 'hauberk-ca-root-1')
    await space.create({ kind: 'Secret', metadata: { name: 'hauberk-ca-root-1' }, data: {} })
    await assert.rejects(start(), (error) => error instanceof CaStoreError && error.code === 'foreign')
  })

  it('F05: is rotated by whoever leads, from what is kept', async () => {
    const { authority } = await start()
    const old = authority.trustBundle().roots.map(fingerprintOf)
    let steps = 0
    for (let i = 0; i < 12 && steps < 4; i += 1) {
      const { authority: next, store } = await start()
      const rotation = createRootRotation({
        authority: next,
        store,
        wanted: () => ({ rootGeneration: 2, distrustedRoots: [] }),
        members: () => [],
        onStep: () => (steps += 1),
        // Each look is long after the one before: what is settled is no concern of this test.
        clock: { ...systemClock, monotonic: () => performance.now() * 1_000_000 },
        log: silentLog,
      })
      await rotation.reconcile()
      await rotation.reconcile()
    }
    assert.equal(steps, 4)
    const { authority: after } = await start()
    const now = after.trustBundle().roots.map(fingerprintOf)
    assert.equal(now.length, 1)
    assert.notDeepEqual(now, old)
    await prove(after)
  })

  it('F05: keeps the step of one operator, where several take one at the same moment', async () => {
    const { store, authority } = await start()
    const kept = await store.read()
    assert.ok(kept)
    const [root] = authority.trustBundle().roots
    const ref = { name: 'root-1', fingerprint: fingerprintOf(root!) }
    const taken = await Promise.all(
      Array.from({ length: 5 }, (_, i) => store.write(stableWith(ref, i + 10), kept.version)),
    )
    assert.equal(taken.filter((isTaken) => isTaken).length, 1)
    assert.equal((await store.read())?.state.generation, taken.indexOf(true) + 10)
    await space.delete('secrets', ROTATION_SECRET)
    assert.equal(await store.read(), undefined)
    const created = await Promise.all(
      [1, 2, 3].map((generation) => store.write(stableWith(ref, generation), undefined)),
    )
    assert.equal(created.filter((isCreated) => isCreated).length, 1)
  })

  it('signs under a root that a user brought, as cert-manager writes it', async () => {
    const root = await createCustomCa({ kind: 'RSA-2048' })
    await bring(await root.signCa({ kind: 'P-256' }))
    const { authority } = await start()
    assert.deepEqual(pemsOf(authority.trustBundle()), [root.root])
    await prove(authority)
    assert.equal((await secretNames()).includes('hauberk-ca-root-1'), false)
  })

  it('does not start with a root that was brought and cannot be used, and says why', async () => {
    await bring(await createCustomCa(), { 'ca.crt': Buffer.from((await createCustomCa()).root).toString('base64') })
    await assert.rejects(start(), /ca.crt: holds no self-signed root/)
    await space.delete('secrets', CUSTOM_ROOT_SECRET)
    await bring(await createCustomCa({ pathLength: 0 }))
    await assert.rejects(start(), (error) => error instanceof CustomRootError && /is not believed/.test(error.message))
  })
})
