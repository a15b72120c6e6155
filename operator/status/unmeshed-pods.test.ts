import assert from 'node:assert/strict'
import { test } from 'node:test'
import { snapshotOf } from '../store/snapshot.ts'
import { DEPS, resourcesIn } from '../translate/testing/world.ts'
import { translate } from '../translate/translate.ts'
import { unmeshedPods } from './unmeshed-pods.ts'

const NAMESPACES = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {hauberk.dev/inject: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: elsewhere}
---
apiVersion: v1
kind: Namespace
metadata: {name: hauberk-system, labels: {hauberk.dev/inject: enabled}}
`

function pod(namespace: string, name: string, metadata = '', spec = 'containers: [{name: app}]'): string {
  return `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: ${namespace}, uid: u-${name}${metadata}}
spec: {${spec}}
status: {phase: Running, podIP: 10.0.0.1}
`
}

function found(yaml: string) {
  const snapshot = snapshotOf(resourcesIn(NAMESPACES + yaml))
  return unmeshedPods(translate(snapshot, DEPS), snapshot)
}

test('T08: pods without a sidecar are found where pods are to have one, and nowhere else', () => {
  const meshed = 'containers: [{name: app}], initContainers: [{name: hauberk-sidecar}]'
  const pods = [
    pod('shop', 'plain'),
    pod('shop', 'meshed', '', meshed),
    pod('shop', 'leaving', ", deletionTimestamp: '2026-01-01T00:00:00Z'"),
    pod('elsewhere', 'other'),
    pod('hauberk-system', 'operator'),
  ]
  assert.deepEqual(found(pods.join('')), [{ namespace: 'shop', name: 'plain', uid: 'u-plain' }])
})

test('T08: an opt-out that somebody allowed is named, one that nobody did is not', () => {
  const pods = [
    pod('shop', 'annotated', ', annotations: {hauberk.dev/inject: disabled}'),
    pod('shop', 'labelled', ', labels: {hauberk.dev/inject: disabled}'),
    pod('shop', 'of-the-node', '', 'hostNetwork: true, containers: []'),
    pod('shop', 'plain'),
  ].join('')
  const allowedBy = (yaml: string) => found(yaml).map(({ name, allowedBy: by }) => `${name} ${by}`)
  const nobody = ['annotated undefined', 'labelled undefined', 'of-the-node undefined', 'plain undefined']
  assert.deepEqual(allowedBy(pods), nobody)
  const config = `---
apiVersion: hauberk.dev/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec: {optOuts: [{name: agents, namespaces: [shop], allow: [SkipInjection]}]}
`
  assert.deepEqual(allowedBy(pods + config), ['annotated agents', 'labelled agents', ...nobody.slice(2)])
})
