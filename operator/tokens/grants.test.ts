import assert from 'node:assert/strict'
import { test } from 'node:test'
import { INTERNAL_TOKENS } from '../../model/internal-tokens.ts'
import { parseSpiffeId } from '../../model/spiffe-id.ts'
import { resourcesIn, translateAll } from '../translate/testing/world.ts'
import { createGrants } from './grants.ts'

const MESH = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: hauberk}
spec: {controllerName: hauberk.dev/gateway-controller}
---
apiVersion: hauberk.dev/v1alpha1
kind: TokenIssuer
metadata: {name: corp}
spec: {issuer: 'https://corp.example', audiences: [api], jwks: {uri: 'https://corp.example/jwks'}, allowedNamespaces: {names: [shop]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec: {selector: {matchLabels: {app: orders}}, template: {metadata: {labels: {app: orders}}, spec: {serviceAccountName: orders, containers: [{name: app, image: app, ports: [{containerPort: 8080}]}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {selector: {app: orders}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {gatewayClassName: hauberk, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: shop}
spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: orders, port: 80}]}]}
`

const POLICIES = `
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: edge, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]
  authentication: {jwt: {issuers: [{name: corp}], forward: Exchange}}
  internalToken: {scope: orders.read, ttl: 90s}
---
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: orders, namespace: shop}
spec:
  targetRefs: [{kind: Service, name: orders}]
  internalToken: {scope: orders.read, calls: {scope: ''}}
`

function idOf(text: string) {
  const id = parseSpiffeId(text)
  assert.ok(id.ok)
  return id.value
}

test('a workload may ask for what its newest configuration has it ask for, and has the keys that it needs', () => {
  const bare = translateAll(resourcesIn(MESH))
  const whole = translateAll(resourcesIn(`${MESH}---${POLICIES}`))
  const configs = [...whole.configs.values()]
  const edge = configs.find(({ role }) => role === 'gateway')
  const orders = configs.find(({ role }) => role === 'sidecar')
  assert.ok(edge !== undefined && orders !== undefined)
  let translation: typeof bare | undefined
  const grantOf = createGrants(() => translation)
  const [edgeId, ordersId] = [edge, orders].map(({ identity }) => idOf(identity.spiffeId))

  assert.deepEqual(grantOf(edgeId!), { exchanges: [], relays: [] })
  translation = whole
  const { exchanges, relays } = grantOf(edgeId!)
  assert.deepEqual(
    exchanges.map(({ issuers, config }) => [issuers.map(({ name }) => name), config]),
    [[['corp'], { scope: ['orders.read'], ttlSeconds: 90, claims: [] }]],
  )
  assert.deepEqual(relays, [])
  assert.deepEqual(grantOf(ordersId!), { exchanges: [], relays: [{ scope: [], ttlSeconds: 120 }] })
  assert.deepEqual(grantOf(idOf('spiffe://cluster.local/ns/shop/sa/nobody')), { exchanges: [], relays: [] })
  const issuersOf = (config: { readonly workload: string }) => whole.issuers.get(config.workload as never)
  assert.deepEqual([issuersOf(edge), issuersOf(orders)], [['corp'], [INTERNAL_TOKENS]])
  translation = bare
  assert.deepEqual(grantOf(ordersId!), { exchanges: [], relays: [] })
})
