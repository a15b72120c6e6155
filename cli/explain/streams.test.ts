import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AskWords, ask } from './ask.ts'
import { judge } from './judge.ts'
import { pipelineOf } from './testing/pipeline.ts'

const WORLD = `
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
  listeners:
  - {name: tls, port: 443, protocol: TLS, hostname: '*.example', tls: {mode: Passthrough}}
  - {name: tcp, port: 5432, protocol: TCP}
  - {name: empty, port: 5433, protocol: TCP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: db, namespace: shop}
spec:
  parentRefs: [{name: edge, sectionName: tls}]
  hostnames: [db.example]
  rules: [{backendRefs: [{name: db, port: 443}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: db, namespace: shop}
spec:
  parentRefs: [{name: edge, sectionName: tcp}]
  rules: [{backendRefs: [{name: db, port: 443}]}]
---
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: office, namespace: shop}
spec:
  targetRefs: [{kind: TLSRoute, name: db}]
  authorization: {allow: [{name: office, from: {ipBlocks: [192.0.2.0/24]}}]}
`

function outcomeOf(words: Partial<AskWords>): string {
  const pipeline = pipelineOf(WORLD, 'hauberk-system/gateway-shop-edge')
  const asked = ask(pipeline, { headers: [], ...words })
  assert.equal(asked.kind, 'asked')
  assert.ok(asked.kind === 'asked')
  const judged = judge(pipeline, asked.asked)
  return judged.kind === 'unrouted' ? judged.denial.name : judged.explanation.outcome
}

test('a connection to a gateway is judged by its port, the name that it asks for, and its address', () => {
  assert.equal(outcomeOf({ clientIp: '192.0.2.7' }), 'allowed')
  assert.equal(outcomeOf({ port: 443, host: 'DB.example', clientIp: '192.0.2.7' }), 'allowed')
  assert.equal(outcomeOf({ port: 443, clientIp: '198.51.100.7' }), 'denied')
  assert.equal(outcomeOf({ port: 443, host: 'other.example' }), 'unrecognized-name')
  assert.equal(outcomeOf({ port: 443, host: 'db.test' }), 'unrecognized-name')
  assert.equal(outcomeOf({ port: 5432 }), 'allowed')
  assert.equal(outcomeOf({ port: 5433 }), 'no-route')
})

test('a port that a gateway does not have is told, with those that it has', () => {
  assert.throws(() => outcomeOf({ port: 1 }), /no listener of port 1; it has 443 \(tls\), 5432 \(tcp\), 5433 \(tcp\)/)
})
