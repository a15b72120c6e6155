import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { encodeFor } from '../../contract/encode-for.ts'
import type { WorkloadConfig } from '../../contract/workload-config.ts'
import type { Resource } from '../../model/resource.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import { snapshotOf } from '../store/snapshot.ts'
import { translate } from './translate.ts'

const deps = { sha256: (text: string) => createHash('sha256').update(text).digest('base64url'), mesh: { roots: [] } }

function workload(namespace: string, name: string, appProtocol?: string): readonly Resource[] {
  const containers = [{ name, ports: [{ name: 'http', containerPort: 8080 }] }]
  const template = { metadata: { labels: { app: name } }, spec: { serviceAccountName: name, containers } }
  const port = { name: 'http', port: 80, targetPort: 'http', ...(appProtocol !== undefined && { appProtocol }) }
  return [
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace }, spec: { template } },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: { selector: { app: name }, ports: [port] },
    },
  ]
}

function asking(extAuth: object): Resource {
  return {
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'SecurityPolicy',
    metadata: { name: 'asks', namespace: 'shop', generation: 1 },
    spec: { targetRefs: [{ kind: 'Service', name: 'orders' }], authentication: { extAuth } },
  }
}

const GRANT: Resource = {
  apiVersion: 'gateway.networking.k8s.io/v1beta1',
  kind: 'ReferenceGrant',
  metadata: { name: 'asked', namespace: 'auth' },
  spec: {
    from: [{ group: 'hauberk.dev', kind: 'SecurityPolicy', namespace: 'shop' }],
    to: [{ group: '', kind: 'Service', name: 'authorizer' }],
  },
}

const EGRESS: Resource = {
  apiVersion: 'hauberk.dev/v1alpha1',
  kind: 'MeshConfig',
  metadata: { name: 'default' },
  spec: {
    egress: [
      { name: 'authz', hosts: ['authz.example.com'], ports: [443] },
      { name: 'by-address', cidrs: ['198.51.100.0/24'], ports: [8443] },
    ],
  },
}

const WORLD = [...workload('shop', 'orders'), ...workload('auth', 'authorizer', 'kubernetes.io/h2c')]
const FOREIGN = asking({ backendRef: { name: 'authorizer', namespace: 'auth', port: 80 }, protocol: 'GRPC' })

const ordersOf = ({ configs }: ReturnType<typeof translate>): WorkloadConfig => {
  const config = configs.get('shop/orders' as WorkloadId)
  assert.ok(config !== undefined)
  return config
}
const slotOf = (config: WorkloadConfig) => config.listeners[0]?.routes[0]?.filters['external-authorization']?.[0]

describe('a service that a policy has asked', () => {
  it('is an upstream of the workload, with the identities that are expected there', () => {
    const config = ordersOf(translate(snapshotOf([...WORLD, FOREIGN, GRANT]), deps))
    assert.deepEqual(config.upstreams['auth/authorizer:80'], {
      service: 'auth/authorizer',
      port: 80,
      protocol: 'http',
      appProtocol: 'http2',
      tls: 'mesh',
      spiffeIds: ['spiffe://cluster.local/ns/auth/sa/authorizer'],
    })
    assert.equal(slotOf(config)?.state, 'resolved')
  })

  it('T29: is not asked in another namespace that does not grant it, nor any more once the grant is gone', () => {
    const granted = translate(snapshotOf([...WORLD, FOREIGN, GRANT]), deps)
    const revoked = translate(snapshotOf([...WORLD, FOREIGN]), deps, granted)
    assert.equal(revoked.translated > 0, true)
    const slot = slotOf(ordersOf(revoked))
    assert.ok(slot?.state === 'unresolved')
    assert.match(slot.reason, /no ReferenceGrant of auth/)
    assert.equal(ordersOf(revoked).upstreams['auth/authorizer:80'], undefined)
    const report = revoked.reports.get('SecurityPolicy/shop/asks')
    assert.match(JSON.stringify(report), /authentication.extAuth.backendRef/)
  })

  it('costs nobody a translation that is about something else', () => {
    const before = translate(snapshotOf([...WORLD, FOREIGN, GRANT]), deps)
    const after = translate(snapshotOf([...WORLD, FOREIGN, GRANT, ...workload('lab', 'other')]), deps, before)
    assert.equal(ordersOf(after), ordersOf(before))
  })

  it('is called by HTTPS outside of the mesh, where the egress list names it', () => {
    const outside = (host: string, port: number) =>
      ordersOf(translate(snapshotOf([...WORLD, EGRESS, asking({ backendRef: { host, port } })]), deps))
    const config = outside('authz.example.com', 443)
    assert.deepEqual(config.upstreams['https://authz.example.com:443'], {
      ...{ service: 'authz.example.com', host: 'authz.example.com', port: 443 },
      ...{ protocol: 'http', tls: 'https', spiffeIds: [] },
    })
    assert.equal(slotOf(outside('198.51.100.7', 8443))?.state, 'resolved')
    for (const [host, port] of [
      ['authz.example.com', 8443],
      ['elsewhere.example.com', 443],
      ['198.51.100.7', 443],
      ['203.0.113.7', 8443],
    ] as const) {
      assert.equal(slotOf(outside(host, port))?.state, 'unresolved', `${host}:${port}`)
    }
  })

  it('is closed where the Service or its port is not there, or is no HTTP', () => {
    const tcp = workload('shop', 'raw', 'tcp')
    for (const backendRef of [
      { name: 'nobody', port: 80 },
      { name: 'orders', port: 81 },
      { name: 'raw', port: 80 },
    ]) {
      const config = ordersOf(translate(snapshotOf([...WORLD, ...tcp, asking({ backendRef })]), deps))
      assert.equal(slotOf(config)?.state, 'unresolved', JSON.stringify(backendRef))
    }
  })

  it('is not the workload itself, which would ask itself about its own questions for ever', () => {
    const config = ordersOf(
      translate(snapshotOf([...WORLD, asking({ backendRef: { name: 'orders', port: 80 } })]), deps),
    )
    const slot = slotOf(config)
    assert.ok(slot?.state === 'unresolved')
    assert.match(slot.reason, /serves itself/)
  })

  it('F20: is refused for by sidecars that cannot ask, which are not told of hosts outside', () => {
    const backendRef = { host: 'authz.example.com', port: 443 }
    const config = ordersOf(translate(snapshotOf([...WORLD, EGRESS, asking({ backendRef })]), deps))
    const { document, unsupported } = encodeFor(2, 'config', config)
    assert.deepEqual(unsupported, ['shop/asks@1'])
    const encoded = document as WorkloadConfig
    assert.equal(encoded.upstreams['https://authz.example.com:443'], undefined)
    assert.equal(encoded.listeners[0]?.routes[0]?.filters['mtls']?.[0]?.state, 'unresolved')
  })
})
