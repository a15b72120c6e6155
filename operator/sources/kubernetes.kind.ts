import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Resource } from '../../model/resource.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { applyObject } from '../kubernetes/apply.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { createReflectorMetrics } from '../kubernetes/reflector-metrics.ts'
import { testCluster, until } from '../kubernetes/testing/cluster.ts'
import { KINDS } from '../resources/kinds.ts'
import { readPod } from '../resources/pod.ts'
import { secretText, UNREADABLE_SECRET } from '../resources/secret.ts'
import { createStore } from '../store/store.ts'
import { createKubernetesSource } from './kubernetes.ts'
import { createNamedSecrets } from './named-secrets.ts'

const common = { clock: systemClock, random: Math.random, log: silentLog }

function reading(t: TestContext, client: KubernetesClient) {
  const store = createStore()
  const source = createKubernetesSource({ client, ...common, metrics: createReflectorMetrics(createMetrics()) })
  const stop = new AbortController()
  const done = source.run(store, stop.signal)
  t.after(async () => {
    stop.abort()
    await done
  })
  return { store, source }
}

test('a cluster is read: every kind that it has, and none of its Secrets', { timeout: 60_000 }, async (t) => {
  const { client, namespace, create } = await testCluster(t)
  const { store, source } = reading(t, client)
  await until(() => store.isSynced(), 'it is synced')
  for (const { kind, standing, problem } of source.standings()) {
    assert.ok(['synced', 'missing'].includes(standing), `${kind} is ${standing}: ${problem}`)
  }
  assert.equal(source.standings().length, KINDS.length - 1)
  assert.deepEqual(store.snapshot().ofKind('Secret'), [])
  const dns = store.snapshot().get('Service', 'kube-system', 'kube-dns')
  assert.ok(dns !== undefined)
  const pods = store.snapshot().inNamespace('Pod', 'kube-system')
  assert.ok(pods.length > 0)
  for (const pod of pods) {
    const read = readPod(pod)
    assert.ok(read.ok, JSON.stringify(read))
    assert.ok(JSON.stringify(pod).length <= 1_024, `${pod.metadata.name} is ${JSON.stringify(pod).length} bytes`)
  }
  await create('v1', 'services', { kind: 'Service', metadata: { name: 'late' }, spec: { ports: [{ port: 80 }] } })
  await until(() => store.snapshot().get('Service', namespace, 'late') !== undefined, 'a change came')
  const { spec } = store.snapshot().get('Service', namespace, 'late') as Resource<{ clusterIPs?: readonly string[] }>
  assert.equal(spec?.clusterIPs?.length, 1)
})

test('a status that is written changes nothing that is enforced, and is seen by who writes it', {
  timeout: 60_000,
}, async (t) => {
  const { client, namespace, create } = await testCluster(t)
  const { store, source } = reading(t, client)
  await until(() => store.isSynced(), 'it is synced')
  const kind = source.standings().find((one) => one.kind === 'SecurityPolicy')
  if (kind?.standing !== 'synced') return t.skip('the cluster has no SecurityPolicy')
  await create('hauberk.dev/v1alpha1', 'securitypolicies', {
    kind: 'SecurityPolicy',
    metadata: { name: 'p' },
    spec: { targetRefs: [{ kind: 'Pod', selector: {} }] },
  })
  await until(() => store.snapshot().get('SecurityPolicy', namespace, 'p') !== undefined, 'it came')
  const before = store.snapshot().get('SecurityPolicy', namespace, 'p')
  const lastTransitionTime = '2026-01-01T00:00:00Z'
  const condition = { type: 'Accepted', status: 'True', reason: 'Accepted', message: '', lastTransitionTime }
  await applyObject(
    client,
    {
      apiVersion: 'hauberk.dev/v1alpha1',
      kind: 'SecurityPolicy',
      metadata: { namespace, name: 'p' },
      status: { conditions: [{ ...condition, observedGeneration: 1 }] },
    },
    { plural: 'securitypolicies', fieldManager: 'hauberk-test', subresource: 'status', force: true },
  )
  await until(() => {
    const { status } = source.observed('SecurityPolicy', namespace, 'p') ?? {}
    return JSON.stringify(status ?? {}).includes('Accepted')
  }, 'the status was seen')
  assert.equal(store.snapshot().get('SecurityPolicy', namespace, 'p'), before)
})

test('F23: of 1,000 policies at once and 100 edits a second after that the newest is there within a second', {
  timeout: 120_000,
}, async (t) => {
  const { client, namespace, create } = await testCluster(t)
  const { store, source } = reading(t, client)
  await until(() => store.isSynced(), 'it is synced')
  const kind = source.standings().find((one) => one.kind === 'SecurityPolicy')
  if (kind?.standing !== 'synced') return t.skip('the cluster has no SecurityPolicy')
  const spec = (app: string) => ({ targetRefs: [{ kind: 'Pod', selector: { matchLabels: { app } } }] })
  const names = Array.from({ length: 1_000 }, (_, i) => `policy-${i}`)
  for (let i = 0; i < names.length; i += 20) {
    await Promise.all(
      names.slice(i, i + 20).map((name) =>
        create('hauberk.dev/v1alpha1', 'securitypolicies', {
          kind: 'SecurityPolicy',
          metadata: { name },
          spec: spec('first'),
        }),
      ),
    )
  }
  const policies = () => store.snapshot().inNamespace('SecurityPolicy', namespace)
  await until(() => policies().length === names.length, 'all are there', 1_000)
  const edits = Array.from({ length: 300 }, (_, i) => ({ name: names[i % 10]!, app: `edit-${i}` }))
  const startedAt = performance.now()
  for (const [i, { name, app }] of edits.entries()) {
    await client.request({
      method: 'PATCH',
      path: `/apis/hauberk.dev/v1alpha1/namespaces/${namespace}/securitypolicies/${name}`,
      contentType: 'application/merge-patch+json',
      body: { spec: spec(app) },
    })
    const aheadMs = i * 10 - (performance.now() - startedAt)
    if (aheadMs > 0) await new Promise((resolve) => setTimeout(resolve, aheadMs))
  }
  const last = new Map(edits.map(({ name, app }) => [name, app]))
  await until(
    () =>
      policies().every(({ metadata, spec: own }) => {
        const app = last.get(metadata.name)
        return app === undefined || JSON.stringify(own).includes(`"${app}"`)
      }),
    'the last edit of each is there',
    1_000,
  )
})

test('T29: a Role that names one Secret is enough for it, and for no other; a later one is taken up', {
  timeout: 90_000,
}, async (t) => {
  const { client, namespace, create, openAs } = await testCluster(t)
  const secret = (name: string, value: string) => ({
    kind: 'Secret',
    metadata: { name },
    stringData: { key: value },
  })
  for (const name of ['granted', 'locked']) await create('v1', 'secrets', secret(name, 'one'))
  const operator = await openAs('operator')
  const grant = async (name: string) => {
    const rules = [{ apiGroups: [''], resources: ['secrets'], resourceNames: [name], verbs: ['get', 'watch'] }]
    await create('rbac.authorization.k8s.io/v1', 'roles', { kind: 'Role', metadata: { name }, rules })
    await create('rbac.authorization.k8s.io/v1', 'rolebindings', {
      kind: 'RoleBinding',
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
      subjects: [{ kind: 'ServiceAccount', name: 'operator', namespace }],
    })
  }
  await grant('granted')
  await grant('absent')
  const store = createStore()
  const metrics = createMetrics()
  const secrets = createNamedSecrets({
    client: operator,
    ...common,
    metrics,
    reflectorMetrics: createReflectorMetrics(metrics),
  })
  const stop = new AbortController()
  const done = secrets.run(store, stop.signal)
  t.after(async () => {
    stop.abort()
    await done
  })
  secrets.follow(['granted', 'locked', 'absent'].map((name) => ({ namespace, name })))
  await until(() => store.isSynced(), 'it is synced')
  const text = (name: string) => {
    const found = store.snapshot().get('Secret', namespace, name)
    return found && secretText(found, 'key')
  }
  assert.deepEqual(
    ['granted', 'locked', 'absent'].map((name) => [secrets.standing(namespace, name), text(name)]),
    [
      ['present', 'one'],
      ['forbidden', undefined],
      ['absent', undefined],
    ],
  )
  assert.ok(store.snapshot().get(UNREADABLE_SECRET, namespace, 'locked'))
  await client.request({
    method: 'PATCH',
    path: `/api/v1/namespaces/${namespace}/secrets/granted`,
    contentType: 'application/merge-patch+json',
    body: { stringData: { key: 'two' } },
  })
  await create('v1', 'secrets', secret('absent', 'here'))
  await until(() => text('granted') === 'two' && text('absent') === 'here', 'both changes came')
  await client.request({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}/secrets/absent` })
  await until(() => secrets.standing(namespace, 'absent') === 'absent', 'it went')
  await grant('locked')
  await until(() => text('locked') === 'one', 'it was granted', 45_000)
})
