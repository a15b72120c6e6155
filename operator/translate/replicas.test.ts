import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resourcesIn, translateAll } from './testing/world.ts'

const LIMITED = `
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: orders, namespace: shop}
spec:
  targetRefs: [{kind: Service, name: orders}]
  rateLimit: [{name: all, limit: {requests: 100, per: 1s}, scope: Shared}]
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {selector: {app: orders}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec:
  template:
    metadata: {labels: {app: orders}}
    spec: {serviceAccountName: orders, containers: [{ports: [{containerPort: 8080}]}]}
`

const pod = (n: number) => `
---
apiVersion: v1
kind: Pod
metadata:
  name: orders-${n}
  namespace: shop
  labels: {app: orders}
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: orders, uid: a}]
spec: {serviceAccountName: orders, containers: [{name: app}], initContainers: [{name: hauberk-sidecar}]}
status: {podIP: 10.0.0.${n}, conditions: [{type: Ready, status: 'True'}]}
`

test('a replica that comes changes the endpoints of a workload with shared limits, and not its config', () => {
  const documents = (text: string) => {
    const { configs, endpoints } = translateAll(resourcesIn(text))
    const [id] = [...configs.keys()]
    return { config: configs.get(id!), endpoints: endpoints.get(id!) }
  }
  const one = documents(LIMITED + pod(1))
  const two = documents(LIMITED + pod(1) + pod(2))
  assert.equal(one.config?.version, two.config?.version)
  assert.deepEqual([one.endpoints?.replicas, two.endpoints?.replicas], [1, 2])
  assert.notEqual(one.endpoints?.version, two.endpoints?.version)
})
