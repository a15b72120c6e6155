import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Resource } from '../../model/resource.ts'
import { snapshotOf } from '../../operator/store/snapshot.ts'
import { resourcesIn } from '../../operator/translate/testing/world.ts'
import { translate } from '../../operator/translate/translate.ts'
import { formatKeyEntry } from '../../policies/api-key/key-entry.ts'
import { openssl } from '../../runtime/crypto/openssl.ts'
import { compile } from '../../sidecar/compile/compile.ts'
import { OFFLINE } from '../file-mesh.ts'
import { type Answer, answerFor } from './answer.ts'
import type { Asked } from './asked.ts'

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
---
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: partners, namespace: shop, generation: 1}
spec:
  targetRefs: [{kind: Service, name: orders}]
  authentication: {apiKeys: {secretRef: {name: keys}}}
  authorization:
    allow:
    - {name: new, from: {clients: [acme]}, to: {paths: [/next]}}
    - {name: old, from: {clients: [acme, globex]}, to: {paths: [/prices]}}
`

const KEYS: Resource = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'keys', namespace: 'shop' },
  stringData: Object.fromEntries(
    ['acme', 'globex'].map((client) => [client, formatKeyEntry({ client, sha256: openssl.sha256(client) })]),
  ),
}

const ASKED: Asked = {
  ...{ protocol: 'http', method: 'GET', path: '/next', query: '', host: 'orders.shop', port: 8080, scheme: 'https' },
  ...{ caller: 'spiffe://cluster.local/ns/shop/sa/web', clientIp: '192.0.2.1', headers: [], claims: undefined },
}

function answered(change: Partial<Asked>): Answer {
  const { configs } = translate(snapshotOf([...resourcesIn(WORLD), KEYS]), {
    sha256: openssl.sha256,
    mesh: { roots: [] },
  })
  const config = [...configs.values()].find(({ workload }) => workload === 'shop/orders')
  assert.ok(config)
  const compiled = compile(config, undefined, OFFLINE)
  assert.ok(compiled.ok, JSON.stringify(compiled))
  return answerFor(compiled.value, { ...ASKED, ...change }, [])
}

test('what a client of an API key may do is explained, and which client may do more', () => {
  const allowed = answered({ client: 'acme' })
  assert.deepEqual([allowed.outcome, allowed.rule, allowed.request.client], ['allowed', 'new', 'acme'])
  const refused = answered({ client: 'globex' })
  assert.deepEqual([refused.outcome, refused.denial], ['denied', 'not-allowed'])
  assert.ok(
    refused.changes?.some((way) => way.length === 1 && way[0] === 'send an API key of acme'),
    JSON.stringify(refused.changes),
  )
})

test('a request without a key is told whose key would let it pass', () => {
  const refused = answered({})
  assert.equal(refused.denial, 'api-key-missing')
  assert.deepEqual(refused.changes, [['send an API key of acme']])
  assert.equal(answered({ client: 'initech' }).denial, 'api-key-invalid')
})
