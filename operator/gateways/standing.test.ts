import assert from 'node:assert/strict'
import { test } from 'node:test'
import { managedObject, podStanding } from './mirror.ts'
import type { GatewayObject } from './objects.ts'
import { objectsStanding } from './standing.ts'

const NAME = 'gateway-shop-edge'
const WANTED = (['services', 'deployments'] as const).map((plural): GatewayObject => {
  return { plural, object: { apiVersion: 'v1', kind: plural, metadata: { name: NAME } } }
})

function service(spec: object, status: object = {}) {
  return managedObject('services', { metadata: { name: NAME, uid: 'u', resourceVersion: '7' }, spec, status })
}

const deployment = managedObject('deployments', {
  metadata: { name: NAME, uid: 'u', resourceVersion: '9', generation: 3 },
})

function pod(name: string, status: object, metadata: object = {}) {
  return podStanding({ metadata: { name, ...metadata }, status })
}

const ready = { conditions: [{ type: 'Ready', status: 'True' }] }

test('a load balancer’s addresses and names are those of the Gateway', () => {
  const ingress = [{ ip: '192.0.2.1' }, { hostname: 'lb.example' }, {}]
  const { addresses, made } = objectsStanding(
    WANTED,
    [service({ type: 'LoadBalancer' }, { loadBalancer: { ingress } }), deployment],
    [],
  )
  assert.equal(made, true)
  assert.deepEqual(addresses, [
    { type: 'IPAddress', value: '192.0.2.1' },
    { type: 'Hostname', value: 'lb.example' },
  ])
})

test('by ports of nodes a Gateway is reached at the nodes that its ready pods run on, each once', () => {
  const { addresses } = objectsStanding(
    WANTED,
    [service({ type: 'NodePort', clusterIPs: ['198.19.0.1'] })],
    [
      pod('a', { ...ready, hostIPs: [{ ip: '192.0.2.8' }, { ip: '2001:db8::8' }], hostIP: '192.0.2.8' }),
      pod('b', { ...ready, hostIP: '192.0.2.8' }),
      pod('c', { ...ready, hostIP: '192.0.2.7' }),
      pod('not-ready', { hostIP: '192.0.2.6' }),
      pod('ending', { ...ready, hostIP: '192.0.2.5' }, { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    ],
  )
  assert.deepEqual(
    addresses.map(({ value }) => value),
    ['192.0.2.7', '192.0.2.8', '2001:db8::8'],
  )
})

test('within the cluster it has the addresses of its Service, and without a Service none', () => {
  const inside = service({ type: 'ClusterIP', clusterIPs: ['198.19.0.1', '2001:db8::1'] })
  assert.deepEqual(objectsStanding(WANTED, [inside], []).addresses, [
    { type: 'IPAddress', value: '198.19.0.1' },
    { type: 'IPAddress', value: '2001:db8::1' },
  ])
  assert.deepEqual(objectsStanding(WANTED, [], []), { made: false, addresses: [] })
  assert.deepEqual(objectsStanding(WANTED, [service({ clusterIPs: ['None'] })], []).addresses, [])
})

test('what was made before counts as made, where nothing is wanted because of a mistake', () => {
  assert.equal(objectsStanding([], [deployment], []).made, true)
  assert.equal(objectsStanding([], [], []).made, false)
})

test('a pod that finds no node, or whose image is missing, is the problem; one that starts is none', () => {
  const problemOf = (...pods: ReturnType<typeof pod>[]) => objectsStanding(WANTED, [deployment], pods).problem?.message
  const waiting = (reason: string) => ({ containerStatuses: [{ state: { waiting: { reason, message: 'why' } } }] })
  const unscheduled = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/1 nodes' }
  assert.equal(problemOf(pod('a', { conditions: [unscheduled] })), 'Pod a: Unschedulable: 0/1 nodes')
  assert.equal(problemOf(pod('a', waiting('ErrImagePull'))), 'Pod a: ErrImagePull: why')
  assert.equal(problemOf(pod('a', waiting('ContainerCreating'))), undefined)
  assert.equal(problemOf(pod('a', { ...ready, ...waiting('CrashLoopBackOff') })), undefined)
})

test('an object changes when its generation does; a Service and a service account have none that can be trusted', () => {
  assert.equal(deployment.version, '3')
  assert.equal(service({}).version, '7')
  assert.equal(managedObject('serviceaccounts', { metadata: { name: NAME, resourceVersion: '8' } }).version, '8')
})
