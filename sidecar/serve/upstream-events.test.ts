import assert from 'node:assert/strict'
import { before, type TestContext, test } from 'node:test'
import type { Mirror, RetrySettings, UpstreamTraffic } from '../../contract/traffic.ts'
import type { RouteAction } from '../../contract/workload-config.ts'
import { createManualClock, type ManualClock } from '../../runtime/manual-clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { createUpstreamMetrics } from '../observe/upstream-metrics.ts'
import { MAX_MIRRORED_BODY_BYTES } from './mirrors.ts'
import { freePort, httpBackend, rawBackend } from './testing/backend.ts'
import { dialPlain, get } from './testing/client.ts'
import { passing, until } from './testing/until.ts'
import {
  createTestMesh,
  endpoint,
  forwardTo,
  gateway,
  plaintextUpstream,
  route,
  startGateway,
  type TestMesh,
} from './testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

const ORDERS = 'shop/orders:80'
const SHADOW = 'shop/shadow:80'

const RETRY: RetrySettings = {
  attempts: 1,
  on: ['connect-failure', 'refused-stream', 'reset', 'timeout'],
  statuses: [503],
  methods: ['GET'],
  backoffMs: 1,
  maxBackoffMs: 1,
  maxBodyBytes: 1_024,
}
const PLENTY = { percent: 100, minPerSecond: 100 }

interface Given {
  readonly traffic?: Omit<UpstreamTraffic, 'origins'>
  readonly action?: Partial<Extract<RouteAction, { kind: 'forward' }>>
  readonly shadow?: number
  readonly clock?: ManualClock
}

/** A gateway in front of these ports, of which the first is asked first, and what its metrics say. */
async function start(t: TestContext, ports: readonly number[], given: Given = {}) {
  const { traffic, action, shadow, clock } = given
  const metrics = createMetrics()
  const upstreamEvents = createUpstreamMetrics(metrics, () => plane.plane.ejected())
  const told = { traffic: { origins: [], ...traffic } }
  const plane = await startGateway(t, mesh, 0, {
    listeners: [gateway({ routes: [route({ ...forwardTo(ORDERS), ...action })] })],
    config: {
      upstreams: { [ORDERS]: { ...plaintextUpstream(), ...told }, [SHADOW]: plaintextUpstream('shop/shadow') },
    },
    endpoints: { [ORDERS]: ports.map(endpoint), [SHADOW]: shadow === undefined ? [] : [endpoint(shadow)] },
    options: { upstreamEvents, random: () => 0 },
    ...(clock !== undefined && { clock }),
  })
  const ask = async (text = get('/')) => {
    const client = await dialPlain(plane.port('http'))
    t.after(() => client.destroy())
    return client.request(text)
  }
  const metric = async (series: string) => {
    const lines = (await metrics.text()).split('\n')
    return Number(lines.find((line) => line.startsWith(`${series} `))?.slice(series.length + 1) ?? 0)
  }
  const retries = (reason: string) => metric(`hauberk_upstream_retries_total{upstream="${ORDERS}",reason="${reason}"}`)
  return { plane, ask, metric, retries }
}

test('a request that is made again is counted by why', async (t) => {
  const alive = await httpBackend(t, (_, response) => response.end('alive'))
  const nobody = await start(t, [await freePort(), alive.port])
  assert.equal((await nobody.ask()).status, 200)
  assert.equal(await nobody.retries('connect-failure'), 1)

  const delivery = { retry: RETRY }
  const busy = await httpBackend(t, (_, response) => response.writeHead(503).end())
  const status = await start(t, [busy.port, alive.port], { traffic: { delivery, retryBudget: PLENTY } })
  assert.equal((await status.ask()).status, 200)
  assert.equal(await status.retries('status'), 1)

  const broken = await rawBackend(t, (_, socket) => socket.resetAndDestroy())
  const reset = await start(t, [broken.port, alive.port], { traffic: { delivery, retryBudget: PLENTY } })
  assert.equal((await reset.ask()).status, 200)
  assert.equal(await reset.retries('reset'), 1)

  const mute = await rawBackend(t)
  const clock = createManualClock()
  const timed = { delivery: { ...delivery, tryTimeoutMs: 500 }, retryBudget: PLENTY }
  const timeout = await start(t, [mute.port, alive.port], { traffic: timed, clock })
  assert.equal((await passing(clock, timeout.ask())).status, 200)
  assert.equal(await timeout.retries('timeout'), 1)

  let answers = 0
  const leaving = await rawBackend(t, (_, socket) => {
    // It takes the second request on its first connection for the end of it.
    if (++answers === 2) socket.resetAndDestroy()
    else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  })
  const stale = await start(t, [leaving.port])
  for (let i = 0; i < 2; i++) assert.equal((await stale.ask()).status, 200)
  assert.equal(await stale.retries('stale-connection'), 1)
})

test('a retry that the budget does not allow is counted', async (t) => {
  const busy = await httpBackend(t, (_, response) => response.writeHead(503).end())
  const { ask, metric, retries } = await start(t, [busy.port], {
    traffic: { delivery: { retry: RETRY }, retryBudget: { percent: 0, minPerSecond: 0 } },
  })
  for (let i = 0; i < 3; i++) assert.equal((await ask()).status, 503)
  assert.equal(await metric(`hauberk_upstream_retry_overflow_total{upstream="${ORDERS}"}`), 3)
  assert.equal(await retries('status'), 0)
})

test('what a circuit breaker refuses is counted by what there was too much of', async (t) => {
  const held: (() => void)[] = []
  const slow = await httpBackend(t, (_, response) => void held.push(() => response.end('late')))
  const overflow = (bound: string) => `hauberk_upstream_overflow_total{upstream="${ORDERS}",bound="${bound}"}`
  for (const [bound, circuitBreaker] of [
    ['requests', { maxInFlight: 1, maxPending: 0 }],
    ['connections', { maxConnections: 1, maxPending: 0 }],
  ] as const) {
    const { ask, metric } = await start(t, [slow.port], { traffic: { circuitBreaker } })
    const before = held.length
    const first = ask()
    await until(() => held.length > before, 'the first is under way')
    for (let i = 0; i < 2; i++) assert.equal((await ask()).status, 503)
    held[before]?.()
    assert.equal((await first).status, 200)
    assert.equal(await metric(overflow(bound)), 2)
    assert.equal(await metric(overflow(bound === 'requests' ? 'connections' : 'requests')), 0)
  }
})

test('endpoints that are put aside are counted, and how many are now is told while they are', async (t) => {
  const failing = await httpBackend(t, (_, response) => response.writeHead(500).end())
  const alive = await httpBackend(t, (_, response) => response.end('alive'))
  const outlier = { serverErrors: 1, failures: 1, ejectionMs: 60_000, maxEjectionMs: 60_000, maxPercent: 50 }
  const { plane, ask, metric } = await start(t, [failing.port, alive.port], { traffic: { outlier } })
  const aside = () => metric(`hauberk_outlier_ejected_endpoints{upstream="${ORDERS}"}`)
  assert.equal(await aside(), 0)
  assert.equal((await ask()).status, 500)
  assert.equal((await ask()).status, 200)
  assert.equal(await metric(`hauberk_outlier_ejections_total{upstream="${ORDERS}"}`), 1)
  assert.equal(await aside(), 1)
  plane.setEndpoints({ [ORDERS]: [endpoint(alive.port)] })
  assert.equal((await ask()).status, 200)
  assert.equal(await aside(), 0)
})

test('copies of requests are counted by whether they were sent', async (t) => {
  const main = await httpBackend(t, (request, response) => request.resume().on('end', () => response.end('main')))
  const seen: string[] = []
  const shadow = await httpBackend(t, (request, response) => {
    seen.push(request.url ?? '')
    request.resume().on('end', () => response.end())
  })
  const all: Mirror = { upstream: SHADOW, numerator: 1, denominator: 1 }
  const { ask, metric } = await start(t, [main.port], { action: { mirrors: [all] }, shadow: shadow.port })
  const mirrored = (outcome: string) =>
    metric(`hauberk_mirrored_requests_total{upstream="${SHADOW}",outcome="${outcome}"}`)
  for (let i = 0; i < 2; i++) assert.equal((await ask()).status, 200)
  const long = 'x'.repeat(MAX_MIRRORED_BODY_BYTES + 1)
  assert.equal(
    (await ask(`PUT /long HTTP/1.1\r\nHost: a\r\nContent-Length: ${long.length}\r\n\r\n${long}`)).status,
    200,
  )
  await until(() => seen.length === 2, 'the copies arrive')
  assert.deepEqual([await mirrored('sent'), await mirrored('dropped')], [2, 1])
})

test('T27: names of upstreams make no more series than a metric may have', async () => {
  const metrics = createMetrics()
  const events = createUpstreamMetrics(metrics, () => new Map())
  for (let i = 0; i < 3_000; i++) {
    events.retried(`shop/s${i}:80`, 'reset')
    events.ejected(`shop/s${i}:80`)
  }
  const lines = (await metrics.text()).split('\n')
  for (const name of ['hauberk_upstream_retries_total', 'hauberk_outlier_ejections_total']) {
    const series = lines.filter((line) => line.startsWith(`${name}{`))
    assert.ok(series.length <= 1_001, `${series.length} of ${name}`)
    const sum = series.reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' '))), 0)
    assert.equal(sum, 3_000)
  }
})
