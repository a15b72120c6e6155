import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Resource } from '../../model/resource.ts'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { resourcePath } from '../kubernetes/path.ts'
import { createReflectorMetrics } from '../kubernetes/reflector-metrics.ts'
import { type Answer, type Asked, type EventStream, scriptServer } from '../kubernetes/testing/api-server.ts'
import { KINDS } from '../resources/kinds.ts'
import { createStore } from '../store/store.ts'
import { createKubernetesSource } from './kubernetes.ts'

const hasty: Clock = {
  ...systemClock,
  setTimer: (delayMs, run, options) => systemClock.setTimer(Math.min(delayMs, 2), run, options),
}

const pathOf = (name: string) => {
  const { apiVersions, plural } = KINDS.find(({ kind }) => kind === name)!
  return resourcePath({ apiVersion: apiVersions[0]!, plural })
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!condition()) {
    assert.ok(Date.now() < deadline, `waited in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** An API server with these objects; `refuse` answers what it takes. */
async function running(
  t: TestContext,
  objects: Readonly<Record<string, readonly object[]>>,
  refuse: (asked: Asked, answer: Answer) => boolean = () => false,
) {
  const streams = new Map<string, EventStream>()
  const server = await scriptServer(t, (asked, answer) => {
    if (refuse(asked, answer)) return
    if (asked.query.get('watch') === 'true') streams.set(asked.path, answer.stream())
    else answer.json(200, { metadata: { resourceVersion: '10' }, items: objects[asked.path] ?? [] })
  })
  const store = createStore()
  const metrics = createMetrics()
  const source = createKubernetesSource({
    client: server.client,
    clock: hasty,
    random: () => 0.5,
    log: silentLog,
    metrics: createReflectorMetrics(metrics),
  })
  const stop = new AbortController()
  const done = source.run(store, stop.signal)
  t.after(async () => {
    stop.abort()
    await done
  })
  return { ...server, store, source, streams, metrics }
}

const policy = (value: unknown, more: object = {}) => ({
  apiVersion: 'hauberk.dev/v1alpha1',
  kind: 'SecurityPolicy',
  metadata: { namespace: 'shop', name: 'p', uid: 'u', resourceVersion: '5', generation: 2 },
  spec: value,
  ...more,
})

test('every kind but Secret is read, and then the store is synced', async (t) => {
  const { store, asked, source } = await running(t, {
    [pathOf('Namespace')]: [{ metadata: { name: 'shop', labels: { a: 'b' } } }],
    [pathOf('SecurityPolicy')]: [policy({ targetRefs: [] })],
  })
  await until(() => store.isSynced(), 'it is synced')
  assert.equal(store.snapshot().get('Namespace', undefined, 'shop')?.metadata.labels?.['a'], 'b')
  assert.equal(store.snapshot().get('SecurityPolicy', 'shop', 'p')?.metadata.generation, 2)
  assert.ok(!asked.some(({ path }) => path.includes('secrets')), 'no Secret is asked for')
  assert.deepEqual(
    source.standings().map(({ kind, standing, objects }) => `${kind} ${standing} ${objects}`),
    KINDS.filter(({ kind }) => kind !== 'Secret').map(
      ({ kind }) => `${kind} synced ${['Namespace', 'SecurityPolicy'].includes(kind) ? 1 : 0}`,
    ),
  )
  const pods = asked.find(({ path }) => path === '/api/v1/pods')
  assert.equal(pods?.query.get('fieldSelector'), 'status.phase!=Succeeded,status.phase!=Failed')
})

test('a kind that the API server does not have holds up nobody, one that it will not tell holds up all', async (t) => {
  let isForbidden = true
  const { store, source } = await running(t, {}, ({ path }, answer) => {
    const isMissing = path.startsWith('/apis/gateway.networking.k8s.io/')
    if (isMissing) answer.refuse(404, 'NotFound')
    else if (isForbidden && path === '/api/v1/pods') answer.refuse(403, 'Forbidden')
    else return false
    return true
  })
  const standingOf = (name: string) => source.standings().find(({ kind }) => kind === name)
  await until(
    () => standingOf('HTTPRoute')?.standing === 'missing' && standingOf('Pod')?.standing === 'forbidden',
    'both are known',
  )
  await until(() => standingOf('MeshConfig')?.standing === 'synced', 'others are read')
  assert.match(standingOf('Pod')?.problem ?? '', /refused: Forbidden/)
  assert.equal(store.isSynced(), false)
  isForbidden = false
  await until(() => store.isSynced(), 'it is synced')
  assert.equal(standingOf('Pod')?.problem, undefined)
})

test('Gateway API kinds are read by the older version where that is all there is', async (t) => {
  const path = '/apis/gateway.networking.k8s.io/v1beta1/gateways'
  const gateway = { apiVersion: 'gateway.networking.k8s.io/v1beta1', metadata: { namespace: 'a', name: 'g' }, spec: {} }
  const { store } = await running(t, { [path]: [gateway] }, (asked, answer) => {
    if (asked.path.startsWith('/apis/gateway.networking.k8s.io/v1/')) answer.refuse(404, 'NotFound')
    else return false
    return true
  })
  await until(() => store.isSynced(), 'it is synced')
  assert.equal(store.snapshot().get('Gateway', 'a', 'g')?.apiVersion, 'gateway.networking.k8s.io/v1beta1')
})

test('changes reach the store, and those that came together do so at once', async (t) => {
  const { store, streams } = await running(t, { [pathOf('SecurityPolicy')]: [policy({ a: 1 })] })
  await until(() => store.isSynced() && streams.has(pathOf('SecurityPolicy')), 'it watches')
  let changes = 0
  store.onChange(() => {
    changes += 1
  })
  const event = (type: string, object: object) => `${JSON.stringify({ type, object })}\n`
  const second = { ...policy({ b: 1 }), metadata: { namespace: 'shop', name: 'q', resourceVersion: '12' } }
  streams.get(pathOf('SecurityPolicy'))?.write(event('DELETED', policy({})) + event('ADDED', second))
  await until(() => changes > 0, 'they came')
  assert.equal(changes, 1)
  assert.deepEqual(
    store
      .snapshot()
      .ofKind('SecurityPolicy')
      .map(({ metadata }) => metadata.name),
    ['q'],
  )
})

test('a status that is written is no change of what is enforced, and is known to who writes it', async (t) => {
  const { store, streams, source } = await running(t, { [pathOf('SecurityPolicy')]: [policy({ a: 1 })] })
  await until(() => store.isSynced() && streams.has(pathOf('SecurityPolicy')), 'it watches')
  assert.deepEqual(source.observed('SecurityPolicy', 'shop', 'p'), {
    uid: 'u',
    resourceVersion: '5',
    status: undefined,
  })
  const keys: string[] = []
  source.onObserved((key) => keys.push(key))
  let changes = 0
  store.onChange(() => {
    changes += 1
  })
  const metadata = { namespace: 'shop', name: 'p', uid: 'u', resourceVersion: '20', generation: 2 }
  const status = { conditions: [{ type: 'Accepted' }] }
  streams.get(pathOf('SecurityPolicy'))?.send('MODIFIED', policy({ a: 1 }, { metadata, status }))
  await until(() => keys.length > 0, 'it came')
  assert.deepEqual([keys, changes], [['SecurityPolicy/shop/p'], 0])
  assert.deepEqual(source.observed('SecurityPolicy', 'shop', 'p')?.status, status)
  streams.get(pathOf('SecurityPolicy'))?.send('DELETED', policy({ a: 1 }, { metadata, status }))
  await until(() => changes > 0, 'it is gone')
  assert.equal(source.observed('SecurityPolicy', 'shop', 'p'), undefined)
})

test('F22: a policy that no schema lets through is in the store as it is', async (t) => {
  const wrong: readonly unknown[] = [undefined, null, 5, [], { targetRefs: 'all' }, { fromTheFuture: true }]
  const items = wrong.map((spec, i) => ({ ...policy(spec), metadata: { namespace: 'shop', name: `p${i}` } }))
  const { store } = await running(t, { [pathOf('SecurityPolicy')]: items })
  await until(() => store.isSynced(), 'it is synced')
  const kept = store.snapshot().ofKind('SecurityPolicy')
  assert.deepEqual(
    kept.map(({ spec }: Resource) => spec),
    wrong,
  )
})
