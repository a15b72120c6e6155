import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { silentLog } from '../../runtime/log.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { recordOf } from '../kubernetes/object.ts'
import { type Answer, scriptServer } from '../kubernetes/testing/api-server.ts'
import { snapshotOf } from '../store/snapshot.ts'
import { resourcesIn } from '../translate/testing/world.ts'
import { gatewayCounters } from './counters.ts'
import { createKeeper, NotOursError } from './keeper.ts'
import { type ManagedObject, managedObject } from './mirror.ts'
import { gatewayIn, SETTINGS } from './testing/world.ts'

const NAME = 'gateway-shop-edge'
const EDGE = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {gatewayClassName: hauberk, listeners: [{name: http, port: 80, protocol: HTTP}]}
`
const CLASSES = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: hauberk}
spec: {controllerName: hauberk.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: other}
spec: {controllerName: other.example/controller}
`
const THERE = (['serviceaccounts', 'deployments', 'services', 'poddisruptionbudgets'] as const).map((plural) =>
  managedObject(plural, { metadata: { name: NAME, uid: `uid of ${plural}`, resourceVersion: '1', generation: 1 } }),
)

/** A keeper over objects that are there, and an API server that answers a Gateway as the test says. */
async function start(
  t: TestContext,
  { there = THERE, gateway, failing = '' }: { there?: readonly ManagedObject[]; gateway?: unknown; failing?: string },
) {
  const { client, asked } = await scriptServer(t, ({ method, path, body }, answer: Answer) => {
    if (failing !== '' && path.includes(failing)) answer.refuse(422, 'Invalid')
    else if (method === 'PATCH') {
      const { metadata } = recordOf(body)
      answer.json(200, { ...recordOf(body), metadata: { ...recordOf(metadata), resourceVersion: '1', generation: 1 } })
    } else if (method === 'DELETE') answer.json(200, {})
    else if (!path.includes('/gateways/') || gateway === undefined) answer.refuse(404, 'NotFound')
    else if (gateway === 'trouble') answer.refuse(500, 'InternalError')
    else answer.json(200, gateway)
  })
  const keeper = createKeeper({
    client,
    mirror: { objects: () => there },
    snapshot: () => snapshotOf(resourcesIn(CLASSES)),
    settings: SETTINGS,
    counters: gatewayCounters(createMetrics()),
    log: silentLog,
    signal: new AbortController().signal,
  })
  const told = (method: string) => asked.filter((each) => each.method === method)
  return { keeper, told }
}

const isOf = (gatewayClassName: string) => ({ metadata: { name: 'edge' }, spec: { gatewayClassName } })

test('what was made for a Gateway goes when the API server says that it is gone, and by uid', async (t) => {
  const { keeper, told } = await start(t, {})
  await keeper.collect('shop/edge')
  const deleted = told('DELETE').map(({ path, body }) => [path.split('/').at(-2), recordOf(body)['preconditions']])
  assert.deepEqual(deleted, [
    ['services', { uid: 'uid of services' }],
    ['poddisruptionbudgets', { uid: 'uid of poddisruptionbudgets' }],
    ['deployments', { uid: 'uid of deployments' }],
    ['serviceaccounts', { uid: 'uid of serviceaccounts' }],
  ])
})

test('it goes too when the Gateway is another controller’s', async (t) => {
  const { keeper, told } = await start(t, { gateway: isOf('other') })
  await keeper.collect('shop/edge')
  assert.equal(told('DELETE').length, 4)
})

test('it stays while the Gateway is there and is ours, or its class is missing, or nobody can tell', async (t) => {
  for (const gateway of [isOf('hauberk'), isOf('missing'), { metadata: { name: 'edge' } }]) {
    const { keeper, told } = await start(t, { gateway })
    await keeper.collect('shop/edge')
    assert.equal(told('DELETE').length, 0, JSON.stringify(gateway))
  }
  const { keeper, told } = await start(t, { gateway: 'trouble' })
  await assert.rejects(keeper.collect('shop/edge'))
  assert.equal(told('DELETE').length, 0)
})

test('an object with our labels and another name is not deleted', async (t) => {
  const named = (name: string) => managedObject('services', { metadata: { name, uid: 'u', resourceVersion: '1' } })
  const { keeper, told } = await start(t, { there: [named('hauberk-operator')] })
  await keeper.collect('shop/edge')
  assert.equal(told('DELETE').length, 0)
  assert.equal(told('GET').length, 0)
})

test('one object that is refused keeps no other from being applied, and nothing is taken away then', async (t) => {
  const { keeper, told } = await start(t, { there: [], failing: '/services/' })
  await assert.rejects(keeper.keep(gatewayIn(EDGE)), { status: 422 })
  assert.deepEqual(
    told('PATCH').map(({ path }) => path.split('/').at(-2)),
    ['serviceaccounts', 'deployments', 'poddisruptionbudgets'],
  )
})

test('an object that was applied is applied again only when it, or what it should be, has changed', async (t) => {
  const { keeper, told } = await start(t, {})
  const gateway = gatewayIn(EDGE)
  await keeper.keep(gateway)
  await keeper.keep(gateway)
  assert.equal(told('PATCH').length, 4)
  await keeper.keep(gatewayIn(EDGE.replace('port: 80', 'port: 81')))
  assert.deepEqual(
    told('PATCH')
      .slice(4)
      .map(({ path }) => path.split('/').at(-2)),
    ['services'],
  )
})

test('an object of that name that is not there for the Gateway is not applied over', async (t) => {
  const { client } = await scriptServer(t, ({ method }, answer) => {
    if (method === 'GET') answer.json(200, { metadata: { name: NAME, labels: { app: 'theirs' } } })
    else answer.refuse(500, 'InternalError')
  })
  const keeper = createKeeper({
    client,
    mirror: { objects: () => [] },
    snapshot: () => snapshotOf([]),
    settings: SETTINGS,
    counters: gatewayCounters(createMetrics()),
    log: silentLog,
    signal: new AbortController().signal,
  })
  await assert.rejects(keeper.keep(gatewayIn(EDGE)), NotOursError)
})
