import assert from 'node:assert/strict'
import { before, type TestContext, test } from 'node:test'
import type { Mirror, RetrySettings, Session, UpstreamTraffic } from '../../contract/traffic.ts'
import type { RouteAction } from '../../contract/workload-config.ts'
import { createManualClock, type ManualClock } from '../../runtime/manual-clock.ts'
import { blackHole } from '../../runtime/testing/black-hole.ts'
import { MAX_MIRRORED_BODY_BYTES } from './mirrors.ts'
import { type Backend, freePort, httpBackend, rawBackend } from './testing/backend.ts'
import { dialPlain, type TestResponse } from './testing/client.ts'
import { passing, passUntil, until } from './testing/until.ts'
import {
  createTestMesh,
  endpoint,
  forwardTo,
  gateway,
  plaintextUpstream,
  route,
  startGateway,
  type TestMesh,
  type TestPlane,
} from './testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

const ORDERS = 'shop/orders:80'

const RETRY: RetrySettings = {
  attempts: 2,
  on: ['connect-failure', 'refused-stream', 'reset'],
  statuses: [],
  methods: ['GET', 'PUT'],
  backoffMs: 1,
  maxBackoffMs: 5,
  maxBodyBytes: 1_024,
}

/** Whoever is put aside stays there, however long a test takes. */
const ASIDE = { serverErrors: 0, failures: 3, ejectionMs: 600_000, maxEjectionMs: 600_000, maxPercent: 100 }

interface Given {
  readonly traffic?: Omit<UpstreamTraffic, 'origins'>
  readonly action?: Partial<Extract<RouteAction, { kind: 'forward' }>>
  readonly shadow?: number
  readonly clock?: ManualClock
}

/** A gateway whose only route leads to these ports. */
async function start(t: TestContext, ports: readonly number[], given: Given = {}) {
  const { traffic, action, shadow, clock } = given
  const told = traffic === undefined ? {} : { traffic: { origins: ['TrafficPolicy/shop/orders@1'], ...traffic } }
  const plane = await startGateway(t, mesh, 0, {
    listeners: [gateway({ routes: [route({ ...forwardTo(ORDERS), ...action })] })],
    config: {
      upstreams: {
        [ORDERS]: { ...plaintextUpstream(), ...told },
        'shop/shadow:80': plaintextUpstream('shop/shadow'),
      },
    },
    endpoints: { [ORDERS]: ports.map(endpoint), 'shop/shadow:80': shadow === undefined ? [] : [endpoint(shadow)] },
    ...(clock !== undefined && { clock }),
  })
  return plane
}

async function ask(t: TestContext, plane: TestPlane, given: string | Asked = {}): Promise<TestResponse> {
  const { method = 'GET', path = '/', headers = [], body = '' } = typeof given === 'string' ? { path: given } : given
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  const length = body === '' ? [] : [`Content-Length: ${body.length}`]
  return client.request(
    `${[`${method} ${path} HTTP/1.1`, 'Host: a', ...headers, ...length].join('\r\n')}\r\n\r\n${body}`,
  )
}

interface Asked {
  readonly method?: string
  readonly path?: string
  readonly headers?: readonly string[]
  readonly body?: string
}

/** Answers with its name, and what it was sent. */
async function echo(t: TestContext, name: string): Promise<Backend & { readonly seen: string[] }> {
  const seen: string[] = []
  const backend = await httpBackend(t, async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    seen.push(`${request.method} ${request.url} ${body}`)
    response.end(name)
  })
  return { ...backend, seen }
}

async function answering(t: TestContext, status: number): Promise<Backend & { readonly seen: string[] }> {
  const seen: string[] = []
  const backend = await httpBackend(t, async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    seen.push(`${request.method} ${request.url} ${body}`)
    response.writeHead(status).end(String(status))
  })
  return { ...backend, seen }
}

test('F13: requests to a slow backend wait in a bounded queue for no longer than they may, and others go past them', async (t) => {
  const held: (() => void)[] = []
  const slow = await httpBackend(t, (_, response) => void held.push(() => response.end('late')))
  const fast = await echo(t, 'fast')
  const clock = createManualClock()
  const plane = await startGateway(t, mesh, 0, {
    listeners: [
      gateway({
        routes: [
          route(forwardTo('shop/fast:80'), {
            id: 'fast',
            match: { hostnames: [], path: { type: 'prefix', value: '/fast' }, headers: [], query: [] },
          }),
          route({ ...forwardTo(ORDERS), delivery: { requestTimeoutMs: 700 } }),
        ],
      }),
    ],
    config: {
      upstreams: {
        [ORDERS]: {
          ...plaintextUpstream(),
          traffic: { origins: [], circuitBreaker: { maxInFlight: 2, maxPending: 2 } },
        },
        'shop/fast:80': plaintextUpstream('shop/fast'),
      },
    },
    endpoints: { [ORDERS]: [endpoint(slow.port)], 'shop/fast:80': [endpoint(fast.port)] },
    clock,
  })
  const waiting = Array.from({ length: 4 }, () => ask(t, plane))
  await until(() => held.length === 2 && plane.plane.stats().inFlight === 4, 'two are under way and two wait')
  const refused = await ask(t, plane)
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '1'])
  assert.match(refused.body, /upstream-overflow/)
  assert.equal((await ask(t, plane, '/fast')).body, 'fast')
  await clock.advance(900)
  assert.deepEqual(
    (await Promise.all(waiting)).map(({ status }) => status),
    [504, 504, 504, 504],
  )
  await until(() => plane.plane.stats().inFlight === 0, 'nothing is left behind')
  const sent = held.length
  const later = ask(t, plane)
  await until(() => held.length > sent, 'the next one goes straight on')
  held[sent]?.()
  assert.equal((await later).body, 'late')
})

test('F13: whoever waits goes on when another is done, and whoever leaves makes room', async (t) => {
  const held: (() => void)[] = []
  const slow = await httpBackend(t, (request, response) => void held.push(() => response.end(request.url)))
  const plane = await start(t, [slow.port], { traffic: { circuitBreaker: { maxInFlight: 1, maxPending: 1 } } })
  const first = ask(t, plane, '/1')
  await until(() => held.length === 1, 'the first is under way')
  const gone = await dialPlain(plane.port('http'))
  gone.send('GET /gone HTTP/1.1\r\nHost: a\r\n\r\n')
  await until(() => plane.plane.stats().inFlight === 2, 'the second waits')
  gone.socket.resetAndDestroy()
  await until(() => plane.plane.stats().inFlight === 1, 'the second has left')
  const third = ask(t, plane, { method: 'PUT', path: '/3', body: 'x' })
  await until(() => plane.plane.stats().inFlight === 2, 'the third waits')
  held[0]?.()
  assert.equal((await first).body, '/1')
  await until(() => held.length === 2, 'the third goes on')
  held[1]?.()
  assert.equal((await third).body, '/3')
})

test('F15: where a SYN is answered by nobody the next endpoint is asked: none of many requests is lost', async (t) => {
  const [gone, alive] = [await blackHole(t), await echo(t, 'alive')]
  const clock = createManualClock()
  const plane = await start(t, [gone, alive.port], {
    traffic: { connectTimeoutMs: 1_000, outlier: { ...ASIDE, failures: 1 } },
    clock,
  })
  const asked = Promise.all(Array.from({ length: 40 }, () => ask(t, plane)))
  await until(() => plane.plane.stats().inFlight + plane.requests.length === 40, 'all of them have come')
  const answers = await passing(clock, asked)
  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
  for (let i = 0; i < 10; i++) assert.equal((await ask(t, plane)).status, 200)
  assert.ok(
    plane.requests.slice(-10).every(({ retried }) => !retried),
    'the one that is gone is asked no more',
  )
})

test('F15: a peer that takes a request and says nothing is given up after the time of one try', async (t) => {
  const mute = await rawBackend(t)
  const alive = await echo(t, 'alive')
  const clock = createManualClock()
  const plane = await start(t, [mute.port, alive.port], {
    clock,
    traffic: {
      delivery: { tryTimeoutMs: 500, requestTimeoutMs: 60_000, retry: { ...RETRY, on: ['timeout'] } },
      retryBudget: { percent: 100, minPerSecond: 100 },
      outlier: ASIDE,
    },
  })
  for (let i = 0; i < 20; i++) assert.equal((await passing(clock, ask(t, plane))).body, 'alive')
  assert.ok(mute.sockets.length <= 4, 'it is put aside soon')
})

test('the time of the whole request counts over all of its tries', async (t) => {
  const mute = await rawBackend(t)
  const clock = createManualClock()
  const plane = await start(t, [mute.port], {
    clock,
    action: {
      delivery: { tryTimeoutMs: 100, requestTimeoutMs: 500, retry: { ...RETRY, attempts: 10, on: ['timeout'] } },
    },
    traffic: { retryBudget: { percent: 100, minPerSecond: 100 } },
  })
  const answer = ask(t, plane)
  await until(() => mute.sockets.length === 1, 'it is tried')
  await passUntil(clock, () => plane.requests.length === 1, 'it is given up')
  const tookMs = clock.monotonic()
  assert.equal((await answer).status, 504)
  assert.ok(tookMs >= 500 && tookMs < 1_000, `${tookMs} ms`)
  assert.ok(mute.sockets.length >= 2, 'it was tried more than once')
})

test('F14: a backend that breaks off before it answers is followed by another try; one that breaks off in its answer is not', async (t) => {
  const broken = await rawBackend(t, (_, socket) => socket.resetAndDestroy())
  const alive = await echo(t, 'alive')
  const traffic = { delivery: { retry: RETRY }, retryBudget: { percent: 100, minPerSecond: 100 } }
  const plane = await start(t, [broken.port, alive.port], { traffic })
  for (let i = 0; i < 20; i++) assert.equal((await ask(t, plane)).body, 'alive')

  const short = await rawBackend(t, (_, socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this')
    setImmediate(() => socket.destroy())
  })
  const other = await start(t, [short.port], { traffic })
  const client = await dialPlain(other.port('http'))
  t.after(() => client.destroy())
  client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await client.closed()
  assert.match(client.received.toString(), /only this$/)
  assert.equal(short.sockets.length, 1)
})

test('a request that may not be made twice is made once, whatever became of it', async (t) => {
  const broken = await rawBackend(t, (_, socket) => socket.resetAndDestroy())
  const plane = await start(t, [broken.port], { traffic: { delivery: { retry: { ...RETRY, statuses: [503] } } } })
  assert.equal((await ask(t, plane, { method: 'POST', body: 'x' })).status, 502)
  assert.equal(broken.sockets.length, 1)
  const refusing = await answering(t, 503)
  const other = await start(t, [refusing.port], { traffic: { delivery: { retry: { ...RETRY, statuses: [503] } } } })
  assert.equal((await ask(t, other, { method: 'POST', body: 'x' })).body, '503')
  assert.equal(refusing.seen.length, 1)
})

test('statuses that are named are tried again, and the last answer is passed on whole', async (t) => {
  const [failing, alive] = [await answering(t, 503), await echo(t, 'alive')]
  const delivery = { retry: { ...RETRY, statuses: [503] } }
  const retryBudget = { percent: 100, minPerSecond: 100 }
  const plane = await start(t, [failing.port, alive.port], { traffic: { delivery, retryBudget } })
  for (let i = 0; i < 10; i++) assert.equal((await ask(t, plane)).body, 'alive')
  const alone = await start(t, [failing.port], { traffic: { delivery, retryBudget } })
  const before = failing.seen.length
  const answer = await ask(t, alone)
  assert.deepEqual([answer.status, answer.body, failing.seen.length - before], [503, '503', 3])
  assert.equal(alone.requests.at(-1)?.retried, true)
})

test('a body is sent again as it was, and a long one is sent once', async (t) => {
  const seen: string[] = []
  const moody = await httpBackend(t, async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    response.writeHead(seen.push(`${request.url} ${body.length > 20 ? body.length : body}`) % 2 === 1 ? 503 : 200).end()
  })
  const plane = await start(t, [moody.port], {
    traffic: {
      delivery: { retry: { ...RETRY, statuses: [503] } },
      retryBudget: { percent: 100, minPerSecond: 100 },
    },
  })
  for (const body of ['one', 'two']) assert.equal((await ask(t, plane, { method: 'PUT', body })).status, 200)
  assert.deepEqual(seen, ['/ one', '/ one', '/ two', '/ two'])
  seen.length = 0
  const long = await ask(t, plane, { method: 'PUT', path: '/long', body: 'x'.repeat(1_025) })
  assert.deepEqual([long.status, seen], [503, ['/long 1025']])
})

test('retries keep to their budget', async (t) => {
  const failing = await answering(t, 503)
  // No time passes: all of them count.
  const clock = createManualClock()
  const plane = await start(t, [failing.port], {
    clock,
    traffic: {
      delivery: { retry: { ...RETRY, attempts: 5, statuses: [503], backoffMs: 0, maxBackoffMs: 0 } },
      retryBudget: { percent: 20, minPerSecond: 0 },
    },
  })
  for (let i = 0; i < 50; i++) assert.equal((await passing(clock, ask(t, plane), 0)).status, 503)
  assert.ok(failing.seen.length >= 55 && failing.seen.length <= 60, String(failing.seen.length))
})

test('where nobody listens a request is tried elsewhere once, and by policy again after a while', async (t) => {
  const nobody = await freePort()
  const plane = await start(t, [nobody], { traffic: { delivery: { retry: RETRY } } })
  assert.equal((await ask(t, plane)).status, 502)
  assert.equal(plane.requests.at(-1)?.retried, true)
  const off = await start(t, [nobody], { traffic: { delivery: { retry: { ...RETRY, attempts: 0 } } } })
  assert.equal((await ask(t, off)).status, 502)
  assert.equal(off.requests.at(-1)?.retried, false)
})

test('an endpoint that answers 5xx several times in a row gets nothing for a while, and the last one is never put aside', async (t) => {
  const [failing, alive] = [await answering(t, 500), await echo(t, 'alive')]
  const outlier = { serverErrors: 3, failures: 3, ejectionMs: 60_000, maxEjectionMs: 60_000, maxPercent: 50 }
  // By hash, so that how fast each of them answers has no say in who is asked.
  const hash = { from: 'header', name: 'x-user' } as const
  const plane = await start(t, [failing.port, alive.port], { traffic: { outlier, hash } })
  for (let i = 0; i < 60; i++) await ask(t, plane, { headers: [`X-User: u${i}`] })
  assert.equal(failing.seen.length, 3)
  const alone = await start(t, [failing.port], { traffic: { outlier } })
  for (let i = 0; i < 10; i++) assert.equal((await ask(t, alone)).status, 500)
})

test('no more connections are made than an upstream may have, and one that nobody uses makes room', async (t) => {
  const backends = [await echo(t, 'a'), await echo(t, 'b'), await echo(t, 'c')]
  const plane = await start(
    t,
    backends.map(({ port }) => port),
    { traffic: { circuitBreaker: { maxConnections: 2, maxPending: 0 } } },
  )
  for (let i = 0; i < 30; i++) assert.equal((await ask(t, plane)).status, 200)
  await until(() => plane.plane.stats().upstreamConnections <= 2, 'two at most are kept')
  const held: (() => void)[] = []
  const slow = await httpBackend(t, (_, response) => void held.push(() => response.end('late')))
  const bounded = await start(t, [slow.port], { traffic: { circuitBreaker: { maxConnections: 2, maxPending: 0 } } })
  const two = [ask(t, bounded), ask(t, bounded)]
  await until(() => held.length === 2, 'two are under way')
  assert.equal((await ask(t, bounded)).status, 503)
  for (const release of held) release()
  assert.deepEqual(
    (await Promise.all(two)).map(({ status }) => status),
    [200, 200],
  )
})

test('requests with the same header or cookie go to the same endpoint', async (t) => {
  const backends = await Promise.all(['a', 'b', 'c'].map((name) => echo(t, name)))
  const ports = backends.map(({ port }) => port)
  for (const [hash, header] of [
    [{ from: 'header', name: 'x-user' }, (user: number) => `X-User: u${user}`],
    [{ from: 'cookie', name: 'sid' }, (user: number) => `Cookie: other=1; sid=u${user}`],
  ] as const) {
    const plane = await start(t, ports, { traffic: { hash } })
    const homes = new Set<string>()
    for (let user = 0; user < 12; user++) {
      const answers = new Set<string>()
      for (let i = 0; i < 4; i++) answers.add((await ask(t, plane, { headers: [header(user)] })).body)
      assert.equal(answers.size, 1)
      for (const name of answers) homes.add(name)
    }
    assert.ok(homes.size > 1)
  }
})

test('a session stays with its endpoint, says nothing of it, and finds another when that is gone', async (t) => {
  const backends = await Promise.all(['a', 'b', 'c'].map((name) => echo(t, name)))
  const session: Session = { by: 'cookie', name: 'sid', absoluteTimeoutMs: 60_000, isPermanent: true }
  const plane = await start(
    t,
    backends.map(({ port }) => port),
    { action: { session } },
  )
  const first = await ask(t, plane)
  const cookie = first.headers.get('set-cookie') ?? ''
  assert.match(cookie, /^sid=[\w-]{22}\.[0-9a-z]+; Path=\/; HttpOnly; Max-Age=60$/)
  for (const { port } of backends) assert.ok(!cookie.includes(String(port)))
  const said = `Cookie: sid=${/^sid=([^;]+)/.exec(cookie)?.[1]}`
  for (let i = 0; i < 20; i++) {
    const answer = await ask(t, plane, { headers: [said] })
    assert.deepEqual([answer.body, answer.headers.get('set-cookie')], [first.body, undefined])
  }
  const others = backends.filter((_, i) => ['a', 'b', 'c'][i] !== first.body)
  plane.setEndpoints({ [ORDERS]: others.map(({ port }) => endpoint(port)) })
  const moved = await ask(t, plane, { headers: [said] })
  assert.notEqual(moved.body, first.body)
  assert.notEqual(moved.headers.get('set-cookie'), undefined)
  for (const forged of ['x', `${'A'.repeat(22)}.zzzzzz`, `${'A'.repeat(22)}.0`, '']) {
    assert.equal((await ask(t, plane, { headers: [`Cookie: sid=${forged}`] })).status, 200)
  }
})

test('a session by header is told and said in it', async (t) => {
  const backends = await Promise.all(['a', 'b'].map((name) => echo(t, name)))
  const session: Session = { by: 'header', name: 'session', isPermanent: false }
  const plane = await start(
    t,
    backends.map(({ port }) => port),
    { action: { session } },
  )
  const first = await ask(t, plane)
  const token = first.headers.get('session') ?? ''
  for (let i = 0; i < 10; i++) assert.equal((await ask(t, plane, { headers: [`Session: ${token}`] })).body, first.body)
})

const ALL: Mirror = { upstream: 'shop/shadow:80', numerator: 1, denominator: 1 }

test('a copy of each request is sent, body and all, and what becomes of it is never seen', async (t) => {
  const [main, shadow] = [await echo(t, 'main'), await answering(t, 500)]
  const plane = await start(t, [main.port], { action: { mirrors: [ALL] }, shadow: shadow.port })
  for (let i = 0; i < 5; i++) {
    const answer = await ask(t, plane, { method: 'POST', path: `/${i}?q=1`, body: `body-${i}` })
    assert.deepEqual([answer.status, answer.body], [200, 'main'])
  }
  await until(() => shadow.seen.length === 5, 'all copies arrive')
  assert.deepEqual(shadow.seen.toSorted(), main.seen.toSorted())
  await ask(t, plane, { method: 'POST', path: '/long', body: 'x'.repeat(MAX_MIRRORED_BODY_BYTES + 1) })
  await ask(t, plane, { path: '/last' })
  await until(() => shadow.seen.length === 6, 'the last copy arrives')
  assert.ok(!shadow.seen.some((seen) => seen.includes('/long')), 'a long body is not copied')

  const gone = await start(t, [main.port], { action: { mirrors: [ALL] }, shadow: await freePort() })
  assert.equal((await ask(t, gone)).status, 200)
  const none = await start(t, [main.port], { action: { mirrors: [ALL] } })
  assert.equal((await ask(t, none)).status, 200)
})

test('copies that nobody answers are bounded, and hold nobody up', async (t) => {
  const main = await echo(t, 'main')
  const mute = await rawBackend(t)
  const plane = await start(t, [main.port], { action: { mirrors: Array(16).fill(ALL) }, shadow: mute.port })
  for (let i = 0; i < 20; i++) assert.equal((await ask(t, plane)).body, 'main')
  await until(() => mute.sockets.length >= 100, 'copies are under way')
  assert.ok(mute.sockets.length <= 128, String(mute.sockets.length))
})

test('the share of the requests that is copied is the one that was asked for', async (t) => {
  const [main, shadow] = [await echo(t, 'main'), await echo(t, 'shadow')]
  const half = { ...ALL, numerator: 50, denominator: 100 }
  const plane = await start(t, [main.port], { action: { mirrors: [half] }, shadow: shadow.port })
  for (let i = 0; i < 100; i++) await ask(t, plane)
  await until(() => shadow.seen.length >= 20, 'copies arrive')
  assert.ok(shadow.seen.length <= 80, String(shadow.seen.length))
})
