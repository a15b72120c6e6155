import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { read } from '../../contract/codec.ts'
import { MAX_WORKERS, PodSidecar } from '../../contract/pod.ts'
import { checkGatewayParameters } from '../resources/gateway-parameters.ts'
import type { GatewayFacts } from '../translate/gateways.ts'
import { gatewayObjects, type ObjectsOf } from './objects.ts'
import { gatewayIn, SETTINGS } from './testing/world.ts'

const LISTENERS = `
  listeners:
  - {name: https, port: 443, protocol: HTTPS, hostname: a.example, tls: {options: {hauberk.dev/certificate: mesh}}}
  - {name: other-host, port: 443, protocol: HTTPS, hostname: b.example, tls: {options: {hauberk.dev/certificate: mesh}}}
  - {name: http, port: 8080, protocol: HTTP}
  - {name: udp, port: 90, protocol: UDP}
`
const EDGE = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: hauberk
${LISTENERS}`

function withParameters(parameters: string, infrastructure = ''): string {
  return `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec:
  gatewayClassName: hauberk
  infrastructure:
    parametersRef: {group: hauberk.dev, kind: GatewayParameters, name: edge}
${infrastructure}
${LISTENERS}
---
apiVersion: hauberk.dev/v1alpha1
kind: GatewayParameters
metadata: {name: edge, namespace: shop}
spec:
${parameters}`
}

// biome-ignore lint/suspicious/noExplicitAny: whatever path a test looks at.
type Tree = any

function objectsOf(gateway: GatewayFacts): Readonly<Record<string, Tree>> {
  assert.ok(gateway.parameters)
  const objects = gatewayObjects({ ...gateway, parameters: gateway.parameters } satisfies ObjectsOf, SETTINGS)
  return Object.fromEntries(objects.map(({ object }) => [object.kind, JSON.parse(JSON.stringify(object))]))
}

test('a gateway is a service account, a Service, a Deployment and a PodDisruptionBudget', () => {
  const golden = readFileSync(new URL('./testdata/by-default.yaml', import.meta.url), 'utf8')
  const expected = parseAllDocuments(golden).map((document) => document.toJS() as Tree)
  assert.deepEqual(Object.values(objectsOf(gatewayIn(EDGE))), expected)
})

test('the pod is told what the sidecar reads', () => {
  const { Deployment } = objectsOf(gatewayIn(EDGE))
  const { env } = Deployment.spec.template.spec.containers[0]
  const told = env.find(({ name }: { readonly name: string }) => name === 'HAUBERK_SIDECAR')
  const decoded = read(PodSidecar, JSON.parse(told.value))
  assert.ok(decoded.ok, JSON.stringify(decoded))
  assert.equal(decoded.value.workload, 'hauberk-system/gateway-shop-edge')
  assert.equal(decoded.value.role, 'gateway')
})

test('parameters say how many workers a pod has, as many as a sidecar takes and no more', () => {
  const toldOf = (parameters: string) => {
    const { env } = objectsOf(gatewayIn(withParameters(parameters)))['Deployment'].spec.template.spec.containers[0]
    return JSON.parse(env.find(({ name }: { readonly name: string }) => name === 'HAUBERK_SIDECAR').value)
  }
  const most = toldOf(`\n  pod: {workers: ${MAX_WORKERS}}\n`)
  assert.equal(most.workers, MAX_WORKERS)
  assert.ok(read(PodSidecar, most).ok)
  assert.equal('workers' in toldOf('\n  pod: {workers: 1}\n'), false)
  assert.equal('workers' in toldOf('\n  replicas: 1\n'), false)
  const path = (workers: number) => checkGatewayParameters({ pod: { workers } }).map((found) => found.path)
  assert.deepEqual(
    [...path(MAX_WORKERS), ...path(MAX_WORKERS + 1), ...path(0)],
    ['spec.pod.workers', 'spec.pod.workers'],
  )
})

test('parameters say the type of the Service, its ports of the nodes, and how the pods are', () => {
  const { Service, Deployment, PodDisruptionBudget } = objectsOf(
    gatewayIn(
      withParameters(`
  replicas: 1
  service:
    type: NodePort
    nodePorts: [{port: 443, nodePort: 30443}, {port: 7, nodePort: 30007}]
    externalTrafficPolicy: Cluster
    annotations: {example.com/a: b}
  pod:
    annotations: {example.com/c: d}
    resources: {limits: {memory: 1Gi}}
    nodeSelector: {pool: edge}
    tolerations: [{key: edge, operator: Exists}]
`),
    ),
  )
  assert.equal(Service.spec.type, 'NodePort')
  assert.equal(Service.spec.externalTrafficPolicy, 'Cluster')
  assert.deepEqual(Service.spec.ports, [
    { name: 'port-443', protocol: 'TCP', port: 443, targetPort: 10443, nodePort: 30443 },
    { name: 'port-8080', protocol: 'TCP', port: 8080, targetPort: 8080 },
  ])
  assert.deepEqual(Service.metadata.annotations, { 'example.com/a': 'b' })
  assert.equal(Deployment.spec.replicas, 1)
  assert.equal(PodDisruptionBudget, undefined)
  const { metadata, spec } = Deployment.spec.template
  assert.deepEqual(metadata.annotations, { 'example.com/c': 'd' })
  assert.deepEqual(spec.containers[0].resources, { limits: { memory: '1Gi' } })
  assert.deepEqual(spec.nodeSelector, { pool: 'edge' })
  assert.deepEqual(spec.tolerations, [{ key: 'edge', operator: 'Exists' }])
})

test('a Service has the fields of its type only, whatever the class and the Gateway said together', () => {
  const lines = (type: string) => `
  service:
    type: ${type}
    nodePorts: [{port: 443, nodePort: 30443}]
    externalTrafficPolicy: Cluster
    loadBalancerClass: example.com/lb
    loadBalancerSourceRanges: [192.0.2.0/24]
`
  const specOf = (type: string) => objectsOf(gatewayIn(withParameters(lines(type))))['Service'].spec
  const balanced = specOf('LoadBalancer')
  assert.equal(balanced.loadBalancerClass, 'example.com/lb')
  assert.deepEqual(balanced.loadBalancerSourceRanges, ['192.0.2.0/24'])
  assert.equal(balanced.ports[0].nodePort, 30443)
  const nodes = specOf('NodePort')
  assert.equal(nodes.ports[0].nodePort, 30443)
  assert.equal(nodes.loadBalancerClass, undefined)
  const inside = specOf('ClusterIP')
  assert.equal(inside.ports[0].nodePort, undefined)
  assert.equal(inside.externalTrafficPolicy, undefined)
  assert.equal(inside.loadBalancerSourceRanges, undefined)
})

test('T29: what a tenant says in infrastructure goes to the Service alone, and never over what is ours', () => {
  const infrastructure = `
    labels: {team: shop, app.kubernetes.io/name: hauberk-operator, hauberk.dev/gateway-name: other}
    annotations: {example.com/a: tenant, example.com/b: tenant}
`
  const objects = objectsOf(
    gatewayIn(withParameters('  service: {annotations: {example.com/a: parameters}}', infrastructure)),
  )
  const { Service, Deployment, ServiceAccount } = objects
  assert.deepEqual(Service.metadata.annotations, { 'example.com/a': 'parameters', 'example.com/b': 'tenant' })
  assert.equal(Service.metadata.labels.team, 'shop')
  assert.equal(Service.metadata.labels['app.kubernetes.io/name'], 'hauberk-gateway')
  assert.equal(Service.metadata.labels['hauberk.dev/gateway-name'], 'edge')
  for (const { metadata } of [Deployment, ServiceAccount, Deployment.spec.template]) {
    assert.equal(metadata.labels.team, undefined)
    assert.equal(metadata.annotations, undefined)
  }
})

test('a listener more or less changes the Service and no pod', () => {
  const before = objectsOf(gatewayIn(EDGE))
  const after = objectsOf(gatewayIn(`${EDGE}  - {name: more, port: 9000, protocol: HTTP}\n`))
  assert.notDeepEqual(after['Service'], before['Service'])
  assert.deepEqual(after['Deployment'], before['Deployment'])
})
