import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { scriptServer } from '../../operator/kubernetes/testing/api-server.ts'
import { meshedPodOf } from './meshed-pod.ts'
import type { Pod } from './objects.ts'
import { findPods, listMeshedPods } from './pods.ts'
import { soundPod } from './testing/facts.ts'

function podOf(namespace: string, name: string, workload: string, labels: Readonly<Record<string, string>>): Pod {
  const pod = soundPod()
  const text = JSON.stringify(pod).replaceAll('shop/orders', workload)
  return { ...(JSON.parse(text) as Pod), metadata: { namespace, name, labels } }
}

const PODS = [
  podOf('shop', 'orders-1', 'shop/orders', { app: 'orders' }),
  podOf('shop', 'orders-2', 'shop/orders', { app: 'orders' }),
  podOf('shop', 'web-1', 'shop/web', { app: 'web' }),
  podOf('other', 'web-9', 'other/web', { app: 'web' }),
]

async function cluster(t: TestContext) {
  const { client } = await scriptServer(t, ({ path, query }, answer) => {
    const list = (items: readonly unknown[]) => answer.json(200, { metadata: { resourceVersion: '1' }, items })
    if (path === '/api/v1/pods') return list([...PODS, { metadata: { namespace: 'shop', name: 'naked' } }])
    if (query.get('fieldSelector') !== 'metadata.name=front') return list([])
    list([{ metadata: { namespace: 'shop', name: 'front' }, spec: { selector: { app: 'web' } } }])
  })
  return { client }
}

test('a workload is found by its id or name, a pod by its own, and pods by a Service', async (t) => {
  const found = await cluster(t)
  const all = await listMeshedPods(found, undefined)
  assert.equal(all.length, 4, 'a pod without a sidecar is not asked')
  const names = async (word: string) => (await findPods(found, word, all)).map(({ name }) => name)
  assert.deepEqual(await names('shop/orders'), ['orders-1', 'orders-2'])
  assert.deepEqual(await names('orders'), ['orders-1', 'orders-2'])
  assert.deepEqual(await names('orders-2'), ['orders-2'])
  assert.deepEqual(await names('pod/shop/orders-1'), ['orders-1'])
  assert.deepEqual(await names('front'), ['web-1'])
  assert.deepEqual(await names('svc/shop/front'), ['web-1'])
})

test('a word that is nobody, or several, says who there is', async (t) => {
  const found = await cluster(t)
  const all = await listMeshedPods(found, undefined)
  await assert.rejects(findPods(found, 'web', all), /web may be other\/web or shop\/web: say which/)
  await assert.rejects(findPods(found, 'nobody', all), /there is no workload nobody; there is other\/web, shop\/orders/)
  await assert.rejects(findPods(found, 'pod/nobody', all), /there is no pod nobody with a sidecar/)
  await assert.rejects(findPods(found, 'svc/nobody', all), /no Service nobody that leads to pods with a sidecar/)
})

test('pods that may not be read end the command with the reason', async (t) => {
  const { client } = await scriptServer(t, (_, answer) => answer.refuse(403, 'Forbidden'))
  await assert.rejects(listMeshedPods({ client }, 'shop'), /the pods cannot be read: .*Forbidden/)
})

test('the pods of a gateway are asked in its container, in our own namespace only, and concern the Gateway’s', async (t) => {
  const [env] = soundPod().spec?.initContainers ?? []
  const gateway = (namespace: string): Pod => ({
    metadata: {
      namespace,
      name: 'gateway-1',
      labels: {
        'app.kubernetes.io/managed-by': 'hauberk-gateways',
        'hauberk.dev/gateway-namespace': 'shop',
        'hauberk.dev/gateway-name': 'front',
      },
    },
    spec: { containers: [{ name: 'gateway', ...(env?.env && { env: env.env }) }] },
  })
  assert.equal(meshedPodOf(gateway('shop')), undefined, 'a tenant’s labels make no gateway')
  const { client } = await scriptServer(t, ({ path }, answer) => {
    const items = path.includes('/hauberk-system/') ? [gateway('hauberk-system')] : []
    answer.json(200, { metadata: { resourceVersion: '1' }, items })
  })
  const [found] = await listMeshedPods({ client }, 'shop')
  assert.deepEqual([found?.role, found?.container, found?.gateway], ['gateway', 'gateway', 'shop/front'])
  assert.deepEqual(await listMeshedPods({ client }, 'other'), [])
})

test('who a pod should be follows from what its sidecar is told, and a pod that is going is none', () => {
  const pod = soundPod()
  const meshed = meshedPodOf(pod)
  assert.equal(meshed?.spiffeId, 'spiffe://cluster.local/ns/shop/sa/orders')
  assert.equal(meshed?.isRunning, true)
  assert.equal(
    meshedPodOf({ ...pod, metadata: { ...pod.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }),
    undefined,
  )
  assert.equal(meshedPodOf({ ...pod, status: { phase: 'Succeeded' } }), undefined)
})
