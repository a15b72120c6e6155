import assert from 'node:assert/strict'
import { test } from 'node:test'
import { snapshotOf } from '../store/snapshot.ts'
import { gatewaysOf } from './gateways.ts'
import { resourcesIn } from './testing/world.ts'

const CLASS = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: hauberk}
spec: {controllerName: hauberk.dev/gateway-controller}
`

/** `a-b/c` was there first, `a/b-c` came later: both would be gateway-a-b-c. */
const FIRST = gateway('a-b', 'c', '2026-01-01', 'gatewayClassName: hauberk')
const SECOND = gateway('a', 'b-c', '2026-02-01', 'gatewayClassName: hauberk')

function gateway(namespace: string, name: string, since: string, spec: string): string {
  return `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: ${namespace}, name: ${name}, creationTimestamp: "${since}T00:00:00Z"}
spec: {${spec}, listeners: [{name: web, port: 80, protocol: HTTP}]}
`
}

function accepted(...gateways: readonly string[]) {
  const found = gatewaysOf(snapshotOf(resourcesIn([CLASS, ...gateways].join(''))))
  return new Map(
    found.gateways.map(({ namespace, name, accepted, listeners }) => [
      `${namespace}/${name}`,
      { status: accepted.status, reason: accepted.reason, message: accepted.message, listeners: listeners.length },
    ]),
  )
}

const REFUSED = {
  status: 'False',
  reason: 'Invalid',
  message:
    'The name cannot be had: its workload is named gateway-a-b-c, and so is that of Gateway a-b/c; choose another name.',
  listeners: 0,
}

test('T29: of two Gateways that would be one workload the older one is, whatever order they come in', () => {
  for (const order of [
    [FIRST, SECOND],
    [SECOND, FIRST],
  ]) {
    const found = accepted(...order)
    assert.equal(found.get('a-b/c')?.status, 'True')
    assert.deepEqual(found.get('a/b-c'), REFUSED)
  }
})

test('T29: who was first keeps the name while it cannot be read, or its class is away', () => {
  const garbled = gateway('a-b', 'c', '2026-01-01', 'gatewayClassName: [not, a, name]')
  const classless = gateway('a-b', 'c', '2026-01-01', 'gatewayClassName: away')
  for (const first of [garbled, classless]) assert.deepEqual(accepted(first, SECOND), new Map([['a/b-c', REFUSED]]))
})

test('the name is free again when who had it is gone', () => {
  assert.equal(accepted(SECOND).get('a/b-c')?.status, 'True')
})
