import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { WorkloadConfig } from '../../contract/workload-config.ts'
import type { Resource } from '../../model/resource.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import type { ApiKeyConfig } from '../../policies/api-key/config.ts'
import { formatKeyEntry } from '../../policies/api-key/key-entry.ts'
import { snapshotOf } from '../store/snapshot.ts'
import { secretRefs } from './secret-refs.ts'
import { resourcesIn } from './testing/world.ts'
import { translate } from './translate.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url')
const deps = { sha256, mesh: { roots: [] } }
const ORDERS = 'shop/orders' as WorkloadId

const WORLD = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec:
  template:
    metadata: {labels: {app: orders}}
    spec:
      serviceAccountName: orders
      containers: [{name: app, ports: [{name: http, containerPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {selector: {app: orders}, ports: [{name: http, port: 80, targetPort: http}]}
`

const policy = (secretRef: string, mode = 'Enforce') => `
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: partners, namespace: shop, generation: 1}
spec:
  targetRefs: [{kind: Service, name: orders}]
  mode: ${mode}
  authentication: {apiKeys: {secretRef: ${secretRef}}}
`

const GRANT = `
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: partners, namespace: vault}
spec:
  from: [{group: hauberk.dev, kind: SecurityPolicy, namespace: shop}]
  to: [{group: '', kind: Secret, name: keys}]
`

function secret(namespace: string, ...clients: readonly string[]): Resource {
  const entries = clients.map((client) => [client, formatKeyEntry({ client, sha256: sha256(client) })])
  const metadata = { name: 'keys', namespace }
  return { apiVersion: 'v1', kind: 'Secret', metadata, stringData: Object.fromEntries(entries) }
}

const snapshotWith = (yaml: readonly string[], ...others: readonly Resource[]) =>
  snapshotOf([...resourcesIn([WORLD, ...yaml].join('---\n')), ...others])

function slotOf({ configs }: ReturnType<typeof translate>) {
  const config = configs.get(ORDERS) as WorkloadConfig
  return config.listeners[0]?.routes[0]?.filters['api-key']?.[0]
}

function clientsOf(translation: ReturnType<typeof translate>): readonly string[] {
  const slot = slotOf(translation)
  assert.ok(slot?.state === 'resolved', JSON.stringify(slot))
  return (slot.config as ApiKeyConfig).keys.map(({ client }) => client)
}

test('a policy closes until its Secret is there, and takes up a key that is added or taken away', () => {
  const named = policy('{name: keys}')
  const before = translate(snapshotWith([named]), deps)
  assert.equal(slotOf(before)?.state, 'unresolved')
  assert.equal(before.reports.get('SecurityPolicy/shop/partners')?.resolvedRefs?.reason, 'RefNotFound')
  const there = translate(snapshotWith([named], secret('shop', 'acme', 'globex')), deps, before)
  assert.deepEqual(clientsOf(there), ['acme', 'globex'])
  assert.equal(there.reports.get('SecurityPolicy/shop/partners')?.resolvedRefs?.status, 'True')
  const revoked = translate(snapshotWith([named], secret('shop', 'globex')), deps, there)
  assert.deepEqual(clientsOf(revoked), ['globex'])
  assert.notEqual(revoked.configs.get(ORDERS)?.version, there.configs.get(ORDERS)?.version)
})

test('T29: a Secret of another namespace is neither read nor used before that namespace grants it', () => {
  const named = policy('{name: keys, namespace: vault}')
  const keys = secret('vault', 'acme')
  const without = snapshotWith([named], keys)
  assert.deepEqual(secretRefs(without), [])
  const refused = translate(without, deps)
  assert.equal(slotOf(refused)?.state, 'unresolved')
  assert.equal(refused.reports.get('SecurityPolicy/shop/partners')?.resolvedRefs?.reason, 'RefNotPermitted')
  const granted = snapshotWith([named, GRANT], keys)
  assert.deepEqual(secretRefs(granted), [{ namespace: 'vault', name: 'keys', by: ['SecurityPolicy/shop/partners'] }])
  assert.deepEqual(clientsOf(translate(granted, deps, refused)), ['acme'])
  const withdrawn = translate(without, deps, translate(granted, deps))
  assert.equal(slotOf(withdrawn)?.state, 'unresolved')
})

test('the Secret of a policy that is off is not read', () => {
  assert.deepEqual(secretRefs(snapshotWith([policy('{name: keys}', 'Off')], secret('shop', 'acme'))), [])
})
