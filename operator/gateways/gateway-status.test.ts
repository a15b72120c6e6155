import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ResourceReport } from '../translate/report.ts'
import { resourcesIn, translateAll } from '../translate/testing/world.ts'
import { gatewayClassStatus, SUPPORTED_FEATURES } from './class-status.ts'
import { type GatewayStatus, gatewayStatus, type ObjectsStanding, type StatusCondition } from './gateway-status.ts'

const WORLD = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: hauberk, generation: 2}
spec: {controllerName: hauberk.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: shop}
spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: missing, port: 80}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop, generation: 7}
spec:
  gatewayClassName: hauberk
  listeners:
`
const HTTP = '  - {name: http, port: 80, protocol: HTTP}\n'
const SERVED: ObjectsStanding = {
  made: true,
  serviceType: 'NodePort',
  addresses: [{ type: 'IPAddress', value: '192.0.2.1' }],
}
const ALL = { workloads: { selected: 2, acknowledged: 2, rejected: 0, summary: '2/2' } }

function reportOf(listeners: string, kind = 'Gateway', name = 'shop/edge'): ResourceReport {
  const report = translateAll(resourcesIn(WORLD + listeners)).reports.get(`${kind}/${name}`)
  assert.ok(report)
  return report
}

function statusOf(listeners: string, objects: Partial<ObjectsStanding> = {}, workloads = ALL.workloads): GatewayStatus {
  return gatewayStatus(reportOf(listeners), { workloads }, { ...SERVED, ...objects })
}

/** `Accepted=True Accepted` of each. */
function said(conditions: readonly StatusCondition[] | undefined): readonly string[] {
  return (conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`)
}

test('a Gateway is programmed when its pods obey and it has an address', () => {
  const status = statusOf(HTTP)
  assert.deepEqual(said(status.conditions), [
    'Accepted=True Accepted',
    'ResolvedRefs=True ResolvedRefs',
    'Programmed=True Programmed',
  ])
  assert.deepEqual(status.addresses, [{ type: 'IPAddress', value: '192.0.2.1' }])
  assert.deepEqual(status.listeners, [
    {
      name: 'http',
      supportedKinds: [
        { group: 'gateway.networking.k8s.io', kind: 'GRPCRoute' },
        { group: 'gateway.networking.k8s.io', kind: 'HTTPRoute' },
      ],
      attachedRoutes: 1,
      conditions: [
        { type: 'Accepted', status: 'True', reason: 'Accepted', message: 'It is understood.', observedGeneration: 7 },
        {
          type: 'ResolvedRefs',
          status: 'True',
          reason: 'ResolvedRefs',
          message: 'Everything that it refers to is there.',
          observedGeneration: 7,
        },
        {
          type: 'Conflicted',
          status: 'False',
          reason: 'NoConflicts',
          message: 'No listener is in its way.',
          observedGeneration: 7,
        },
        {
          type: 'Programmed',
          status: 'True',
          reason: 'Programmed',
          message: 'All 2 pods serve it.',
          observedGeneration: 7,
        },
      ],
    },
  ])
})

test('what keeps a Gateway from being served is the reason that Programmed is False, for its listeners too', () => {
  const cases: readonly (readonly [Partial<ObjectsStanding>, Partial<typeof ALL.workloads>, string])[] = [
    [{ made: false }, {}, 'Pending'],
    [{ made: false, problem: { reason: 'NoResources', message: 'no room' } }, {}, 'NoResources'],
    [{}, { acknowledged: 1 }, 'Pending'],
    [{}, { selected: 0, acknowledged: 0 }, 'Pending'],
    [{}, { acknowledged: 1, rejected: 1 }, 'RejectedBySidecar'],
    [{ problem: { reason: 'NoResources', message: 'no room' } }, { acknowledged: 1 }, 'NoResources'],
    [{ addresses: [] }, {}, 'AddressNotAssigned'],
    // A third pod that finds no node is no reason to say that two do not serve.
    [{ problem: { reason: 'NoResources', message: 'no room' } }, {}, 'Programmed'],
  ]
  for (const [objects, workloads, reason] of cases) {
    const status = statusOf(HTTP, objects, { ...ALL.workloads, ...workloads })
    const expected = `Programmed=${reason === 'Programmed' ? 'True' : 'False'} ${reason}`
    assert.equal(said(status.conditions).at(-1), expected, JSON.stringify([objects, workloads]))
    assert.equal(said(status.listeners[0]?.conditions).at(-1), expected)
  }
})

test('without a load balancer the message says what to do', () => {
  const { conditions } = statusOf(HTTP, { addresses: [], serviceType: 'LoadBalancer' })
  assert.match(conditions.at(-1)?.message ?? '', /GatewayParameters say service\.type NodePort or ClusterIP/)
})

test('a listener that is not served says so, and one beside it is programmed', () => {
  const status = statusOf(`${HTTP}  - {name: udp, port: 90, protocol: UDP}\n`)
  assert.deepEqual(said(status.conditions), [
    'Accepted=True ListenersNotValid',
    'ResolvedRefs=True ResolvedRefs',
    'Programmed=False Invalid',
  ])
  const [http, udp] = status.listeners
  assert.equal(said(http?.conditions).at(-1), 'Programmed=True Programmed')
  assert.deepEqual(said(udp?.conditions), [
    'Accepted=False UnsupportedProtocol',
    'ResolvedRefs=True ResolvedRefs',
    'Conflicted=False NoConflicts',
    'Programmed=False Invalid',
  ])
  assert.deepEqual(udp?.supportedKinds, [])
})

test('a Gateway of which no listener can be served is not accepted, and nothing is said to be made', () => {
  const status = statusOf('  - {name: udp, port: 90, protocol: UDP}\n', { made: false, addresses: [] })
  assert.deepEqual(said(status.conditions), [
    'Accepted=False ListenersNotValid',
    'ResolvedRefs=True ResolvedRefs',
    'Programmed=False Invalid',
  ])
})

test('kinds of routes that a listener does not take are not among its supported ones', () => {
  const kinds = (list: string) => {
    const listener = `  - {name: http, port: 80, protocol: HTTP, allowedRoutes: {kinds: [${list}]}}\n`
    const [status] = statusOf(listener).listeners
    return `${status?.supportedKinds.map(({ kind }) => kind)} ${said(status?.conditions)[1]}`
  }
  assert.equal(kinds('{kind: InvalidRoute}'), ' ResolvedRefs=False InvalidRouteKinds')
  assert.equal(kinds('{kind: InvalidRoute}, {kind: HTTPRoute}'), 'HTTPRoute ResolvedRefs=False InvalidRouteKinds')
  assert.equal(kinds('{kind: HTTPRoute, group: example.com}'), ' ResolvedRefs=False InvalidRouteKinds')
})

test('listeners with hosts in common say so', () => {
  const tls = 'protocol: HTTPS, tls: {options: {hauberk.dev/certificate: mesh}}'
  const status = statusOf(`
  - {name: a, port: 443, hostname: a.example.com, ${tls}}
  - {name: wild, port: 443, hostname: '*.example.com', ${tls}}
`)
  assert.equal(said(status.listeners[0]?.conditions).at(-1), 'OverlappingTLSConfig=True OverlappingHostnames')
})

test('addresses are no more than the API server takes', () => {
  const addresses = Array.from({ length: 40 }, (_, i) => ({ type: 'IPAddress' as const, value: `192.0.2.${i}` }))
  assert.equal(statusOf(HTTP, { addresses }).addresses.length, 16)
})

test('a GatewayClass says what is supported, and of which release the definitions are', () => {
  const report = reportOf(HTTP, 'GatewayClass', 'hauberk')
  const said = (versions: Parameters<typeof gatewayClassStatus>[1]) => {
    const { conditions } = gatewayClassStatus(report, versions)
    assert.deepEqual(conditions[0], { type: 'Accepted', ...report.accepted, observedGeneration: 2 })
    return `${conditions[1]?.status} ${conditions[1]?.reason}: ${conditions[1]?.message}`
  }
  const crd = 'gateways.gateway.networking.k8s.io'
  assert.match(said(new Map([[crd, 'v1.6.1']])), /^True SupportedVersion: /)
  assert.match(
    said(new Map([[crd, 'v1.4.0']])),
    /^False UnsupportedVersion: gateways\S+ is of v1\.4\.0\. Supported is v1\.6/,
  )
  assert.match(said(new Map([[crd, undefined]])), /^False UnsupportedVersion: gateways\S+ is of no known release/)
  assert.match(said(undefined), /^Unknown Pending: /)
  const features = gatewayClassStatus(report, undefined).supportedFeatures.map(({ name }) => name)
  assert.deepEqual(features, [...SUPPORTED_FEATURES].sort())
  assert.ok(features.length <= 64)
})
