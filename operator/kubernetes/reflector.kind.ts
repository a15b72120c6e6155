import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import type { KubernetesClient, KubernetesRequest } from './client.ts'
import { type ReflectorOptions, type ReflectorStanding, runReflector } from './reflector.ts'
import { createReflectorMetrics } from './reflector-metrics.ts'
import { startProxy, testCluster, until } from './testing/cluster.ts'

/** The ConfigMaps of a namespace that are labelled as the test's, by name. */
async function mirrored(
  t: TestContext,
  client: KubernetesClient,
  namespace: string,
  options: Partial<ReflectorOptions<string>> = {},
) {
  const items = new Map<string, string>()
  const removed: string[] = []
  const standings: ReflectorStanding[] = []
  const metrics = createMetrics()
  const stop = new AbortController()
  const reflector = runReflector<string>({
    client,
    paths: [`/api/v1/namespaces/${namespace}/configmaps`],
    labelSelector: 'test=mine',
    project: (object) => (object['data'] as Readonly<Record<string, string>>)['value'] ?? '',
    apply(changes) {
      for (const { name, ...change } of changes) {
        if (change.type === 'set') items.set(name.name, change.object)
        else if (items.delete(name.name)) removed.push(name.name)
      }
    },
    onStanding: (standing) => standings.push(standing),
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    counters: createReflectorMetrics(metrics).of('ConfigMap'),
    signal: stop.signal,
    ...options,
  })
  t.after(async () => {
    stop.abort()
    await reflector.done
  })
  const counted = async (what: string) =>
    Number(
      new RegExp(`hauberk_kubernetes_${what}\\{kind="ConfigMap"[^}]*\\} (\\d+)`).exec(await metrics.text())?.[1] ?? 0,
    )
  return { items, removed, standings, reflector, counted }
}

const configMap = (name: string, value: string) => ({
  kind: 'ConfigMap',
  metadata: { name, labels: { test: 'mine' } },
  data: { value },
})

/** A client that changes what is asked, as long as `change` gives something else. */
function altered(
  client: KubernetesClient,
  change: (request: KubernetesRequest) => KubernetesRequest,
): KubernetesClient {
  return {
    ...client,
    request: (request) => client.request(change(request)),
    stream: (request, onLines) => client.stream({ ...request, ...change(request) }, onLines),
  }
}

test('F24: 1,000 objects in pages, a real 410 between pages and one in a watch: none is lost', {
  timeout: 180_000,
}, async (t) => {
  const { client, namespace, create, open } = await testCluster(t)
  const names = Array.from({ length: 1_000 }, (_, i) => `item-${String(i).padStart(4, '0')}`)
  for (let i = 0; i < names.length; i += 20) {
    await Promise.all(names.slice(i, i + 20).map((name) => create('v1', 'configmaps', configMap(name, 'first'))))
  }
  const proxy = await startProxy(t)
  let pages = 0
  let tooOld: 'page' | 'watch' | undefined = 'page'
  const meddling = altered(await open({ through: proxy }), (request) => {
    const { query = {} } = request
    pages += query['limit'] === undefined ? 0 : 1
    if (query['continue'] !== undefined && tooOld === 'page') {
      tooOld = undefined
      return { ...request, query: { ...query, continue: fromLongAgo(String(query['continue'])) } }
    }
    if (query['watch'] === true && tooOld === 'watch') {
      tooOld = undefined
      return { ...request, query: { ...query, resourceVersion: '1' } }
    }
    return request
  })
  const mirror = await mirrored(t, meddling, namespace, { pageSize: 100 })
  await until(() => mirror.reflector.hasSynced(), 'it is synced')
  assert.deepEqual([...mirror.items.keys()].sort(), names)
  assert.ok(pages >= 12, `${pages} pages: the list broke off at its second one and began anew`)
  assert.deepEqual(mirror.standings, ['synced'])

  tooOld = 'watch'
  const listsBefore = await mirror.counted('lists_total')
  proxy.cut()
  await client.request({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}/configmaps/item-0500` })
  await create('v1', 'configmaps', configMap('late', 'second'))
  await until(() => mirror.items.size === 1_000 && mirror.items.has('late'), 'the list was read anew')
  assert.equal(await mirror.counted('lists_total'), listsBefore + 1)
  assert.deepEqual(mirror.removed, ['item-0500'])

  const path = `/api/v1/namespaces/${namespace}/configmaps`
  await client.request({ method: 'DELETE', path, query: { labelSelector: 'test=mine' } })
  await until(() => mirror.items.size === 0, 'all are gone')
})

/** A continue token is a place and the version that the list is of. That version was compacted long ago. */
function fromLongAgo(token: string): string {
  const written = JSON.parse(Buffer.from(token, 'base64url').toString()) as object
  return Buffer.from(JSON.stringify({ ...written, rv: 1 })).toString('base64url')
}

test('F24: cut and frozen connections are taken up where they were, without a list', { timeout: 60_000 }, async (t) => {
  const { client, namespace, create, open } = await testCluster(t)
  const proxy = await startProxy(t)
  const mirror = await mirrored(t, await open({ through: proxy }), namespace, { idleTimeoutMs: 2_000 })
  await until(() => mirror.reflector.hasSynced(), 'it is synced')
  for (const trouble of ['cut', 'freeze'] as const) {
    proxy[trouble]()
    await create('v1', 'configmaps', configMap(`during-${trouble}`, 'x'))
    if (trouble === 'freeze') {
      // What is sent over a frozen connection is given up, and so are those that are opened meanwhile.
      await until(() => mirror.items.size === 1, 'the first one is known')
      setTimeout(() => {
        proxy.cut()
        proxy.thaw()
      }, 3_000)
    }
    await until(() => mirror.items.has(`during-${trouble}`), `what happened during ${trouble} came`)
  }
  await client.request({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}/configmaps/during-cut` })
  await until(() => mirror.items.size === 1, 'the removal came')
  assert.equal(await mirror.counted('lists_total'), 1)
})

test('a kind that is not there is missing, and found when its definition comes', { timeout: 60_000 }, async (t) => {
  const { client, namespace, deleteAfter } = await testCluster(t)
  const group = `${namespace}.hauberk.test`
  const mirror = await mirrored(t, client, namespace, {
    paths: [`/apis/${group}/v2/things`, `/apis/${group}/v1/things`],
    project: () => 'thing',
    labelSelector: '',
    absentRetryMs: 1_000,
  })
  await until(() => mirror.reflector.standing() === 'missing', 'it is missing')
  const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
  const name = `things.${group}`
  deleteAfter(`${definitions}/${name}`)
  await client.request({
    method: 'POST',
    path: definitions,
    body: {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name },
      spec: {
        group,
        scope: 'Namespaced',
        names: { plural: 'things', singular: 'thing', kind: 'Thing', listKind: 'ThingList' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
          },
        ],
      },
    },
  })
  await until(() => mirror.reflector.hasSynced(), 'it is there')
  await until(async () => {
    const thing = { apiVersion: `${group}/v1`, kind: 'Thing', metadata: { name: 'one' } }
    const path = `/apis/${group}/v1/namespaces/${namespace}/things`
    return client.request({ method: 'POST', path, body: thing }).then(
      () => true,
      () => false,
    )
  }, 'one is made')
  await until(() => mirror.items.get('one') === 'thing', 'it came')
})

test('what the role forbids is told as that', async (t) => {
  const { namespace, openAs } = await testCluster(t)
  const mirror = await mirrored(t, await openAs('nobody'), namespace)
  await until(() => mirror.reflector.standing() === 'forbidden', 'it is told')
  assert.equal(mirror.reflector.hasSynced(), false)
})
