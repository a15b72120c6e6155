import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Resource } from '../model/resource.ts'
import { silentLog } from '../runtime/log.ts'
import { createManualClock } from '../runtime/manual-clock.ts'
import { createIssuerKeysStore } from './keys/issuer-keys.ts'
import { createOperation } from './operation.ts'
import { createAcknowledgementTable } from './push/acknowledgements.ts'
import { createDryRunTable } from './status/dry-run-counts.ts'
import { createStore } from './store/store.ts'
import { resourcesIn } from './translate/testing/world.ts'

const WORLD = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec:
  template:
    metadata: {labels: {app: orders}}
    spec: {serviceAccountName: orders, containers: [{ports: [{containerPort: 8080}]}]}
---
${[0, 1].map((i) => pod(`orders-${i}`)).join('---\n')}
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {selector: {app: orders}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: orders, namespace: shop, generation: 3}
spec:
  targetRefs: [{kind: Service, name: orders}]
  mode: DryRun
  authorization: {allow: []}
---
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: other, namespace: shop, generation: 1}
spec:
  targetRefs: [{kind: Service, name: nowhere}]
  mode: DryRun
  authorization: {allow: []}
---
apiVersion: hauberk.dev/v1alpha1
kind: MeshSecurityPolicy
metadata: {name: corp, generation: 1}
spec: {mode: DryRun, floor: {authorization: {deny: [{name: all}]}}}
---
apiVersion: hauberk.dev/v1alpha1
kind: TokenIssuer
metadata: {name: corp, generation: 1}
spec: {issuer: corp, audiences: [shop], jwks: {uri: 'https://corp.example/jwks'}}
`

function pod(name: string): string {
  return `apiVersion: v1
kind: Pod
metadata:
  name: ${name}
  namespace: shop
  labels: {app: orders}
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: orders}]
spec:
  serviceAccountName: orders
  containers: [{name: hauberk-sidecar}, {name: orders, ports: [{containerPort: 8080}]}]
status: {phase: Running, podIP: 10.0.0.1, conditions: [{type: Ready, status: 'True'}]}
`
}

function start() {
  const clock = createManualClock()
  const store = createStore()
  const set = (resources: readonly Resource[]) =>
    store.apply(resources.map((resource) => ({ type: 'set', resource }) as const))
  set(resourcesIn(WORLD))
  store.synced()
  const acknowledgements = createAcknowledgementTable()
  const operation = createOperation({
    store,
    roots: () => [],
    issuerKeys: createIssuerKeysStore({ clock, random: () => 0.5, log: silentLog, onChange: () => {} }),
    acknowledgements,
    dryRuns: createDryRunTable(),
    onDesired: () => {},
    onTranslation: () => {},
    clock,
    log: silentLog,
  })
  operation.start()
  const version = operation.desired('shop/orders')?.config.version ?? ''
  const connect = (key: string, pod: string) =>
    acknowledgements.connect(key, { workload: 'shop/orders', pod, release: '0', contract: 1, since: 0 })
  const statusOf = (kind: string, name: string) => {
    const found = operation.statuses().find(({ report }) => report.kind === kind && report.name === name)
    assert.ok(found, `${kind} ${name} has a status`)
    return found.status
  }
  const programmed = () => {
    const { conditions } = statusOf('SecurityPolicy', 'orders')
    return conditions.find(({ type }) => type === 'Programmed')?.reason
  }
  return { clock, store, set, acknowledgements, operation, version, connect, statusOf, programmed }
}

test('two sessions of one pod are not the acknowledgement of two', () => {
  const { acknowledgements, connect, version, programmed, statusOf } = start()
  connect('a', 'shop/orders-0')
  connect('b', 'shop/orders-0')
  acknowledgements.acknowledge('a', 'config', version)
  acknowledgements.acknowledge('b', 'config', version)
  assert.equal(statusOf('SecurityPolicy', 'orders').workloads?.summary, '1/2')
  assert.equal(programmed(), 'Reconciling')
  connect('c', 'shop/orders-1')
  acknowledgements.acknowledge('c', 'config', version)
  assert.equal(programmed(), 'Programmed')
})

test('a pod counts by its newest session, and a pod that is not there does not count', () => {
  const { acknowledgements, connect, version, programmed } = start()
  connect('old', 'shop/orders-0')
  acknowledgements.acknowledge('old', 'config', version)
  connect('gone', 'shop/orders-7')
  acknowledgements.acknowledge('gone', 'config', version)
  connect('one', 'shop/orders-1')
  acknowledgements.acknowledge('one', 'config', version)
  assert.equal(programmed(), 'Programmed')
  connect('new', 'shop/orders-0')
  assert.equal(programmed(), 'Reconciling')
})

test('a gateway counts by its sessions, and by its pods where it has some', async () => {
  const { clock, set, acknowledgements, operation, statusOf } = start()
  set(
    resourcesIn(`
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: hauberk}
spec: {controllerName: hauberk.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {gatewayClassName: hauberk, listeners: [{name: http, port: 80, protocol: HTTP}]}
`),
  )
  await clock.advance(1_000)
  const workload = 'hauberk-system/gateway-shop-edge'
  const version = operation.desired(workload)?.config.version ?? ''
  const standing = () => {
    const { conditions, workloads } = statusOf('Gateway', 'edge')
    return `${conditions.find(({ type }) => type === 'Programmed')?.reason} ${workloads?.summary}`
  }
  assert.equal(standing(), 'Reconciling 0/1')
  acknowledgements.connect('a', { workload, pod: `${workload}-1-a`, release: '0', contract: 1, since: 0 })
  acknowledgements.acknowledge('a', 'config', version)
  assert.equal(standing(), 'Programmed 1/1')

  const replica = (name: string) => `
apiVersion: v1
kind: Pod
metadata:
  name: gateway-shop-edge-1-${name}
  namespace: hauberk-system
  labels: {pod-template-hash: '1'}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: gateway-shop-edge-1}]
spec: {serviceAccountName: gateway-shop-edge, containers: [{name: gateway}]}
status: {phase: Running, podIP: 10.0.0.2}
`
  set(resourcesIn(`${replica('a')}---${replica('b')}`))
  await clock.advance(1_000)
  assert.equal(standing(), 'Reconciling 1/2')
  acknowledgements.connect('b', { workload, pod: `${workload}-1-b`, release: '0', contract: 1, since: 0 })
  acknowledgements.acknowledge('b', 'config', version)
  assert.equal(standing(), 'Programmed 2/2')
})

test('a pod that is being deleted counts for as long as its sidecar is connected', async () => {
  const { clock, set, acknowledgements, connect, version, programmed } = start()
  connect('a', 'shop/orders-0')
  connect('b', 'shop/orders-1')
  acknowledgements.acknowledge('a', 'config', version)
  const leaving = resourcesIn(pod('orders-1')).map((resource) => ({
    ...resource,
    metadata: { ...resource.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
  }))
  set(leaving)
  await clock.advance(1_000)
  assert.equal(programmed(), 'Reconciling')
  acknowledgements.disconnect('b')
  assert.equal(programmed(), 'Programmed')
})

test('what dry runs would deny is told of the policy alone, not of what else has its name', () => {
  const { operation, statusOf } = start()
  operation.countDryRuns('shop/orders', [
    { origin: 'corp@1', rule: 'all', wouldDeny: 2 },
    { origin: 'shop/orders@3', rule: 'not-allowed', wouldDeny: 1 },
  ])
  assert.deepEqual(statusOf('MeshSecurityPolicy', 'corp').dryRun, { wouldDeny: 2, topRule: 'all' })
  assert.deepEqual(statusOf('SecurityPolicy', 'orders').dryRun, { wouldDeny: 1, topRule: 'not-allowed' })
  assert.equal(statusOf('TokenIssuer', 'corp').dryRun, undefined)
})

test('a sidecar counts for the policies that reach it, as they are now', () => {
  const { operation, statusOf } = start()
  operation.countDryRuns('shop/orders', [
    { origin: 'shop/other@1', rule: 'r', wouldDeny: 9 },
    { origin: 'shop/orders@999999', rule: 'r', wouldDeny: 9 },
    { origin: 'shop/orders', rule: 'r', wouldDeny: 9 },
    { origin: 'shop/nobody@1', rule: 'r', wouldDeny: 9 },
    { origin: 'shop/orders@3', rule: 'r', wouldDeny: 1 },
  ])
  assert.equal(statusOf('SecurityPolicy', 'other').dryRun, undefined)
  assert.deepEqual(statusOf('SecurityPolicy', 'orders').dryRun, { wouldDeny: 1, topRule: 'r' })
})

test('a resource that breaks translation leaves in force what there was', async () => {
  const { clock, set, store, operation, version } = start()
  const garbage = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x', namespace: 'shop', ownerReferences: [null] } }
  set([{ ...garbage, spec: {} } as unknown as Resource])
  await clock.advance(1_000)
  assert.equal(operation.desired('shop/orders')?.config.version, version)
  store.apply([{ type: 'removed', ref: { kind: 'Pod', namespace: 'shop', name: 'x' } }])
  store.apply([{ type: 'removed', ref: { kind: 'SecurityPolicy', namespace: 'shop', name: 'orders' } }])
  await clock.advance(1_000)
  assert.notEqual(operation.desired('shop/orders')?.config.version, version)
})

test('F23: after a translation that took long, others have their turn for as long', async () => {
  const manual = createManualClock()
  let spentMs = 0
  const clock = { ...manual, monotonic: () => manual.monotonic() + spentMs }
  const store = createStore()
  store.synced()
  let translated = 0
  const operation = createOperation({
    store,
    roots() {
      spentMs += 300
      return []
    },
    issuerKeys: createIssuerKeysStore({ clock, random: () => 0.5, log: silentLog, onChange: () => {} }),
    acknowledgements: createAcknowledgementTable(),
    dryRuns: createDryRunTable(),
    onDesired: () => {},
    onTranslation: () => {
      translated += 1
    },
    clock,
    log: silentLog,
  })
  operation.start()
  assert.equal(translated, 1)
  store.apply(resourcesIn(WORLD).map((resource) => ({ type: 'set', resource }) as const))
  await manual.advance(290)
  assert.equal(translated, 1)
  await manual.advance(10)
  assert.equal(translated, 2)
  await manual.advance(1_000)
  store.apply([{ type: 'removed', ref: { kind: 'SecurityPolicy', namespace: 'shop', name: 'other' } }])
  await manual.advance(20)
  assert.equal(translated, 3, 'after a rest, a change is not kept waiting')
  operation.close()
})

test('a TokenRevocation is in force once each sidecar that takes tokens has said so, and over when its tokens have expired', async () => {
  const { clock, set, acknowledgements, operation, connect, statusOf } = start()
  assert.equal(operation.desired('shop/orders')?.revocations, undefined, 'its policies ask for no tokens')
  set(
    resourcesIn(`
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: users, namespace: shop, generation: 1}
spec:
  targetRefs: [{kind: Service, name: orders}]
  authentication: {jwt: {issuers: [{name: corp}]}}
---
apiVersion: hauberk.dev/v1alpha1
kind: TokenRevocation
metadata: {name: lost, generation: 1}
spec: {jti: j1, until: '${new Date(clock.now() + 3_600_000).toISOString()}'}
`),
  )
  await clock.advance(1_000)
  const document = operation.desired('shop/orders')?.revocations
  assert.deepEqual(
    document?.revocations.map(({ name }) => name),
    ['lost'],
  )
  const reason = () => {
    const { conditions } = statusOf('TokenRevocation', 'lost')
    return conditions.find(({ type }) => type === 'Programmed')?.reason
  }
  for (const [key, pod] of [
    ['a', 'shop/orders-0'],
    ['b', 'shop/orders-1'],
  ] as const) {
    connect(key, pod)
    assert.equal(reason(), 'Reconciling')
    acknowledgements.acknowledge(key, 'revocations', document?.version ?? '')
  }
  assert.equal(reason(), 'Programmed')
  await clock.advance(3_600_000)
  assert.equal(reason(), 'Over')
  assert.deepEqual(operation.desired('shop/orders')?.revocations?.revocations, [])
})
