import assert from 'node:assert/strict'
import { test } from 'node:test'
import { snapshotOf } from '../store/snapshot.ts'
import { resourcesIn } from '../translate/testing/world.ts'
import { liveOperators, operatorMembers } from './operators.ts'

function pod(name: string, phase = 'Running', more = '', serviceAccount = 'hauberk-operator'): string {
  return `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: hauberk-system${more}}
spec: {serviceAccountName: ${serviceAccount}, containers: []}
status: {phase: ${phase}}
`
}

test('operators that run and have said nothing are waited for; those that go, or are not there yet, are not', () => {
  const pods = [
    pod('a'),
    pod('b'),
    pod('c'),
    pod('starting', 'Pending'),
    pod('leaving', 'Running', ", deletionTimestamp: '2026-01-01T00:00:00Z'"),
    pod('gateway-shop-edge', 'Running', '', 'gateway-shop-edge'),
  ]
  const self = { name: 'operator a', trusts: new Set(['1']), root: '1' }
  const told = { release: '0', connected: true, sidecars: 0 }
  const members = operatorMembers(
    'a',
    self,
    [
      { ...told, replica: 'b', self: { trusts: ['1', '2'], root: '2' } },
      { ...told, replica: 'new' },
    ],
    snapshotOf(resourcesIn(pods.join(''))),
  )
  assert.deepEqual(members, [
    self,
    { name: 'operator b', trusts: new Set(['1', '2']), root: '2' },
    { name: 'operator new', trusts: undefined, root: undefined },
    { name: 'operator c', trusts: undefined, root: undefined },
  ])
})

test('T04: operators that serve share what may be asked of the API server, those that are about to go among them', () => {
  const pods = [
    pod('a'),
    pod('b'),
    pod('starting', 'Pending'),
    pod('leaving', 'Running', ", deletionTimestamp: '2026-01-01T00:00:00Z'"),
    pod('gateway-shop-edge', 'Running', '', 'gateway-shop-edge'),
  ]
  assert.equal(liveOperators(snapshotOf(resourcesIn(pods.join('')))), 3)
})
