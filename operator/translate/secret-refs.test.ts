import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resourcePath } from '../kubernetes/path.ts'
import { snapshotOf } from '../store/snapshot.ts'
import { secretRefs } from './secret-refs.ts'
import { resourcesIn } from './testing/world.ts'

const WORLD = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: hauberk}
spec: {controllerName: hauberk.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: other}
spec: {controllerName: other.example/controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: hauberk
  listeners:
  - {name: a, port: 443, protocol: HTTPS, hostname: a.example, tls: {certificateRefs: [{name: a}, {kind: ConfigMap, name: no-secret}]}}
  - {name: b, port: 443, protocol: HTTPS, hostname: b.example, tls: {certificateRefs: [{name: a}, {name: c, namespace: vault}, {name: d, namespace: vault}]}}
  - {name: mesh, port: 443, protocol: HTTPS, hostname: c.example, tls: {options: {hauberk.dev/certificate: mesh}}}
  - {name: ended, port: 8443, protocol: TLS, tls: {mode: Terminate, certificateRefs: [{name: e}]}}
  - {name: through, port: 8444, protocol: TLS, tls: {mode: Passthrough, certificateRefs: [{name: ignored}]}}
  - {name: plain, port: 80, protocol: HTTP, tls: {certificateRefs: [{name: unused}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: theirs, namespace: shop}
spec:
  gatewayClassName: other
  listeners: [{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: theirs}]}}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: edge, namespace: vault}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: shop}]
  to: [{group: '', kind: Secret, name: c}]
---
apiVersion: hauberk.dev/v1alpha1
kind: TokenIssuer
metadata: {name: corp}
spec: {issuer: corp, audiences: [shop], jwks: {secretRef: {namespace: identity, name: keys}}}
---
apiVersion: hauberk.dev/v1alpha1
kind: TokenIssuer
metadata: {name: shop}
spec: {issuer: shop, audiences: [shop], jwks: {secretRef: {namespace: shop, name: a}}}
---
apiVersion: hauberk.dev/v1alpha1
kind: TokenIssuer
metadata: {name: broken}
spec: {issuer: broken, jwks: 7}
`

test('T29: the Secrets to be read are those that resources name and may refer to, and no others', () => {
  assert.deepEqual(secretRefs(snapshotOf(resourcesIn(WORLD))), [
    { namespace: 'identity', name: 'keys', by: ['TokenIssuer/corp'] },
    { namespace: 'shop', name: 'a', by: ['Gateway/shop/edge', 'TokenIssuer/shop'] },
    { namespace: 'shop', name: 'e', by: ['Gateway/shop/edge'] },
    { namespace: 'vault', name: 'c', by: ['Gateway/shop/edge'] },
  ])
})

test('nothing that names a Secret is no Secret', () => {
  assert.deepEqual(secretRefs(snapshotOf([])), [])
})

test('T29: a reference to what no Secret is called leads nowhere, and stops nobody', () => {
  const odd = [
    '.',
    '..',
    '',
    '../../nodes',
    'a,metadata.name!=b',
    'A',
    'a b',
    'a\u001b[2J',
    'a..b',
    '-a',
    'x'.repeat(254),
  ]
  const refs = JSON.stringify([...odd.map((name) => ({ name })), { name: 'a', namespace: '..' }, { name: 'tls.v2' }])
  const world = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: hauberk}
spec: {controllerName: hauberk.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: hauberk
  listeners: [{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: ${refs}}}]
`
  const found = secretRefs(snapshotOf(resourcesIn(world)))
  assert.deepEqual(
    found.map(({ namespace, name }) => `${namespace}/${name}`),
    ['shop/tls.v2'],
  )
  for (const { namespace, name } of found) resourcePath({ apiVersion: 'v1', plural: 'secrets', namespace, name })
})
