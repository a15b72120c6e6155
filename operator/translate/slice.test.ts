import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { Resource } from '../../model/resource.ts'
import { SECTIONS } from '../../policies/sections.ts'
import { resourcesIn, translateAll } from './testing/world.ts'

const SHOP = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec:
  template:
    metadata: {labels: {app: orders}, annotations: {hauberk.dev/outbound: identity/auth}}
    spec: {serviceAccountName: orders, containers: [{ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {selector: {app: orders}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: auth, namespace: identity}
spec: {selector: {app: auth}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: auth, namespace: identity}
spec: {template: {metadata: {labels: {app: auth}}, spec: {serviceAccountName: auth, containers: [{ports: [{containerPort: 80}]}]}}}
---
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: orders, namespace: shop}
spec: {targetRefs: [{kind: Service, name: orders}], authorization: {allow: [{name: all}]}}
`

function pod(name: string, ip: string): Resource {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'identity',
      labels: { app: 'auth' },
      annotations: { 'hauberk.dev/local-ports': '{"80": 31000}' },
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'auth' }],
    },
    spec: { serviceAccountName: 'auth', containers: [{ ports: [{ containerPort: 80 }] }] },
    status: { podIP: ip, conditions: [{ type: 'Ready', status: 'True' }] },
  } as Resource
}

describe('a slice', () => {
  it('F05, F06: has the roots to trust, in their order, and those not to', () => {
    const world = resourcesIn(SHOP)
    const first = translateAll(world, { mesh: { roots: ['old', 'new'] } })
    const ordered = translateAll(world, { mesh: { roots: ['new', 'old'] } }, first)
    const without = translateAll(world, { mesh: { roots: ['new'], distrustedRoots: ['ab'] } }, ordered)
    const told = (translation: typeof first) =>
      [...translation.configs.values()].map(({ trustBundle, distrustedRoots }) => [trustBundle, distrustedRoots])
    assert.deepEqual(told(first), Array(2).fill([['old', 'new'], undefined]))
    assert.deepEqual(told(ordered), Array(2).fill([['new', 'old'], undefined]))
    assert.deepEqual(told(without), Array(2).fill([['new'], ['ab']]))
  })

  it('has no addresses: pods that come and go change endpoints, and no config', () => {
    const world = resourcesIn(SHOP)
    const before = translateAll([...world, pod('auth-1', '127.0.0.1')])
    const after = translateAll([...world, pod('auth-2', '127.0.0.2')], {}, before)
    assert.equal(after.translated, 0)
    assert.deepEqual([...after.configs], [...before.configs])
    const [was, is] = [before, after].map(({ endpoints }) => endpoints.get('shop/orders' as never))
    assert.deepEqual(was?.endpoints['identity/auth:80'], [
      { address: '127.0.0.1', port: 31000, pod: 'identity/auth-1' },
    ])
    assert.deepEqual(is?.endpoints['identity/auth:80'], [{ address: '127.0.0.2', port: 31000, pod: 'identity/auth-2' }])
    assert.notEqual(was?.version, is?.version)
  })

  it('does not change when only the status of a resource does', () => {
    const world = resourcesIn(SHOP)
    const before = translateAll(world)
    const after = translateAll(
      world.map((resource) => ({ ...resource, status: { observedGeneration: 1 } })),
      {},
      before,
    )
    assert.equal(after.translated, 0)
    assert.equal(after.reports.get('SecurityPolicy/shop/orders'), before.reports.get('SecurityPolicy/shop/orders'))
  })

  it('is one workload: a policy for another one makes nothing of this one again', () => {
    const world = resourcesIn(SHOP)
    const before = translateAll(world)
    const policy: Resource = {
      apiVersion: 'hauberk.dev/v1alpha1',
      kind: 'SecurityPolicy',
      metadata: { name: 'auth', namespace: 'identity' },
      spec: { targetRefs: [{ kind: 'Service', name: 'auth' }], mtls: { mode: 'Permissive' } },
    }
    const after = translateAll([...world, policy], {}, before)
    assert.equal(after.translated, 1)
    assert.equal(after.configs.get('shop/orders' as never), before.configs.get('shop/orders' as never))
    assert.notEqual(after.configs.get('identity/auth' as never), before.configs.get('identity/auth' as never))
  })

  it('does not grow with Services that the workload does not name', () => {
    const world = resourcesIn(SHOP)
    const crowd = Array.from(
      { length: 500 },
      (_, i): Resource => ({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: `s${i}`, namespace: i % 2 === 0 ? 'identity' : `n${i}` },
        spec: { selector: { app: `s${i}` }, ports: [{ port: 80 }] },
      }),
    )
    const [before, after] = [translateAll(world), translateAll([...world, ...crowd])].map((translation) =>
      JSON.stringify(translation.configs.get('shop/orders' as never)),
    )
    assert.equal(after, before)
  })

  it('holds the token issuers that its policies look up, and no others', () => {
    const issuer = (name: string): Resource => ({
      apiVersion: 'hauberk.dev/v1alpha1',
      kind: 'TokenIssuer',
      metadata: { name },
      spec: { issuer: 'https://i.example', audiences: ['a'], jwks: { uri: 'https://i.example/jwks' } },
    })
    const policy = {
      apiVersion: 'hauberk.dev/v1alpha1',
      kind: 'SecurityPolicy',
      metadata: { name: 'tokens', namespace: 'shop' },
      spec: {
        targetRefs: [{ kind: 'Service', name: 'orders' }],
        authentication: { jwt: { issuers: [{ name: 'corp' }] } },
      },
    }
    const world = [...resourcesIn(SHOP), policy]
    const without = translateAll(world)
    const unrelated = translateAll([...world, issuer('other')], {}, without)
    assert.equal(unrelated.translated, 0)
    const resolved = translateAll([...world, issuer('other'), issuer('corp')], {}, unrelated)
    assert.equal(resolved.translated, 1)
    assert.deepEqual(resolved.issuers.get('shop/orders' as never), ['corp'])
  })

  it('is all that the code which makes a config is given', () => {
    for (const file of ['sidecar-config.ts', 'gateway-config.ts', 'levels.ts']) {
      const source = readFileSync(new URL(file, import.meta.url), 'utf8')
      assert.doesNotMatch(source, /from '\.\.\/store\//, `${file} reaches past its slice`)
    }
  })

  it('is not remembered under other rooms', () => {
    const world = resourcesIn(SHOP)
    const before = translateAll(world)
    const after = translateAll(world, { sections: [...SECTIONS] }, before)
    assert.equal(after.translated, after.configs.size)
  })
})
