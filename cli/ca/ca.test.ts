import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Asked, scriptServer } from '../../operator/kubernetes/testing/api-server.ts'
import { CommandError } from '../exit-code.ts'
import { followRotation } from './follow-rotation.ts'
import { raiseRootGeneration } from './root-generation.ts'

const ONE = { fingerprint: '11'.repeat(32), notAfter: '2036-01-01T00:00:00Z', use: 'Signing' }
const TWO = { ...ONE, fingerprint: '22'.repeat(32) }

function meshConfig(generation: number | undefined, authority?: object, resourceVersion = '7') {
  return {
    metadata: { name: 'default', resourceVersion },
    spec: generation === undefined ? {} : { certificates: { rootGeneration: generation, lifetime: '24h' } },
    status: { certificateAuthority: authority },
  }
}

const stable = { phase: 'stable', roots: [ONE], waitingFor: [], waiting: 0 }

const writes = (asked: readonly Asked[]) => asked.filter(({ method }) => method !== 'GET')

async function served(t: TestContext, answers: readonly (object | number)[]) {
  const left = [...answers]
  return scriptServer(t, ({ method }, answer) => {
    if (method !== 'GET') return answer.json(200, {})
    const next = left.length > 1 ? left.shift() : left[0]
    if (typeof next === 'number') answer.refuse(next, 'NotFound')
    else answer.json(200, next)
  })
}

test('another root is asked for by one more than was read, of that version and of no other', async (t) => {
  const { client, asked } = await served(t, [meshConfig(3, stable)])
  assert.deepEqual(await raiseRootGeneration(client), { from: 3, to: 4, signing: ONE.fingerprint })
  const [patch, ...others] = writes(asked)
  assert.deepEqual(others, [])
  assert.equal(patch?.method, 'PATCH')
  assert.equal(patch.path, '/apis/hauberk.dev/v1alpha1/meshconfigs/default')
  assert.equal(patch.headers['content-type'], 'application/merge-patch+json')
  assert.deepEqual(patch.body, {
    metadata: { resourceVersion: '7' },
    spec: { certificates: { rootGeneration: 4 } },
  })
})

test('without a MeshConfig one is made that says nothing else', async (t) => {
  const { client, asked } = await served(t, [404])
  assert.deepEqual(await raiseRootGeneration(client), { from: 1, to: 2, signing: undefined })
  const [create] = writes(asked)
  assert.deepEqual([create?.method, create?.path], ['POST', '/apis/hauberk.dev/v1alpha1/meshconfigs'])
  assert.deepEqual(create?.body, {
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'MeshConfig',
    metadata: { name: 'default' },
    spec: { certificates: { rootGeneration: 2 } },
  })
})

test('while a root is being replaced no other one is asked for', async (t) => {
  const { client, asked } = await served(t, [meshConfig(2, { ...stable, phase: 'signing' })])
  await assert.rejects(raiseRootGeneration(client), (error: unknown) => {
    assert.ok(error instanceof CommandError)
    assert.equal(error.exitCode, 1)
    assert.match(error.message, /is being replaced already \(signing\)/)
    return true
  })
  assert.deepEqual(writes(asked), [])
})

test('whoever was faster is read again, and the root is still raised by one only', async (t) => {
  let generation = 1
  const { client, asked } = await scriptServer(t, ({ method }, answer) => {
    if (method === 'GET') return answer.json(200, meshConfig(generation, stable, String(generation)))
    if (generation === 1) {
      generation = 2
      return answer.refuse(409, 'Conflict')
    }
    answer.json(200, {})
  })
  assert.deepEqual(await raiseRootGeneration(client), { from: 2, to: 3, signing: ONE.fingerprint })
  assert.equal(writes(asked).length, 2)
})

test('each step of a replacement is said once, until the old root is retired', async (t) => {
  const { client } = await served(t, [
    meshConfig(2, stable),
    meshConfig(2, { ...stable, phase: 'distributing', waiting: 2, waitingFor: ['a/x', 'b/y'] }),
    meshConfig(2, { ...stable, phase: 'retiring', roots: [TWO] }),
    meshConfig(2, { ...stable, roots: [TWO] }),
  ])
  const said: string[] = []
  await followRotation({
    client,
    signing: ONE.fingerprint,
    waitMs: 30_000,
    lookMs: 1,
    say: (line) => said.push(line),
  })
  assert.deepEqual(said, [
    'stable: nothing has begun yet',
    'distributing: the new root is made, and is trusted as it arrives; waiting for a/x, b/y',
    'retiring: the old root is out, as everybody acknowledges',
    `✓ ${TWO.fingerprint} signs, and no other root is trusted`,
  ])
})

test('a replacement that takes too long is left to itself, with exit code 1', async (t) => {
  const { client } = await served(t, [meshConfig(2, stable)])
  const following = followRotation({ client, signing: ONE.fingerprint, waitMs: 20, lookMs: 5, say: () => {} })
  await assert.rejects(following, /not done in time: it goes on by itself/)
})
