import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { scriptServer } from '../kubernetes/testing/api-server.ts'
import { openAdminToken } from './admin-token.ts'
import { makeDefaultResources } from './default-resources.ts'
import { createPersist } from './persist.ts'
import { createObjectStore } from './testing/object-store.ts'

const SECRET = '/api/v1/namespaces/hauberk-system/secrets/hauberk-admin'
const persist = createPersist({
  clock: systemClock,
  random: () => 0,
  log: silentLog,
  signal: new AbortController().signal,
})

test('operators that start together have one admin token, which none of them can guess', async (t) => {
  const store = createObjectStore()
  const { client } = await scriptServer(t, store.serve)
  const [a, b] = await Promise.all([openAdminToken(client), openAdminToken(client)])
  assert.equal(a, b)
  assert.ok(Buffer.from(a, 'base64url').length === 32)
  assert.equal(store.objects.get(SECRET)?.immutable, true)
})

test('a Secret that holds no token is refused, not replaced', async (t) => {
  const store = createObjectStore()
  const { client } = await scriptServer(t, store.serve)
  store.put(SECRET, { metadata: {}, data: { token: Buffer.from('short').toString('base64') } })
  await assert.rejects(openAdminToken(client), /hauberk-admin holds no token/)
})

test('a default resource is made where there is none, and what is there stays as it is', async (t) => {
  const store = createObjectStore()
  const { client } = await scriptServer(t, store.serve)
  const path = '/apis/hauberk.dev/v1alpha1/meshconfigs/default'
  const meshConfig = {
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'MeshConfig',
    metadata: { name: 'default' },
    spec: { a: 1 },
  }
  await makeDefaultResources(client, [meshConfig], persist, silentLog)
  assert.deepEqual(store.objects.get(path)?.spec, { a: 1 })
  await makeDefaultResources(client, [{ ...meshConfig, spec: { a: 2 } }], persist, silentLog)
  assert.deepEqual(store.objects.get(path)?.spec, { a: 1 })
})

test('a default resource that the API server does not take keeps no operator from starting', async (t) => {
  const { client } = await scriptServer(t, (_, answer) => answer.refuse(422, 'Invalid'))
  const broken = { apiVersion: 'hauberk.dev/v1alpha1', kind: 'MeshConfig', metadata: { name: 'x' } }
  await makeDefaultResources(client, [broken], persist, silentLog)
})
