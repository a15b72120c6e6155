import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { versionOf } from '../../contract/codec.ts'
import type { Resource } from '../../model/resource.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import { snapshotOf } from '../store/snapshot.ts'
import { translate } from './translate.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url')
const deps = { sha256, mesh: { roots: [] } }

function workload(namespace: string, name: string): readonly Resource[] {
  const containers = [{ name, ports: [{ name: 'http', containerPort: 8080 }] }]
  const template = { metadata: { labels: { app: name } }, spec: { serviceAccountName: name, containers } }
  return [
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace }, spec: { template } },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
    },
  ]
}

function meshConfig(requestTimeout: string): Resource {
  const metadata = { name: 'default' }
  return { apiVersion: 'hauberk.dev/v1alpha1', kind: 'MeshConfig', metadata, spec: { requestTimeout } }
}

const caller: Resource = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: 'other', annotations: { 'hauberk.dev/outbound': 'shop/orders' } },
}
const world = [...workload('shop', 'orders'), ...workload('shop', 'catalog'), caller, ...workload('other', 'front')]

describe('what a workload may call', () => {
  it('is kept once for all callers that call it by the same names', () => {
    const { configs } = translate(snapshotOf(world), deps)
    const [orders, catalog, front] = ['shop/orders', 'shop/catalog', 'other/front'].map((id) =>
      configs.get(id as WorkloadId)?.outbound.services.find(({ service }) => service === 'shop/orders'),
    )
    assert.ok(orders !== undefined && orders === catalog)
    assert.deepEqual(orders.hosts[0], 'orders')
    assert.deepEqual(front?.hosts, orders.hosts.slice(1))
  })

  it('counts in the version of a config as if it were kept for nobody', () => {
    for (const config of translate(snapshotOf(world), deps).configs.values()) {
      assert.equal(config.version, versionOf(structuredClone(config), sha256))
    }
  })

  it('follows the settings of the mesh', () => {
    const before = translate(snapshotOf([...world, meshConfig('5s')]), deps)
    const after = translate(snapshotOf([...world, meshConfig('7s')]), deps, before)
    const timeouts = [before, after].map(({ configs }) =>
      configs.get('shop/orders' as WorkloadId)?.outbound.services.map(({ requestTimeoutMs }) => requestTimeoutMs),
    )
    assert.deepEqual(timeouts, [
      [5_000, 5_000],
      [7_000, 7_000],
    ])
  })
})
