import assert from 'node:assert/strict'
import { before, type TestContext, test } from 'node:test'
import type { FilterSlot, TraceConfig, WorkloadConfig } from '../../contract/workload-config.ts'
import { defineFilter } from '../../model/filter.ts'
import { ok } from '../../model/result.ts'
import { CONTINUE } from '../../model/verdict.ts'
import { testId } from '../identity/testing/test-identity.ts'
import { httpBackend } from './testing/backend.ts'
import { dialMesh, dialPlain, get } from './testing/client.ts'
import {
  createTestMesh,
  endpoint,
  forwardTo,
  gate,
  gateway,
  inbound,
  LOOPBACK,
  meshUpstream,
  plaintextUpstream,
  route,
  startGateway,
  startPlane,
  type TestMesh,
  type TestPlane,
  workloadConfig,
} from './testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = '00f067aa0ba902b7'
const RECEIVED = `00-${TRACE}-${PARENT}-01`
const COLLECTOR = { upstream: 'shop/collector:4318', host: 'collector.shop', path: '/v1/traces' }
const RECORDING: TraceConfig = { samplingRatio: 1, collector: COLLECTOR }
const PASSING: TraceConfig = { samplingRatio: 0 }

interface Seen {
  readonly traceparent: string | undefined
  readonly tracestate: string | undefined
}

/** An application that tells what it was sent, and its sidecar. */
async function startWorkload(t: TestContext, more: Partial<WorkloadConfig>): Promise<TestPlane> {
  const app = await httpBackend(t, ({ headers }, response) => {
    response.end(JSON.stringify({ traceparent: headers['traceparent'], tracestate: headers['tracestate'] }))
  })
  return startPlane(t, {
    config: workloadConfig([inbound(8080, { mtls: 'Permissive' })], more),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
    identity: await mesh.identity('orders'),
  })
}

async function askAsPeer(t: TestContext, plane: TestPlane, lines: readonly string[]): Promise<Seen> {
  const client = await dialMesh(plane.port('8080'), await mesh.identity('storefront'), testId('orders'))
  t.after(() => client.destroy())
  return JSON.parse((await client.request(get('/', lines))).body)
}

async function askFromOutside(t: TestContext, port: number, lines: readonly string[]): Promise<Seen> {
  const client = await dialPlain(port)
  t.after(() => client.destroy())
  return JSON.parse((await client.request(get('/', lines))).body)
}

test('T34: a gateway replaces the trace id that a client sends, and tells of both in no header', async (t) => {
  const workload = await startWorkload(t, { trace: RECORDING })
  const plane = await startGateway(t, mesh, workload.port('8080'), {
    config: { upstreams: { 'shop/orders:80': meshUpstream('orders') }, trace: RECORDING },
  })
  const seen = await askFromOutside(t, plane.port('http'), [`Traceparent: ${RECEIVED}`, 'Tracestate: rojo=1'])
  const [atGateway] = plane.requests
  const [atWorkload] = workload.requests
  assert.notEqual(atGateway?.trace?.traceId, TRACE)
  assert.match(atGateway?.trace?.traceId ?? '', /^[0-9a-f]{32}$/)
  assert.deepEqual(atGateway?.trace?.outside, { traceId: TRACE, parentId: PARENT, flags: 1 })
  assert.equal(atGateway?.trace?.parentId, undefined)
  assert.equal(atWorkload?.trace?.traceId, atGateway?.trace?.traceId)
  assert.equal(atWorkload?.trace?.parentId, atGateway?.trace?.spanId)
  assert.deepEqual(seen, { traceparent: `00-${atWorkload?.trace?.traceId}-${atWorkload?.trace?.spanId}-01` })
})

test('T34: a sidecar that takes plaintext believes nobody from outside either, and a client cannot have itself recorded', async (t) => {
  const workload = await startWorkload(t, { trace: { samplingRatio: 0, collector: COLLECTOR } })
  const { traceparent } = await askFromOutside(t, workload.port('8080'), [`traceparent: ${RECEIVED}`])
  assert.match(traceparent ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
  assert.ok(!traceparent?.includes(TRACE))
  assert.equal(workload.requests[0]?.trace?.isRecorded, false)
})

test('T34: no route and no policy sets the trace that the next hop is told', async (t) => {
  const app = await httpBackend(t, ({ headers }, response) => response.end(JSON.stringify(headers['traceparent'])))
  const requestHeaders = { set: [['traceparent', RECEIVED] as [string, string]], add: [], remove: [] }
  const plane = await startGateway(t, mesh, app.port, {
    listeners: [gateway({ routes: [route(forwardTo('shop/orders:80'), { requestHeaders })] })],
    config: { upstreams: { 'shop/orders:80': plaintextUpstream() }, trace: PASSING },
  })
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  const { body } = await client.request(get('/'))
  assert.ok(!body.includes(TRACE), body)
})

test('what a peer of the mesh says is passed on, with this hop as the parent where it is recorded', async (t) => {
  const recording = await startWorkload(t, { trace: RECORDING })
  const seen = await askAsPeer(t, recording, [`traceparent: ${RECEIVED}`, 'tracestate: rojo=1', 'tracestate: congo=2'])
  const [record] = recording.requests
  assert.deepEqual(seen, {
    traceparent: `00-${TRACE}-${record?.trace?.spanId}-01`,
    tracestate: 'rojo=1, congo=2',
  })
  assert.equal(record?.trace?.parentId, PARENT)

  const passing = await startWorkload(t, { trace: PASSING })
  assert.deepEqual(await askAsPeer(t, passing, [`traceparent: ${RECEIVED}`, 'tracestate: rojo=1']), {
    traceparent: RECEIVED,
    tracestate: 'rojo=1',
  })
  assert.equal(passing.requests[0]?.trace?.traceId, TRACE)
})

test('what is not to be recorded stays so, whatever the ratio is here', async (t) => {
  const workload = await startWorkload(t, { trace: RECORDING })
  const { traceparent } = await askAsPeer(t, workload, [`traceparent: 00-${TRACE}-${PARENT}-00`])
  assert.equal(traceparent, `00-${TRACE}-${PARENT}-00`)
  assert.equal(workload.requests[0]?.trace?.isRecorded, false)
})

test('a trace begins where there is none, or none that can be read, and its state goes with it', async (t) => {
  const workload = await startWorkload(t, { trace: RECORDING })
  for (const lines of [
    [],
    ['tracestate: rojo=1'],
    ['traceparent: 00-1-2-01', 'tracestate: rojo=1'],
    [`traceparent: ${RECEIVED}`, `traceparent: ${RECEIVED}`, 'tracestate: rojo=1'],
  ]) {
    const { traceparent, tracestate } = await askAsPeer(t, workload, lines)
    const record = workload.requests.at(-1)
    assert.equal(traceparent, `00-${record?.trace?.traceId}-${record?.trace?.spanId}-01`)
    assert.notEqual(record?.trace?.traceId, TRACE)
    assert.equal(tracestate, undefined)
  }
})

test('a tracestate that breaks the limits goes no further, and the trace does', async (t) => {
  const workload = await startWorkload(t, { trace: RECORDING })
  const seen = await askAsPeer(t, workload, [`traceparent: ${RECEIVED}`, 'tracestate: rojo=1,rojo=2'])
  assert.match(seen.traceparent ?? '', new RegExp(`^00-${TRACE}-`))
  assert.equal(seen.tracestate, undefined)
})

test('where no traces are kept the headers are passed on as they came', async (t) => {
  const workload = await startWorkload(t, {})
  const lines = ['traceparent: 00-1-2-01', 'tracestate: rojo=1,rojo=2']
  assert.deepEqual(await askFromOutside(t, workload.port('8080'), lines), {
    traceparent: '00-1-2-01',
    tracestate: 'rojo=1,rojo=2',
  })
  assert.equal(workload.requests[0]?.trace, undefined)
})

test('a filter that needs the trace has it kept, inbound and for the calls of the workload', async (t) => {
  const traces: (string | undefined)[] = []
  const reader = defineFilter<unknown>({
    name: 'reader',
    denials: [],
    repeatable: true,
    tcp: false,
    readsTrace: true,
    decode: ok,
    compile: () =>
      ok(({ traceId }) => {
        traces.push(traceId)
        return CONTINUE
      }),
    explain: () => [],
  })
  const app = await httpBackend(t, ({ headers }, response) => response.end(headers['traceparent']))
  const slot: FilterSlot = { state: 'resolved', mode: 'enforce', origins: ['shop/reader@1'], config: {} }
  const password = 'c0ffee'
  const upstream = { upstream: 'shop/orders:80', requestTimeoutMs: 5_000 }
  const plane = await startPlane(t, {
    config: workloadConfig(
      [
        inbound(8080, {
          mtls: 'Permissive',
          routes: [route({ kind: 'app', port: 8080, requestTimeoutMs: 0 }, { filters: { reader: [slot] } })],
        }),
      ],
      {
        outbound: {
          services: [{ service: 'shop/orders', hosts: ['orders'], port: 80, protocol: 'http', ...upstream }],
          egress: [],
        },
        upstreams: { 'shop/orders:80': plaintextUpstream() },
      },
    ),
    placement: {
      inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }],
      proxy: { bind: LOOPBACK, credential: { username: 'shop/orders', password } },
    },
    endpoints: { 'shop/orders:80': [endpoint(app.port)] },
    identity: await mesh.identity('orders'),
    filters: [gate, reader],
  })
  const inside = await dialPlain(plane.port('8080'))
  t.after(() => inside.destroy())
  const { body } = await inside.request(get('/', [`traceparent: ${RECEIVED}`]))
  const [record] = plane.requests
  assert.deepEqual(traces, [record?.trace?.traceId])
  assert.notEqual(traces[0], TRACE)
  assert.ok(body.startsWith(`00-${traces[0]}-`), body)

  // The application passes on what it was sent.
  const proxy = await dialPlain(plane.port('proxy'))
  t.after(() => proxy.destroy())
  const authorization = `Proxy-Authorization: Basic ${Buffer.from(`shop/orders:${password}`).toString('base64')}`
  const call = `GET http://orders/ HTTP/1.1\r\nHost: orders\r\n${authorization}\r\ntraceparent: ${body}\r\n\r\n`
  assert.equal((await proxy.request(call)).body, body)
  assert.equal(plane.requests.at(-1)?.direction, 'outbound')
  assert.equal(plane.requests.at(-1)?.trace?.traceId, traces[0])
})
