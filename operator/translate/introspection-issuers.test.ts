import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import type { WorkloadConfig } from '../../contract/workload-config.ts'
import type { Resource } from '../../model/resource.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import { snapshotOf } from '../store/snapshot.ts'
import { secretRefs } from './secret-refs.ts'
import { translate } from './translate.ts'

const deps = { sha256: (text: string) => createHash('sha256').update(text).digest('base64url'), mesh: { roots: [] } }

const ours = (kind: string, name: string, spec: unknown, namespace?: string): Resource => ({
  apiVersion: 'hauberk.dev/v1alpha1',
  kind,
  metadata: { name, generation: 1, ...(namespace !== undefined && { namespace }) },
  spec,
})

function workload(namespace: string, name: string): readonly Resource[] {
  const containers = [{ name, ports: [{ name: 'http', containerPort: 8080 }] }]
  const template = { metadata: { labels: { app: name } }, spec: { serviceAccountName: name, containers } }
  const spec = { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] }
  return [
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace }, spec: { template } },
    { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec },
  ]
}

const ISSUER = ours('TokenIssuer', 'corp', {
  issuer: 'https://corp.example',
  audiences: ['https://api.example'],
  introspection: {
    backendRef: { name: 'auth', namespace: 'identity', port: 80 },
    path: '/introspect',
    clientId: 'mesh',
    clientSecretRef: { namespace: 'hauberk-system', name: 'introspection-client' },
  },
})

const SECRET: Resource = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'introspection-client', namespace: 'hauberk-system' },
  data: { 'client-secret': btoa('s3cret') },
}

const target = { targetRefs: [{ kind: 'Service', name: 'orders' }] }
const ASKS = ours(
  'SecurityPolicy',
  'asks',
  { ...target, authentication: { introspection: { issuers: [{ name: 'corp' }] } } },
  'shop',
)
const WORLD = [...workload('shop', 'orders'), ...workload('identity', 'auth'), ISSUER, ASKS]

const slotOf = (translation: ReturnType<typeof translate>, filter: string) => {
  const config = translation.configs.get('shop/orders' as WorkloadId) as WorkloadConfig
  return config.listeners[0]?.routes[0]?.filters[filter]?.[0]
}

describe('a TokenIssuer whose tokens are asked about', () => {
  it('has its Secret read, and its server asked by the workloads whose policies name it', () => {
    const snapshot = snapshotOf([...WORLD, SECRET])
    assert.deepEqual(secretRefs(snapshot), [
      { namespace: 'hauberk-system', name: 'introspection-client', by: ['TokenIssuer/corp'] },
    ])
    const slot = slotOf(translate(snapshot, deps), 'introspection')
    assert.ok(slot?.state === 'resolved', JSON.stringify(slot))
    const { issuers } = slot.config as { readonly issuers: readonly Readonly<Record<string, unknown>>[] }
    assert.equal(issuers[0]?.['authorization'], `Basic ${btoa('mesh:s3cret')}`)
    assert.equal(issuers[0]?.['upstream'], 'identity/auth:80')
  })

  it('closes the policy, and says so of itself, while its Secret is missing; a rotated one is taken up', () => {
    const before = translate(snapshotOf(WORLD), deps)
    assert.equal(slotOf(before, 'introspection')?.state, 'unresolved')
    assert.match(JSON.stringify(before.reports.get('TokenIssuer/corp')), /spec.introspection.clientSecretRef/)
    const after = translate(snapshotOf([...WORLD, SECRET]), deps, before)
    assert.equal(slotOf(after, 'introspection')?.state, 'resolved')
    const rotated = translate(
      snapshotOf([...WORLD, { ...SECRET, data: { 'client-secret': btoa('n3w') } }]),
      deps,
      after,
    )
    assert.match(JSON.stringify(slotOf(rotated, 'introspection')), new RegExp(btoa('mesh:n3w')))
  })

  it('is nobody by whose keys a JWT could be verified', () => {
    const policy = ours(
      'SecurityPolicy',
      'asks',
      { ...target, authentication: { jwt: { issuers: [{ name: 'corp' }] } } },
      'shop',
    )
    const translation = translate(snapshotOf([...workload('shop', 'orders'), ISSUER, SECRET, policy]), deps)
    const slot = slotOf(translation, 'jwt')
    assert.ok(slot?.state === 'unresolved')
    assert.match(slot.reason, /has no jwks/)
  })
})
