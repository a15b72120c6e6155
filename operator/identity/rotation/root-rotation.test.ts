import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { parseSpiffeId, parseTrustDomain } from '../../../model/spiffe-id.ts'
import { pemsOf } from '../../../model/x509/bundle.ts'
import { silentLog } from '../../../runtime/log.ts'
import { createManualClock, type ManualClock } from '../../../runtime/manual-clock.ts'
import { type Authority, openAuthority } from '../authority.ts'
import { createFileCaStore } from '../ca-store.ts'
import type { CustomRoot } from '../custom-root.ts'
import { fingerprintOf } from '../root.ts'
import { issueServerIdentity } from '../server-identity.ts'
import { makeSigningKeyPair } from '../signing.ts'
import { createCustomCa } from '../testing/custom-ca.ts'
import type { Member, RotationStep } from './advance.ts'
import { operatorMember } from './members.ts'
import { createRootRotation, firstRoots, type RootRotation, type WantedRoots } from './root-rotation.ts'
import { createFileRotationStore, RotationStoreError } from './rotation-store.ts'

const directories: string[] = []
after(async () => {
  for (const directory of directories) await rm(directory, { recursive: true })
})

function value<T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false }): T {
  assert.ok(result.ok)
  return result.value
}

const trustDomain = value(parseTrustDomain('cluster.local'))
const spiffeId = value(parseSpiffeId('spiffe://cluster.local/ns/hauberk-system/sa/hauberk-operator'))

interface Operator {
  readonly authority: Authority
  readonly rotation: RootRotation
  readonly steps: readonly RotationStep[]
  /** Fingerprints, the one that signs first. */
  trusted(): readonly string[]
}

/** A mesh's CA on disk, the wishes of its people, and any number of operators. */
async function newMesh() {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-rotation-'))
  directories.push(directory)
  const clock: ManualClock = createManualClock(Date.now())
  const mesh = {
    directory,
    clock,
    wanted: { rootGeneration: 1, distrustedRoots: [] } as WantedRoots,
    brought: undefined as CustomRoot | undefined,
    members: [] as readonly Member[],
    async start({ isLeader = true } = {}): Promise<Operator> {
      const store = createFileRotationStore(directory)
      const steps: RotationStep[] = []
      const authority = await openAuthority({
        store: createFileCaStore(directory),
        trustDomain,
        clock,
        log: silentLog,
        customRoot: async () => mesh.brought,
        first: (roots) => firstRoots(roots, store, mesh.wanted),
      })
      const rotation = createRootRotation({
        authority,
        store,
        wanted: () => mesh.wanted,
        members: () => mesh.members,
        isLeader: () => isLeader,
        onStep: (step) => steps.push(step),
        clock,
        log: silentLog,
      })
      return { authority, rotation, steps, trusted: () => authority.trustBundle().roots.map(fingerprintOf) }
    },
  }
  return mesh
}

/** Lets an operator take the steps that are due, with the time between them that they need. */
async function settle({ rotation }: Operator, clock: ManualClock): Promise<void> {
  for (let i = 0; i < 4; i += 1) {
    await rotation.reconcile()
    clock.jump(3_000)
    await clock.advance(3_000)
  }
}

async function leafRoot({ authority }: Operator): Promise<string> {
  const { publicKey } = makeSigningKeyPair()
  const issued = await authority.issue({ profile: 'svid', publicKey, spiffeId })
  assert.equal(await authority.rootOf(new X509Certificate(issued.chain).raw), issued.root)
  return issued.root
}

const member = (trusts: readonly string[], root: string): Member => ({ name: 'pod a', trusts: new Set(trusts), root })

describe('the rotation of roots', () => {
  it('F05: names those first of whom something is known to be wrong, and says it', async () => {
    const mesh = await newMesh()
    const operator = await mesh.start()
    const [old] = operator.trusted()
    assert.ok(old)
    const trouble = 'it refuses to be changed: delete it'
    const place = { name: 'ConfigMap shop/hauberk-trust-anchors', trusts: new Set([old]), root: 'none', trouble }
    const long = { ...place, name: 'ConfigMap x/y', trouble: 'x'.repeat(1_000) }
    const others = Array.from({ length: 30 }, (_, i) => ({ ...member([old], old), name: `pod ${i}` }))
    mesh.members = [...others, place, long]
    mesh.wanted = { rootGeneration: 2, distrustedRoots: [] }
    await settle(operator, mesh.clock)
    const { waitingFor, waiting } = operator.rotation.status()
    assert.deepEqual(
      [waiting, waitingFor.length, waitingFor[0], waitingFor[2]],
      [32, 20, 'ConfigMap shop/hauberk-trust-anchors (it refuses to be changed: delete it)', 'pod 0'],
    )
    assert.deepEqual([waitingFor[1]?.length, waitingFor[1]?.endsWith('x…')], [512, true])
  })

  it('F05: goes from one root to the next as members follow, and says where it is', async () => {
    const mesh = await newMesh()
    const operator = await mesh.start()
    const [old] = operator.trusted()
    assert.ok(old)
    mesh.members = [member([old], old)]
    await settle(operator, mesh.clock)
    assert.equal(operator.rotation.status().phase, 'stable')

    mesh.wanted = { rootGeneration: 2, distrustedRoots: [] }
    await settle(operator, mesh.clock)
    const [signing, next] = operator.trusted()
    assert.equal(signing, old)
    assert.ok(next)
    assert.equal(await leafRoot(operator), old)
    const status = operator.rotation.status()
    assert.equal(status.phase, 'distributing')
    assert.deepEqual(status.waitingFor, ['pod a'])
    assert.deepEqual(
      status.roots.map(({ fingerprint, use }) => [fingerprint, use]),
      [
        [old, 'Signing'],
        [next, 'Next'],
      ],
    )
    assert.match(status.roots[0]!.notAfter, /^20\d\d-.*Z$/)

    mesh.members = [member([old, next], old)]
    await settle(operator, mesh.clock)
    assert.deepEqual(operator.trusted(), [next, old])
    assert.equal(await leafRoot(operator), next)
    assert.equal(operator.rotation.status().phase, 'signing')

    mesh.members = [member([old, next], next)]
    await settle(operator, mesh.clock)
    assert.deepEqual(operator.trusted(), [next])
    assert.equal(operator.rotation.status().phase, 'retiring')

    mesh.members = [member([next], next)]
    await settle(operator, mesh.clock)
    assert.equal(operator.rotation.status().phase, 'stable')
    assert.deepEqual(
      operator.steps.map(({ reason }) => reason),
      ['RootDistributing', 'RootSigning', 'RootRetiring', 'RootRotated'],
    )
    assert.deepEqual((await mesh.start()).trusted(), [next])
  })

  it('F05: goes on where it was when another operator leads; the others follow and take no step', async () => {
    const mesh = await newMesh()
    const first = await mesh.start()
    const follower = await mesh.start({ isLeader: false })
    const [old] = first.trusted()
    assert.ok(old)
    mesh.wanted = { rootGeneration: 2, distrustedRoots: [] }
    await settle(follower, mesh.clock)
    assert.deepEqual(follower.trusted(), [old])
    mesh.members = [member([old], old)]
    await settle(first, mesh.clock)
    await follower.rotation.reconcile()
    const [, next] = follower.trusted()
    assert.ok(next)
    assert.deepEqual(follower.trusted(), first.trusted())

    const second = await mesh.start()
    mesh.members = [member([old, next], old)]
    await settle(second, mesh.clock)
    assert.deepEqual(second.trusted(), [next, old])
    await follower.rotation.reconcile()
    assert.equal(await leafRoot(follower), next)
    assert.deepEqual(follower.steps, [])
  })

  it('takes no step on the word of a moment', async () => {
    const mesh = await newMesh()
    const operator = await mesh.start()
    mesh.wanted = { rootGeneration: 2, distrustedRoots: [] }
    await operator.rotation.reconcile()
    await operator.rotation.reconcile()
    assert.equal(operator.rotation.status().phase, 'distributing')
    await mesh.clock.advance(1_500)
    await operator.rotation.reconcile()
    assert.equal(operator.rotation.status().phase, 'distributing')
    await mesh.clock.advance(1_500)
    await operator.rotation.reconcile()
    assert.equal(operator.rotation.status().phase, 'signing')
  })

  it('never goes back: a lower generation, or one that was passed over, changes nothing', async () => {
    const mesh = await newMesh()
    mesh.wanted = { rootGeneration: 3, distrustedRoots: [] }
    const operator = await mesh.start()
    const before = operator.trusted()
    mesh.wanted = { rootGeneration: 1, distrustedRoots: [] }
    await settle(operator, mesh.clock)
    assert.deepEqual(operator.trusted(), before)
    assert.deepEqual((await mesh.start()).trusted(), before)
  })

  it('begins with the first root of a mesh that had it before roots could be replaced', async () => {
    const mesh = await newMesh()
    const earlier = await openAuthority({
      store: createFileCaStore(mesh.directory),
      trustDomain,
      clock: mesh.clock,
      log: silentLog,
    })
    mesh.wanted = { rootGeneration: 2, distrustedRoots: [] }
    const operator = await mesh.start()
    assert.deepEqual(pemsOf(operator.authority.trustBundle()), pemsOf(earlier.trustBundle()))
    await operator.rotation.reconcile()
    assert.equal(operator.rotation.status().phase, 'distributing')
  })

  it('F06: drops a distrusted root at once, at an operator that does not lead and before anybody has followed', async () => {
    const mesh = await newMesh()
    const follower = await mesh.start({ isLeader: false })
    const [old] = follower.trusted()
    assert.ok(old)
    mesh.members = [member([old], old)]
    mesh.wanted = { rootGeneration: 1, distrustedRoots: [old] }
    let told = 0
    follower.authority.onChange(() => {
      told += 1
    })
    await follower.rotation.reconcile()
    const [next, ...others] = follower.trusted()
    assert.notEqual(next, old)
    assert.deepEqual(others, [])
    assert.deepEqual(follower.authority.distrusted(), [old])
    assert.equal(await leafRoot(follower), next)
    assert.equal(told, 1)

    const leader = await mesh.start()
    assert.deepEqual(leader.trusted(), [next])
    await leader.rotation.reconcile()
    assert.deepEqual(leader.rotation.status().waitingFor, ['pod a'])
    mesh.members = [member([next!], next!)]
    await settle(leader, mesh.clock)
    assert.equal(leader.rotation.status().phase, 'stable')
    mesh.wanted = { rootGeneration: 1, distrustedRoots: [] }
    await settle(leader, mesh.clock)
    assert.deepEqual(leader.trusted(), [next], 'what is out stays out')
  })

  it('F06: is not kept from it by a root that was brought and cannot be used', async () => {
    const mesh = await newMesh()
    const operator = await mesh.start()
    const [old] = operator.trusted()
    mesh.brought = { certificate: 'nothing', privateKey: 'nothing' }
    await operator.rotation.reconcile()
    assert.match(operator.rotation.status().problem ?? '', /tls.crt: cannot be read/)
    assert.deepEqual(operator.trusted(), [old])
    mesh.wanted = { rootGeneration: 1, distrustedRoots: [old!] }
    await operator.rotation.reconcile()
    assert.equal(operator.trusted().includes(old!), false)
  })

  it('F06: starts without a root that is distrusted by then', async () => {
    const mesh = await newMesh()
    const [old] = (await mesh.start()).trusted()
    mesh.wanted = { rootGeneration: 1, distrustedRoots: [old!] }
    const operator = await mesh.start()
    assert.equal(operator.trusted().length, 1)
    assert.equal(operator.trusted().includes(old!), false)
  })

  it('goes to a root that a user brings, stays with it when it is taken away, and leaves it for a higher generation', async () => {
    const mesh = await newMesh()
    const operator = await mesh.start()
    const ca = await createCustomCa()
    mesh.brought = { certificate: ca.chain, privateKey: ca.privateKey, root: ca.root }
    await settle(operator, mesh.clock)
    await settle(operator, mesh.clock)
    assert.deepEqual(pemsOf(operator.authority.trustBundle()), [ca.root])
    assert.equal(operator.rotation.status().phase, 'stable')

    mesh.brought = undefined
    await settle(operator, mesh.clock)
    assert.deepEqual(pemsOf((await mesh.start()).authority.trustBundle()), [ca.root])

    mesh.wanted = { rootGeneration: 2, distrustedRoots: [] }
    await settle(operator, mesh.clock)
    await settle(operator, mesh.clock)
    assert.equal(pemsOf(operator.authority.trustBundle()).includes(ca.root), false)
  })

  it('is the first root of a mesh that it was brought to before the start; one that cannot be used is told, not replaced', async () => {
    const mesh = await newMesh()
    const ca = await createCustomCa()
    mesh.brought = { certificate: ca.chain, privateKey: 'nothing', root: ca.root }
    await assert.rejects(mesh.start(), /tls.key/)
    mesh.brought = { certificate: ca.chain, privateKey: ca.privateKey, root: ca.root }
    assert.deepEqual(pemsOf((await mesh.start()).authority.trustBundle()), [ca.root])
  })

  it('guesses nothing where what was kept is damaged', async () => {
    const mesh = await newMesh()
    await mesh.start()
    const path = join(mesh.directory, 'rotation.json')
    assert.match(await readFile(path, 'utf8'), /root-1/)
    await writeFile(path, '{}')
    await assert.rejects(mesh.start(), RotationStoreError)
  })

  it('has one state however many operators start and step at once', async () => {
    const mesh = await newMesh()
    const operators = await Promise.all(Array.from({ length: 4 }, () => mesh.start()))
    assert.equal(new Set(operators.map((operator) => operator.trusted().join())).size, 1)
  })

  it('counts an operator by the bundle that it has and the root of its own certificate', async () => {
    const mesh = await newMesh()
    const { authority, trusted } = await mesh.start()
    const [root] = trusted()
    const identity = await issueServerIdentity(authority, spiffeId)
    assert.deepEqual(operatorMember('a', authority, identity), {
      name: 'operator a',
      trusts: new Set([root]),
      root,
    })
  })

  it('looks again by itself, and sooner when it is touched', async () => {
    const mesh = await newMesh()
    const operator = await mesh.start()
    const controller = new AbortController()
    const running = operator.rotation.run(controller.signal)
    await mesh.clock.advance(300)
    mesh.wanted = { rootGeneration: 2, distrustedRoots: [] }
    operator.rotation.touch()
    const deadline = Date.now() + 30_000
    while (operator.rotation.status().phase !== 'stable' || operator.steps.length < 4) {
      assert.ok(Date.now() < deadline, JSON.stringify(operator.rotation.status()))
      await mesh.clock.advance(500)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    controller.abort()
    await running
    assert.equal(mesh.clock.pendingTimers(), 0)
  })
})
