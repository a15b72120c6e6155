import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BackendResponse, CallFailure } from '../../../model/backend-calls.ts'
import { answered, failed, scriptedCalls } from '../../../policies/testing/calls.ts'
import { silentLog } from '../../../runtime/log.ts'
import { createManualClock } from '../../../runtime/manual-clock.ts'
import { createMetrics } from '../../../runtime/metrics.ts'
import type { RequestRecord } from '../../serve/observation.ts'
import { meshUpstream, workloadConfig } from '../../serve/testing/world.ts'
import { MAX_PATH_LENGTH } from './otlp.ts'
import { createSpanExporter, MAX_BATCH_SPANS, MAX_QUEUED_SPANS } from './span-exporter.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const COLLECTOR = { upstream: 'shop/collector:4318', host: 'collector.shop.svc:4318', path: '/v1/traces' }
const CONFIG = workloadConfig([], {
  upstreams: { 'shop/orders:80': meshUpstream('orders') },
  trace: { samplingRatio: 1, collector: COLLECTOR },
})

let spans = 0

function record(more: Partial<RequestRecord> = {}): RequestRecord {
  spans += 1
  return {
    timeMs: 1_767_225_600_000,
    durationMs: 12.3456,
    decisionId: 'd1',
    requestId: 'r1',
    direction: 'inbound',
    listener: '8080',
    spiffeId: 'spiffe://cluster.local/ns/shop/sa/storefront',
    clientIp: '192.0.2.1',
    route: 'Service/shop/orders:80',
    upstream: 'app',
    endpoint: '127.0.0.1:3000',
    method: 'GET',
    host: 'orders.shop',
    path: '/orders/1',
    status: 200,
    outcome: 'allowed',
    refusal: undefined,
    rule: 'storefront',
    wouldDeny: undefined,
    issuer: undefined,
    subject: undefined,
    bytesIn: 0,
    bytesOut: 5,
    retried: false,
    trace: {
      traceId: TRACE,
      spanId: spans.toString(16).padStart(16, '0'),
      parentId: '00f067aa0ba902b7',
      isRecorded: true,
      outside: undefined,
      set: undefined,
      remove: undefined,
    },
    ...more,
  }
}

interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly Attribute[]
  readonly links?: readonly unknown[]
  readonly status: { readonly code?: number }
}

interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

function attributesOf(list: readonly Attribute[]): Readonly<Record<string, unknown>> {
  return Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value)[0]]))
}

/** An exporter whose collector says what the test says. */
function start(answer: (tries: number) => BackendResponse | CallFailure | Promise<BackendResponse | CallFailure>) {
  const clock = createManualClock()
  const metrics = createMetrics()
  let tries = 0
  const calls = scriptedCalls(() => answer(++tries))
  let config: typeof CONFIG | undefined = CONFIG
  const exporter = createSpanExporter({
    calls,
    config: () => config,
    resource: { release: '1.2.3', workload: 'shop/orders', pod: 'shop/orders-1' },
    clock,
    log: silentLog,
    metrics,
  })
  const bodies = () => calls.asked.map(({ request }) => JSON.parse(Buffer.from(request.body ?? []).toString()))
  return {
    clock,
    exporter,
    calls,
    bodies,
    spans: (): Span[] => bodies().flatMap(({ resourceSpans: [only] }) => only.scopeSpans[0].spans),
    setConfig(next: typeof CONFIG | undefined) {
      config = next
    },
    async counted(): Promise<Readonly<Record<string, number>>> {
      const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith('hauberk_spans_'))
      return Object.fromEntries(
        lines.map((line) => {
          const at = line.lastIndexOf(' ')
          const name = line.slice('hauberk_spans_'.length, at)
          return [name.replace('_total', '').replace(/\{reason="(.*)"\}/, ' $1'), Number(line.slice(at + 1))]
        }),
      )
    },
  }
}

test('a request becomes a span by the semantic conventions, sent to the collector with the workload it is of', async () => {
  const { exporter, clock, calls, bodies, spans, counted } = start(() => answered(200, [], '{}'))
  exporter.add(record())
  exporter.add(
    record({
      direction: 'outbound',
      spiffeId: undefined,
      upstream: 'shop/orders:80',
      endpoint: '[2001:db8::1]:8080',
      method: 'BREW',
      path: `/${'a'.repeat(600)}`,
      status: 403,
      outcome: 'denied',
      refusal: {
        denial: 'no-rule',
        filter: 'authorization',
        rule: 'r',
        origins: ['shop/orders@3'],
        detail: 'a secret detail',
      },
      subject: 'alice',
    }),
  )
  assert.equal(calls.asked.length, 0)
  await clock.advance(1_000)
  const [asked] = calls.asked
  assert.equal(asked?.upstream, COLLECTOR.upstream)
  assert.deepEqual(
    { ...asked?.request, body: undefined },
    {
      method: 'POST',
      path: '/v1/traces',
      authority: COLLECTOR.host,
      headers: [
        ['content-type', 'application/json'],
        ['user-agent', 'hauberk/1.2.3'],
        ['traceparent', `00-${'0'.repeat(31)}1-${'0'.repeat(15)}1-00`],
      ],
      body: undefined,
      timeoutMs: 5_000,
      maxResponseBytes: 65_536,
    },
  )
  const [{ resourceSpans }] = bodies()
  assert.deepEqual(attributesOf(resourceSpans[0].resource.attributes), {
    'service.name': 'orders',
    'service.namespace': 'shop',
    'service.instance.id': 'shop/orders-1',
    'k8s.namespace.name': 'shop',
    'k8s.pod.name': 'orders-1',
    'hauberk.spiffe_id': 'spiffe://cluster.local/ns/shop/sa/orders',
  })
  const [server, client] = spans()
  assert.deepEqual(
    { ...server, attributes: attributesOf(server?.attributes ?? []) },
    {
      traceId: TRACE,
      spanId: server?.spanId,
      parentSpanId: '00f067aa0ba902b7',
      name: 'GET Service/shop/orders:80',
      kind: 2,
      startTimeUnixNano: '1767225600000000000',
      endTimeUnixNano: '1767225600012346000',
      attributes: {
        'http.request.method': 'GET',
        'url.path': '/orders/1',
        'server.address': 'orders.shop',
        'client.address': '192.0.2.1',
        'hauberk.endpoint': '127.0.0.1:3000',
        'http.response.status_code': '200',
        'http.request.body.size': '0',
        'http.response.body.size': '5',
        'hauberk.decision.id': 'd1',
        'hauberk.direction': 'inbound',
        'hauberk.outcome': 'allowed',
        'hauberk.route': 'Service/shop/orders:80',
        'hauberk.upstream': 'app',
        'hauberk.peer.spiffe_id': 'spiffe://cluster.local/ns/shop/sa/storefront',
        'hauberk.rule': 'storefront',
      },
      status: {},
    },
  )
  assert.equal(client?.kind, 3)
  assert.equal(client?.name, 'HTTP Service/shop/orders:80')
  assert.deepEqual(client?.status, { code: 2 })
  const said = attributesOf(client?.attributes ?? [])
  assert.equal(said['http.request.method'], '_OTHER')
  assert.equal(said['http.request.method_original'], 'BREW')
  assert.equal(String(said['url.path']).length, MAX_PATH_LENGTH)
  assert.equal(said['network.peer.address'], '2001:db8::1')
  assert.equal(said['network.peer.port'], '8080')
  assert.equal(said['error.type'], 'no-rule')
  assert.equal(said['hauberk.denial'], 'no-rule')
  assert.deepEqual(said['hauberk.upstream.spiffe_ids'], {
    values: [{ stringValue: 'spiffe://cluster.local/ns/shop/sa/orders' }],
  })
  assert.ok(!JSON.stringify(spans()).includes('alice') && !JSON.stringify(spans()).includes('secret'))
  assert.deepEqual(await counted(), { exported: 2 })
})

test('what is not recorded is not sent, and a trace that began here is linked to what a client outside calls it', async () => {
  const { exporter, clock, spans } = start(() => answered(200))
  const trace = record().trace!
  const outside = { traceId: 'f'.repeat(32), parentId: 'e'.repeat(16), flags: 1 }
  exporter.add(record({ trace: undefined }))
  exporter.add(record({ trace: { ...trace, isRecorded: false } }))
  exporter.add(record({ trace: { ...trace, parentId: undefined, outside } }))
  await clock.advance(1_000)
  assert.equal(spans().length, 1)
  assert.equal(spans()[0]?.parentSpanId, undefined)
  assert.deepEqual(spans()[0]?.links, [{ traceId: 'f'.repeat(32), spanId: 'e'.repeat(16) }])
})

test('no timer runs where no request is recorded', () => {
  const { exporter, clock } = start(() => answered(200))
  exporter.add(record({ trace: undefined }))
  assert.equal(clock.pendingTimers(), 0)
})

test('a collector that does not answer costs a bounded number of spans, and those beyond are counted', async () => {
  const { exporter, clock, calls, counted } = start(() => new Promise<never>(() => {}))
  for (let i = 0; i < MAX_BATCH_SPANS; i++) exporter.add(record())
  await clock.advance(0)
  assert.equal(calls.asked.length, 1)
  for (let i = 0; i < MAX_QUEUED_SPANS + 100; i++) exporter.add(record())
  assert.equal(exporter.size, MAX_QUEUED_SPANS + MAX_BATCH_SPANS)
  await clock.advance(60_000)
  assert.equal(calls.asked.length, 1)
  assert.deepEqual(await counted(), { exported: 0, 'dropped queue-full': 100 })
})

test('what has gathered goes in batches, one after the other', async () => {
  const { exporter, clock, calls, spans, counted } = start(() => answered(200, [], '{"partialSuccess":{}}'))
  for (let i = 0; i < MAX_BATCH_SPANS * 2 + 1; i++) exporter.add(record())
  await clock.advance(0)
  assert.equal(calls.asked.length, 2)
  await clock.advance(1_000)
  assert.equal(calls.asked.length, 3)
  assert.equal(new Set(spans().map(({ spanId }) => spanId)).size, MAX_BATCH_SPANS * 2 + 1)
  assert.deepEqual(await counted(), { exported: MAX_BATCH_SPANS * 2 + 1 })
})

test('a batch never grows beyond what may be sent, however long its paths are', async () => {
  const { exporter, clock, calls } = start(() => answered(200))
  const host = 'a'.repeat(2_000)
  for (let i = 0; i < MAX_BATCH_SPANS; i++) exporter.add(record({ direction: 'outbound', host }))
  await clock.advance(5_000)
  assert.ok(calls.asked.length > 1)
  for (const { request } of calls.asked) assert.ok((request.body?.length ?? 0) < 1_048_576)
})

test('what a collector has no time for is sent again when it says so, and given up after three times', async () => {
  const { exporter, clock, calls, counted } = start((tries) =>
    tries === 1 ? answered(429, [['retry-after', '7']]) : tries === 2 ? failed('unreachable') : answered(200),
  )
  exporter.add(record())
  await clock.advance(1_000)
  await clock.advance(6_999)
  assert.equal(calls.asked.length, 1)
  await clock.advance(1)
  assert.equal(calls.asked.length, 2)
  await clock.advance(2_000)
  assert.equal(calls.asked.length, 3)
  assert.deepEqual(await counted(), { exported: 1 })

  const down = start(() => failed('no-upstream'))
  down.exporter.add(record())
  await down.clock.advance(60_000)
  assert.equal(down.calls.asked.length, 3)
  assert.deepEqual(await down.counted(), { exported: 0, 'dropped unreachable': 1 })
})

test('what a collector refuses is not sent again', async () => {
  const { exporter, clock, calls, counted } = start(() => answered(400))
  exporter.add(record())
  await clock.advance(60_000)
  assert.equal(calls.asked.length, 1)
  assert.deepEqual(await counted(), { exported: 0, 'dropped rejected': 1 })

  const partly = start(() => answered(200, [], '{"partialSuccess":{"rejectedSpans":"1","errorMessage":"no"}}'))
  partly.exporter.add(record())
  partly.exporter.add(record())
  await partly.clock.advance(1_000)
  assert.deepEqual(await partly.counted(), { exported: 1, 'dropped rejected': 1 })
})

test('spans of before tracing was switched off are dropped', async () => {
  const { exporter, clock, calls, counted, setConfig } = start(() => answered(200))
  exporter.add(record())
  setConfig(workloadConfig([]))
  await clock.advance(1_000)
  assert.equal(calls.asked.length, 0)
  assert.deepEqual(await counted(), { exported: 0, 'dropped no-collector': 1 })
})

test('F19: at the end what waits is sent, and what cannot be in time is counted', async () => {
  const { exporter, spans, counted, clock } = start(() => answered(200))
  for (let i = 0; i < MAX_BATCH_SPANS + 1; i++) exporter.add(record())
  await exporter.close(1_000)
  assert.equal(spans().length, MAX_BATCH_SPANS + 1)
  exporter.add(record())
  assert.deepEqual(await counted(), { exported: MAX_BATCH_SPANS + 1, 'dropped ended': 1 })
  assert.equal(clock.pendingTimers(), 0)

  const stuck = start(() => new Promise<never>(() => {}))
  stuck.exporter.add(record())
  await stuck.clock.advance(1_000)
  stuck.exporter.add(record())
  let isOver = false
  const closed = stuck.exporter.close(2_000).then(() => {
    isOver = true
  })
  await stuck.clock.advance(1_999)
  assert.equal(isOver, false)
  await stuck.clock.advance(1)
  await closed
  assert.deepEqual(await stuck.counted(), { exported: 0, 'dropped ended': 2 })
  assert.equal(stuck.exporter.size, 0)
})
