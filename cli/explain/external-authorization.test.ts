import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Resource } from '../../model/resource.ts'
import { snapshotOf } from '../../operator/store/snapshot.ts'
import { translate } from '../../operator/translate/translate.ts'
import { openssl } from '../../runtime/crypto/openssl.ts'
import { compile } from '../../sidecar/compile/compile.ts'
import type { Asked } from './asked.ts'
import { judge } from './judge.ts'

const workload = (name: string): readonly Resource[] => [
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'shop' },
    spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
  },
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'shop' },
    spec: {
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: { serviceAccountName: name, containers: [{ name: 'app', ports: [{ containerPort: 8080 }] }] },
      },
    },
  },
]

const asks = (name: string, mode: string): Resource => ({
  apiVersion: 'hauberk.dev/v1alpha1',
  kind: 'SecurityPolicy',
  metadata: { name: `asks-${name}`, namespace: 'shop', generation: 1 },
  spec: {
    targetRefs: [{ kind: 'Service', name: 'orders' }],
    mode,
    authentication: { extAuth: { backendRef: { name, port: 80 } } },
    authorization: { allow: [{ name: 'readers', to: { methods: ['GET'] } }] },
  },
})

const ASKED: Asked = {
  ...{ protocol: 'http', method: 'GET', path: '/', query: '', host: 'orders.shop', port: 8080, scheme: 'https' },
  ...{ caller: 'spiffe://cluster.local/ns/shop/sa/web', clientIp: '192.0.2.1', headers: [], claims: undefined },
}

function explained(method: string, ...policies: readonly Resource[]) {
  const snapshot = snapshotOf([...workload('orders'), ...workload('guard'), ...workload('other'), ...policies])
  const { configs } = translate(snapshot, { sha256: openssl.sha256, mesh: { roots: [] } })
  const config = [...configs.values()].find((each) => each.workload === 'shop/orders')
  assert.ok(config)
  const keys = { generation: 0, keysOf: () => undefined, refresh: () => Promise.resolve() }
  const clock = { now: Date.now, monotonic: () => 0 }
  const compiled = compile(config, undefined, { clock, crypto: openssl, keys, count() {} })
  assert.ok(compiled.ok, JSON.stringify(compiled))
  const judgement = judge(compiled.value, { ...ASKED, method })
  assert.ok(judgement.kind === 'judged')
  return judgement.explanation
}

test('of a request that nobody has sent, a service that is asked is taken to allow it, and that is said', () => {
  const explanation = explained('GET', asks('guard', 'Enforce'), asks('other', 'DryRun'))
  assert.equal(explanation.outcome, 'allowed')
  assert.equal(explanation.dryRun?.outcome, 'allowed')
  const line = explanation.considerations.find(({ filter }) => filter === 'external-authorization')
  assert.deepEqual([line?.expected, line?.got], ['shop/guard:80 allows it', 'taken as allowed: nobody is asked here'])
})

test('what the rules of the mesh refuse is refused, whatever a service would say', () => {
  const explanation = explained('POST', asks('guard', 'Enforce'))
  assert.equal(explanation.denial, 'not-allowed')
})

test('a service that is not there refuses here, too', () => {
  const explanation = explained('GET', asks('nobody', 'Enforce'))
  assert.equal(explanation.denial, 'policy-unresolved')
})
