import assert from 'node:assert/strict'
import { test } from 'node:test'
import { read } from '../../contract/codec.ts'
import { MAX_TOLD_EDGES, OTHER_PEERS } from '../../contract/edges.ts'
import { latencyBucket } from '../../contract/latency.ts'
import { SidecarMessage } from '../../contract/session.ts'
import type { WorkloadConfig } from '../../contract/workload-config.ts'
import type { Outcome } from '../serve/observation.ts'
import { createEdges, MAX_PEERS, together, toldEdges } from './edges.ts'

const STOREFRONT = 'spiffe://mesh/ns/shop/sa/storefront'

const upstream = (tls: 'mesh' | 'plaintext' | 'https') => ({
  service: 'shop/x',
  port: 80,
  protocol: 'http' as const,
  tls,
  spiffeIds: [],
})
const listener = (name: string, protocol: 'http' | 'https') => ({
  kind: 'gateway' as const,
  ...{ name, protocol, port: 443, certificates: [], routes: [] },
})
const CONFIG: Pick<WorkloadConfig, 'listeners' | 'streams' | 'upstreams'> = {
  listeners: [listener('web', 'http'), listener('secure', 'https'), listener('secure-too', 'https')],
  streams: [{ name: 'raw', port: 9_000, protocol: 'tcp', certificates: [], routes: [] }],
  upstreams: {
    'shop/orders:80': upstream('mesh'),
    'old/app:80': upstream('plaintext'),
    'pay.example': upstream('https'),
  },
}

function request(change: Partial<Parameters<ReturnType<typeof createEdges>['request']>[0]> = {}) {
  return {
    direction: 'inbound' as const,
    listener: '8080',
    spiffeId: STOREFRONT as string | undefined,
    upstream: 'app',
    outcome: 'allowed' as Outcome,
    status: 200,
    durationMs: 2,
    ...change,
  }
}

function connection(change: Partial<Parameters<ReturnType<typeof createEdges>['connection']>[0]> = {}) {
  const { outcome: _, status: __, durationMs: ___, ...rest } = request()
  return { ...rest, outcome: 'allowed' as const, plaintext: false, ...change }
}

test('requests are counted by who has shown which certificate, by how they ended, and by how long they took', () => {
  const edges = createEdges()
  edges.request(request())
  edges.request(request({ outcome: 'denied', status: 403 }))
  edges.request(request({ outcome: 'malformed', status: 400 }))
  edges.request(request({ status: 500, durationMs: 900 }))
  edges.request(request({ outcome: 'failed', status: 503 }))
  edges.request(request({ spiffeId: undefined }))
  const { edges: told } = toldEdges(edges.counted([]), CONFIG)
  assert.deepEqual(told, [
    {
      ...{ direction: 'inbound', peer: STOREFRONT, security: 'mtls', requests: 5, denied: 2, failed: 2 },
      ...{
        connections: 0,
        open: 0,
        latencies: [
          [latencyBucket(2), 4],
          [latencyBucket(900), 1],
        ],
      },
    },
    {
      ...{ direction: 'inbound', peer: '', security: 'plaintext', requests: 1, denied: 0, failed: 0 },
      ...{ connections: 0, open: 0, latencies: [[latencyBucket(2), 1]] },
    },
  ])
})

test('connections of opaque bytes are counted as they end, and while they are open', () => {
  const edges = createEdges()
  edges.connection(connection({ outcome: 'denied' }))
  edges.connection(connection({ outcome: 'failed' }))
  // Said as it opened; what came over it is counted for itself.
  edges.connection(connection({ plaintext: true }))
  const [told] = toldEdges(edges.counted([connection(), connection()]), CONFIG).edges
  assert.deepEqual(told && { ...told, latencies: [] }, {
    ...{ direction: 'inbound', peer: STOREFRONT, security: 'mtls', requests: 0, denied: 1, failed: 1 },
    ...{ connections: 2, open: 2, latencies: [] },
  })
})

test('what goes to workloads of the mesh is left to their own sidecars, and other ways out say what protects them', () => {
  const edges = createEdges()
  const direction = 'outbound'
  for (const name of ['shop/orders:80', 'old/app:80', 'pay.example'])
    edges.request(request({ direction, upstream: name }))
  edges.request(request({ direction, upstream: 'egress/web a.example:80' }))
  edges.request(request({ direction, upstream: 'egress/web b.example:80' }))
  edges.connection(connection({ direction, upstream: 'egress/tunnels a.example:443' }))
  edges.request(request({ direction, upstream: '', outcome: 'denied', status: 403 }))
  const told = toldEdges(edges.counted([]), CONFIG).edges.map(({ peer, security }) => [peer, security])
  assert.deepEqual(told.sort(), [
    ['', 'plaintext'],
    ['egress/tunnels', 'opaque'],
    ['egress/web', 'plaintext'],
    ['old/app:80', 'plaintext'],
    ['pay.example', 'tls'],
  ])
})

test('clients of a gateway are one for each way in, whichever listener they came to', () => {
  const edges = createEdges()
  const at = (name: string) => ({ direction: 'gateway' as const, spiffeId: undefined, listener: name })
  for (const name of ['web', 'secure', 'secure-too', 'secure,secure-too']) edges.request(request(at(name)))
  edges.connection(connection(at('raw')))
  const told = toldEdges(edges.counted([]), CONFIG).edges.map(({ peer, security, requests }) => [
    peer,
    security,
    requests,
  ])
  assert.deepEqual(told.sort(), [
    ['', 'opaque', 0],
    ['', 'plaintext', 1],
    ['', 'tls', 3],
  ])
})

test('T27: peers are told apart up to a bound, the rest of them are one, and an answer is never more than an operator takes', () => {
  const edges = createEdges()
  const long = 'x'.repeat(1_900)
  const id = (i: number) => `spiffe://mesh/ns/${long}/sa/${i}`
  for (let i = 0; i < MAX_PEERS + 100; i++) edges.request(request({ spiffeId: id(i) }))
  edges.request(request({ spiffeId: id(0) }))
  const counted = edges.counted([])
  assert.equal(counted.length, MAX_PEERS + 1)
  assert.equal(counted.find(({ peer }) => peer === OTHER_PEERS)?.requests, 100)
  const { edges: told, omitted } = toldEdges(counted, CONFIG)
  assert.equal(told[0]?.peer, OTHER_PEERS, 'those with the most traffic are told of')
  assert.equal(told[1]?.peer, id(0))
  assert.ok(told.length <= MAX_TOLD_EDGES && told.length + omitted === MAX_PEERS + 1)
  const message = JSON.stringify({ type: 'seen', id: 1, edges: told, omitted })
  assert.ok(message.length < 256 * 1024, `${message.length}`)
  assert.ok(read(SidecarMessage, JSON.parse(message)).ok)
})

test('what several workers counted is one', () => {
  const [one, other] = [createEdges(), createEdges()]
  one.request(request())
  other.request(request({ durationMs: 50 }))
  other.request(request({ spiffeId: undefined }))
  const all = together([one.counted([]), other.counted([connection()])])
  assert.deepEqual(
    all.map(({ peer, requests, open }) => [peer, requests, open]),
    [
      [STOREFRONT, 2, 1],
      ['', 1, 0],
    ],
  )
})
