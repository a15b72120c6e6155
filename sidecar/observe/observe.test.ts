import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RequestView } from '../../model/request.ts'
import { createMemorySink } from '../../runtime/log-sink.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import type { Refusal, RequestRecord } from '../serve/observation.ts'
import { createDecisionLog, type ThinnedRefusals } from './decision-log.ts'
import { createDecisionRing, MAX_DECISIONS } from './decision-ring.ts'
import { createDryRunReport } from './dry-run-report.ts'
import { createPseudonyms, MAX_PSEUDONYMS, pseudonymOf } from './pseudonym.ts'
import { createSidecarMetrics } from './sidecar-metrics.ts'

const REFUSAL: Refusal = {
  denial: 'not-allowed',
  filter: 'authorization',
  rule: 'own-orders',
  origins: ['shop/orders@3'],
  detail: 'no rule matched',
}

function record(change: Partial<RequestRecord> = {}): RequestRecord {
  return {
    timeMs: Date.UTC(2026, 0, 1),
    durationMs: 1.5,
    decisionId: 'd1',
    requestId: 'r1',
    direction: 'inbound',
    listener: '8080',
    spiffeId: 'spiffe://mesh/ns/shop/sa/web',
    clientIp: '10.0.0.1',
    route: 'Service/shop/orders:80',
    upstream: 'app',
    endpoint: undefined,
    method: 'GET',
    host: 'orders.shop',
    path: '/orders',
    status: 200,
    outcome: 'allowed',
    refusal: undefined,
    rule: 'web-reads',
    wouldDeny: undefined,
    issuer: 'shop',
    subject: 'alice',
    bytesIn: 0,
    bytesOut: 12,
    retried: false,
    ...change,
  }
}

test('a decision is one ECS line with who, what, the answer and whose rule it was', () => {
  const sink = createMemorySink()
  const log = createDecisionLog({ level: 'all', workload: 'shop/orders', sink, clock: createManualClock(0) })
  log.request(record({ status: 403, outcome: 'denied', refusal: REFUSAL, rule: undefined }))
  const line = JSON.parse(sink.lines[0] as string)
  assert.equal(line['event.dataset'], 'hauberk.decision')
  assert.equal(line['event.outcome'], 'failure')
  assert.equal(line['service.origin.name'], 'shop/web')
  assert.equal(line['user.id'], 'alice')
  assert.equal(line['user.name'], 'alice')
  assert.equal(line['user.hash'], pseudonymOf('alice'))
  assert.equal(line['event.kind'], 'event')
  assert.equal(line['event.action'], 'not-allowed')
  assert.equal(line['hauberk.denial'], 'not-allowed')
  assert.equal(line['rule.name'], 'own-orders')
  assert.equal(line['rule.ruleset'], 'shop/orders@3')
  assert.equal(line['http.response.status_code'], 403)
})

test('an allowed request, a refused token and a connection say in the words of ECS what they are', () => {
  const sink = createMemorySink()
  const log = createDecisionLog({ level: 'all', workload: 'shop/orders', sink, clock: createManualClock(0) })
  log.request(record())
  log.request(record({ refusal: { ...REFUSAL, filter: 'api-key', denial: 'api-key-invalid' } }))
  const [allowed, refused] = sink.lines.map((line) => JSON.parse(line))
  assert.deepEqual([allowed['event.action'], allowed['event.category']], ['request-allowed', ['web']])
  assert.deepEqual([refused['event.action'], refused['event.category']], ['api-key-invalid', ['web', 'authentication']])
})

test('pseudonyms are remembered for as many users as there is room for', () => {
  const pseudonyms = createPseudonyms()
  for (let i = 0; i <= MAX_PSEUDONYMS; i++) pseudonyms.of(`user ${i}`)
  assert.equal(pseudonyms.size, 1)
  pseudonyms.of('x'.repeat(300))
  assert.equal(pseudonyms.size, 1)
  assert.equal(pseudonyms.of('alice'), pseudonymOf('alice'))
})

test('the level says which decisions are written', () => {
  const sink = createMemorySink()
  const clock = createManualClock(0)
  const denied = createDecisionLog({ level: 'denied', workload: 'w', sink, clock })
  denied.request(record())
  assert.equal(sink.lines.length, 0)
  denied.request(record({ wouldDeny: REFUSAL }))
  denied.request(record({ refusal: { ...REFUSAL, denial: 'token-missing' } }))
  assert.equal(sink.lines.length, 2)
  createDecisionLog({ level: 'off', workload: 'w', sink, clock }).request(record({ refusal: REFUSAL }))
  assert.equal(sink.lines.length, 2)
})

/** As the data plane refuses: no policy was asked. */
const MALFORMED: Refusal = { denial: 'bare-lf', filter: undefined, rule: undefined, origins: [], detail: undefined }

for (const level of ['all', 'denied'] as const) {
  test(`T15: at the level ${level}, what the mesh refuses is counted each time by its reason and logged once a second for each`, async () => {
    const sink = createMemorySink()
    const clock = createManualClock(Date.UTC(2026, 0, 1))
    const log = createDecisionLog({ level, workload: 'w', sink, clock })
    const metrics = createMetrics()
    const counted = createSidecarMetrics(metrics, NO_GAUGES)
    for (let i = 0; i < 1_000; i++) {
      const denial = i % 2 === 0 ? 'bare-lf' : 'te-and-cl'
      const refused = record({ status: 400, outcome: 'malformed', refusal: { ...MALFORMED, denial }, route: '' })
      log.request(refused)
      counted.request(refused)
    }
    const denials = () => sink.lines.map((line) => JSON.parse(line)['hauberk.denial'])
    assert.deepEqual(denials(), ['bare-lf', 'te-and-cl'])
    await clock.advance(1_000)
    assert.deepEqual(denials(), ['bare-lf', 'te-and-cl', 'bare-lf', 'te-and-cl'])
    assert.equal(JSON.parse(sink.lines[2] as string)['hauberk.refusals'], 499)
    const text = await metrics.text()
    assert.match(text, /hauberk_denials_total\{direction="inbound",denial="bare-lf",rule="",policy=""\} 500/)
    assert.match(text, /hauberk_denials_total\{direction="inbound",denial="te-and-cl",rule="",policy=""\} 500/)
  })
}

test('what a policy refuses is logged each time with everything, and once a second for each rule with refusals only', () => {
  const clock = createManualClock(0)
  const linesOf = (level: 'all' | 'denied') => {
    const sink = createMemorySink()
    const log = createDecisionLog({ level, workload: 'w', sink, clock })
    for (let i = 0; i < 10; i++) {
      for (const rule of ['own-orders', 'admins']) log.request(record({ refusal: { ...REFUSAL, rule } }))
    }
    return sink.lines.length
  }
  assert.equal(linesOf('all'), 20)
  assert.equal(linesOf('denied'), 2)
})

const NO_GAUGES = {
  certificateReceivedMs: () => 500,
  certificateNotAfterMs: () => 1_000,
  configVersion: () => 'v1',
  configTakenAtMs: () => undefined,
  operatorConnected: () => true,
  connections: () => 3,
  inFlight: () => 1,
  upstreamConnections: () => 2,
  logLinesDropped: () => 0,
}

test('requests, denials and dry-run denials are counted by name, rule and policy', async () => {
  const metrics = createMetrics()
  const sidecar = createSidecarMetrics(metrics, NO_GAUGES)
  sidecar.request(record())
  sidecar.request(record({ status: 403, outcome: 'denied', refusal: REFUSAL }))
  sidecar.request(record({ wouldDeny: REFUSAL }))
  sidecar.count('tokens_cached', 'shop')
  const text = await metrics.text()
  const has = (line: string) => assert.ok(text.includes(line), `${line}\nis not in\n${text}`)
  has(
    'hauberk_requests_total{direction="inbound",route="Service/shop/orders:80",method="GET",status="200",outcome="allowed"} 2',
  )
  has('hauberk_denials_total{direction="inbound",denial="not-allowed",rule="own-orders",policy="shop/orders@3"} 1')
  has(
    'hauberk_dry_run_denials_total{direction="inbound",denial="not-allowed",rule="own-orders",policy="shop/orders@3"} 1',
  )
  has('hauberk_tokens_cached_total{issuer="shop"} 1')
  has('hauberk_threats_total{threat="privilege-probe"} 1')
  has('hauberk_threats_total{threat="smuggling"} 0')
  has('hauberk_certificate_not_after_seconds 1')
  has('hauberk_certificate_received_seconds 0.5')
  has(
    'hauberk_caller_requests_total{direction="inbound",route="Service/shop/orders:80",caller="shop/web",outcome="allowed"} 2',
  )
  has(
    'hauberk_caller_requests_total{direction="inbound",route="Service/shop/orders:80",caller="shop/web",outcome="denied"} 1',
  )
  has('hauberk_config_info{version="v1"} 1')
})

test('the client of an API key is in the log, in what explain remembers, and in a bounded metric of its own', async () => {
  const sink = createMemorySink()
  const log = createDecisionLog({ level: 'all', workload: 'shop/orders', sink, clock: createManualClock(0) })
  log.request(record({ client: 'acme' }))
  log.request(record())
  assert.deepEqual(
    sink.lines.map((line) => JSON.parse(line)['hauberk.client']),
    ['acme', undefined],
  )
  const metrics = createMetrics()
  const sidecar = createSidecarMetrics(metrics, NO_GAUGES)
  for (let i = 0; i < 2_100; i++) sidecar.request(record({ client: `client-${i}` }))
  sidecar.request(record({ client: 'client-0', outcome: 'denied' }))
  const series = (await metrics.text()).split('\n').filter((line) => line.startsWith('hauberk_client_requests_total{'))
  assert.ok(series.includes('hauberk_client_requests_total{client="client-0",outcome="allowed"} 1'), series[0])
  assert.ok(series.length <= 2_001, `${series.length}`)
  assert.ok(series.some((line) => line.includes('overflow')))
})

test('requests of one route that come out differently in turn are each counted as they came out', async () => {
  const metrics = createMetrics()
  const sidecar = createSidecarMetrics(metrics, NO_GAUGES)
  for (let i = 0; i < 3; i++) {
    sidecar.request(record())
    sidecar.request(record({ status: 500 }))
    sidecar.request(record({ method: 'POST' }))
    sidecar.request(record({ outcome: 'failed' }))
    sidecar.request(record({ direction: 'outbound' }))
    sidecar.request(record({ method: 'PURGE' }))
    sidecar.request(record({ method: 'LINK' }))
  }
  const counts = (await metrics.text())
    .split('\n')
    .flatMap((line) => /^hauberk_requests_total\{.*\} (\d+)$/.exec(line)?.[1] ?? [])
  assert.deepEqual(counts, ['3', '3', '3', '3', '3', '6'])
})

test('methods and routes that clients make up do not make series without end', async () => {
  const metrics = createMetrics()
  const sidecar = createSidecarMetrics(metrics, NO_GAUGES)
  for (let i = 0; i < 5_000; i++) sidecar.request(record({ method: `M${i}`, route: `r${i}` }))
  const series = (await metrics.text()).split('\n').filter((line) => line.startsWith('hauberk_requests_total{'))
  assert.ok(series.length <= 1_001, String(series.length))
})

test('the newest refusals can be explained, and the oldest are forgotten', () => {
  const ring = createDecisionRing()
  const request = { method: 'GET', host: 'h', path: '/', peer: { ip: '127.0.0.1' } } as RequestView
  for (let i = 0; i <= MAX_DECISIONS; i++) {
    ring.add(record({ decisionId: `d${i}` }), { request, facts: {}, chain: { enforced: [] }, route: 'r' })
  }
  assert.equal(ring.explain('d0'), undefined)
  assert.equal(ring.explain(`d${MAX_DECISIONS}`)?.outcome, 'allowed')
})

test('a decision is told as it was made, whatever an explanation of now would say', () => {
  const ring = createDecisionRing()
  const request = { port: 8080, peer: { ip: '127.0.0.1' } } as RequestView
  const refusal = { ...REFUSAL, denial: 'token-expired', filter: 'jwt', rule: 'shop', detail: 'exp is past' }
  ring.add(record({ status: 401, refusal }), { request, facts: {}, chain: { enforced: [] }, route: 'r' })
  const { considerations: _, ...told } = ring.explain('d1') ?? { considerations: [] }
  assert.deepEqual(told, {
    outcome: 'denied',
    filter: 'jwt',
    denial: 'token-expired',
    status: 401,
    rule: 'shop',
    origins: ['shop/orders@3'],
    detail: 'exp is past',
    decisionId: 'd1',
    time: '2026-01-01T00:00:00.000Z',
    route: 'r',
    method: 'GET',
    host: 'orders.shop',
    path: '/orders',
    port: 8080,
    clientIp: '10.0.0.1',
    caller: 'spiffe://mesh/ns/shop/sa/web',
    issuer: 'shop',
    subject: 'alice',
  })
})

test('dry-run counts are kept until there is somebody to tell', async () => {
  const clock = createManualClock()
  const told: number[] = []
  let connected = false
  const report = createDryRunReport(clock, (counts) => {
    if (connected) told.push(...counts.map(({ wouldDeny }) => wouldDeny))
    return connected
  })
  report.add(REFUSAL)
  report.add(REFUSAL)
  await clock.advance(10_000)
  assert.deepEqual(told, [])
  connected = true
  report.add(REFUSAL)
  await clock.advance(10_000)
  assert.deepEqual(told, [3])
  assert.equal(clock.pendingTimers(), 0, 'no timer runs while there is nothing to tell')
})

test('refusals that two threads have thinned are one line a second of each reason, which stands for all', async () => {
  const sink = createMemorySink()
  const clock = createManualClock(Date.UTC(2026, 0, 1))
  const first = createDecisionLog({ level: 'denied', workload: 'shop/orders', sink, clock })
  const tellThinned = (refusals: ThinnedRefusals) => first.thinned(structuredClone(refusals))
  const second = createDecisionLog({ level: 'denied', workload: 'shop/orders', sink, clock, tellThinned })
  for (let i = 0; i < 100; i++) {
    first.request(record({ refusal: REFUSAL, status: 403 }))
    second.request(record({ refusal: REFUSAL, status: 403 }))
  }
  assert.equal(sink.lines.length, 1)
  for (let second = 0; second < 5; second++) await clock.advance(1_000)
  const stoodFor = sink.lines.map((line) => (JSON.parse(line)['hauberk.refusals'] as number | undefined) ?? 1)
  assert.equal(
    stoodFor.reduce((sum, count) => sum + count),
    200,
  )
  assert.ok(stoodFor.length <= 3, stoodFor.join(' '))
})

test('a dry run is counted with what another thread has gathered of it', async () => {
  const clock = createManualClock(Date.UTC(2026, 0, 1))
  const told: number[] = []
  const first = createDryRunReport(clock, (counts) => told.push(...counts.map(({ wouldDeny }) => wouldDeny)) > 0)
  const second = createDryRunReport(clock, (counts) => {
    first.addCounts(structuredClone(counts))
    return true
  })
  first.add(REFUSAL)
  second.add(REFUSAL)
  second.add(REFUSAL)
  second.flush()
  await clock.advance(10_000)
  assert.deepEqual(told, [3])
})
