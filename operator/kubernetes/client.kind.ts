import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openClient } from './client.ts'
import { isForbidden, isNotFound, KubernetesError } from './errors.ts'
import { kubeconfig } from './testing/api-server.ts'
import { startProxy, testCluster, until } from './testing/cluster.ts'
import { watchChanges } from './watch.ts'

test('an API server answers, refuses and says why', async (t) => {
  const { client, namespace, openAs } = await testCluster(t)
  assert.match((await client.request<{ gitVersion: string }>({ path: '/version' })).gitVersion, /^v1\.\d+/)
  assert.equal(await client.request({ path: '/readyz' }), 'ok')
  const path = `/api/v1/namespaces/${namespace}/configmaps/nowhere`
  await assert.rejects(
    client.request({ path }),
    (error) => isNotFound(error) && /configmaps "nowhere" not found/.test(error.message),
  )
  const nobody = await openAs('nobody')
  await assert.rejects(
    nobody.request({ path }),
    (error) => isForbidden(error) && /cannot get resource/.test(error.message),
  )
  const impostor = await openClient({
    config: { from: 'text', text: kubeconfig(client.server.replace(/\/$/, ''), { token: 'not-a-token' }) },
    userAgent: 'test',
  })
  t.after(() => impostor.close())
  await assert.rejects(
    impostor.request({ path }),
    (error) => error instanceof KubernetesError && error.reason === 'Unauthorized',
  )
})

test('connections are kept, and a connection that is cut while it is idle costs nothing', async (t) => {
  const { open } = await testCluster(t)
  const proxy = await startProxy(t)
  const client = await open({ through: proxy })
  for (let i = 0; i < 5; i++) await client.request({ path: '/version' })
  assert.equal(proxy.opened(), 1)
  proxy.cut()
  await client.request({ path: '/version' })
  assert.equal(proxy.opened(), 2)
})

test('F24: a connection on which nothing moves any more is found', async (t) => {
  const { open, namespace } = await testCluster(t)
  const proxy = await startProxy(t)
  const client = await open({ through: proxy })
  const events: string[] = []
  const watching = watchChanges(
    client,
    {
      path: `/api/v1/namespaces/${namespace}/configmaps`,
      resourceVersion: undefined,
      timeoutSeconds: 60,
      idleTimeoutMs: 1_000,
      onOpen: () => events.push('open'),
    },
    () => events.push('event'),
  )
  const failed = watching.then(
    () => undefined,
    (error: unknown) => error,
  )
  // The root's ConfigMap is in every namespace.
  await until(() => events.includes('event'), 'an event came')
  proxy.freeze()
  const error = await failed
  assert.ok(error instanceof KubernetesError && error.reason === 'Timeout', String(error))
  const late = await client.request({ path: '/version', timeoutMs: 500 }).catch((reason: unknown) => reason)
  assert.ok(late instanceof KubernetesError && late.reason === 'Timeout', String(late))
  proxy.cut()
  proxy.thaw()
  await client.request({ path: '/version' })
})

test('a watch tells what there is, what changes, and how far it has come', async (t) => {
  const { client, namespace, create } = await testCluster(t)
  const path = `/api/v1/namespaces/${namespace}/configmaps`
  const seen: string[] = []
  const watching = watchChanges(
    client,
    { path, fieldSelector: 'metadata.name=mine', resourceVersion: undefined, timeoutSeconds: 5 },
    (events) => {
      for (const event of events)
        seen.push(event.type === 'bookmark' ? 'bookmark' : `${event.type} ${event.object.metadata.name}`)
    },
  )
  await create('v1', 'configmaps', { kind: 'ConfigMap', metadata: { name: 'other' } })
  await create('v1', 'configmaps', { kind: 'ConfigMap', metadata: { name: 'mine' } })
  await client.request({ method: 'DELETE', path: `${path}/mine` })
  await watching
  assert.deepEqual(
    seen.filter((event) => event !== 'bookmark'),
    ['set mine', 'removed mine'],
  )
  assert.ok(seen.includes('bookmark'), 'the API server sends one before it ends a watch')
})
