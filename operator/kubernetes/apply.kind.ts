import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { applyObject } from './apply.ts'
import { createOnly } from './create.ts'
import { isConflict, isForbidden, KubernetesError } from './errors.ts'
import { createEvents } from './events.ts'
import { type KubernetesObject, recordOf } from './object.ts'
import { testCluster, until } from './testing/cluster.ts'

const dataOf = (object: KubernetesObject) => object['data']

test('an apply owns its fields: another manager is in conflict unless it forces, and what is left out goes', async (t) => {
  const { client, namespace } = await testCluster(t)
  const object = (data: Readonly<Record<string, string>>) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace, name: 'applied' },
    data,
  })
  const ours = { plural: 'configmaps', fieldManager: 'hauberk-operator' }
  const theirs = { plural: 'configmaps', fieldManager: 'somebody' }
  const first = await applyObject(client, object({ a: '1', b: '1' }), ours)
  assert.deepEqual(dataOf(first), { a: '1', b: '1' })
  const again = await applyObject(client, object({ a: '1', b: '1' }), ours)
  assert.equal(again.metadata.resourceVersion, first.metadata.resourceVersion, 'what is there already is not written')
  await assert.rejects(
    applyObject(client, object({ a: '2' }), theirs),
    (error) => isConflict(error) && /conflict with "hauberk-operator"/.test(error.message),
  )
  assert.deepEqual(dataOf(await applyObject(client, object({ a: '2' }), { ...theirs, force: true, dryRun: true })), {
    a: '2',
    b: '1',
  })
  assert.deepEqual(dataOf(await applyObject(client, object({ a: '2' }), { ...theirs, force: true })), {
    a: '2',
    b: '1',
  })
  assert.deepEqual(dataOf(await applyObject(client, object({}), ours)), { a: '2' })
})

test('an apply of what the API server cannot read says where it is wrong', async (t) => {
  const { client, namespace } = await testCluster(t)
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name: 'x' }, data: { a: 5 } }
  await assert.rejects(
    applyObject(client, object, { plural: 'configmaps', fieldManager: 'hauberk-operator' }),
    (error) => error instanceof KubernetesError && /\.data\.a: expected string/.test(error.message),
  )
})

test('of twenty who create one Secret at once, one has made it and all have the same', async (t) => {
  const { client, namespace } = await testCluster(t)
  const attempts = await Promise.all(
    Array.from({ length: 20 }, (_, i) => {
      const data = { owner: Buffer.from(`owner-${i}`).toString('base64') }
      const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name: 'once' }, data }
      return createOnly(client, secret, { plural: 'secrets', fieldManager: 'hauberk-operator' })
    }),
  )
  assert.equal(attempts.filter(({ created }) => created).length, 1)
  assert.equal(new Set(attempts.map(({ object }) => JSON.stringify([object.metadata.uid, dataOf(object)]))).size, 1)
})

test('a create that the role forbids is no success', async (t) => {
  const { namespace, openAs } = await testCluster(t)
  const nobody = await openAs('nobody')
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name: 'once' } }
  await assert.rejects(createOnly(nobody, secret, { plural: 'secrets' }), isForbidden)
})

test('events are written once and counted after that', { timeout: 60_000 }, async (t) => {
  const { client, namespace, create } = await testCluster(t)
  await create('v1', 'configmaps', { kind: 'ConfigMap', metadata: { name: 'subject' } })
  const stop = new AbortController()
  t.after(() => stop.abort())
  const events = createEvents({
    client,
    component: 'hauberk.dev/operator',
    instance: 'hauberk-operator-test',
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    signal: stop.signal,
  })
  const regarding = { apiVersion: 'v1', kind: 'ConfigMap', namespace, name: 'subject' }
  const record = (reason: string) =>
    events.record({ regarding, type: 'Warning', reason, note: `it is about ${reason}`, action: 'Test' })
  const written = async () => {
    const list = await client.request({ path: `/apis/events.k8s.io/v1/namespaces/${namespace}/events` })
    return (recordOf(list)['items'] as Readonly<Record<string, unknown>>[])
      .filter((event) => recordOf(event['regarding'])['name'] === 'subject')
      .map((event) => [
        event['reason'],
        recordOf(event['series'])['count'],
        event['reportingController'],
        event['note'],
      ])
      .sort()
  }
  for (let i = 0; i < 50; i++) record('Often')
  record('Once')
  await events.flush()
  for (let i = 0; i < 50; i++) record('Often')
  await events.flush()
  await until(async () => (await written()).length === 2, 'both are there')
  assert.deepEqual(await written(), [
    ['Often', 100, 'hauberk.dev/operator', 'it is about Often'],
    ['Once', undefined, 'hauberk.dev/operator', 'it is about Once'],
  ])
})
