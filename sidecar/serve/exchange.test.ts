import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { before, type TestContext, test } from 'node:test'
import { createManualClock, type ManualClock } from '../../runtime/manual-clock.ts'
import { testId } from '../identity/testing/test-identity.ts'
import type { Limits } from './limits.ts'
import { type Backend, httpBackend, type RawBackend, rawBackend } from './testing/backend.ts'
import { dialMesh, dialPlain, get, type TestClient } from './testing/client.ts'
import { until } from './testing/until.ts'
import {
  createTestMesh,
  endpoint,
  forwardTo,
  type GateConfig,
  gateSlots,
  gateway,
  inbound,
  LOOPBACK,
  meshUpstream,
  plaintextUpstream,
  route,
  startBehindGateway,
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

/** One plaintext listener in front of a backend, and a client of it. */
async function startPair(
  t: TestContext,
  backend: Backend,
  {
    gated = {},
    limits = {},
    timeoutMs = 60_000,
    clock,
  }: { gated?: GateConfig; limits?: Partial<Limits>; timeoutMs?: number; clock?: ManualClock } = {},
): Promise<{ readonly plane: TestPlane; readonly client: TestClient; dial(): Promise<TestClient> }> {
  const action = { ...forwardTo('shop/orders:80'), requestTimeoutMs: timeoutMs }
  const plane = await startGateway(t, mesh, backend.port, {
    listeners: [gateway({ routes: [route(action, { filters: gateSlots(gated) })] })],
    limits,
    ...(clock !== undefined && { clock }),
  })
  const dial = async () => {
    const client = await dialPlain(plane.port('http'))
    t.after(() => client.destroy())
    return client
  }
  return { plane, client: await dial(), dial }
}

function post(body: string, lines: readonly string[] = []): string {
  return `POST / HTTP/1.1\r\nHost: a.example\r\n${lines.map((line) => `${line}\r\n`).join('')}Content-Length: ${body.length}\r\n\r\n${body}`
}

function chunked(...chunks: readonly string[]): string {
  const coded = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')
  return `POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n${coded}0\r\n\r\n`
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

test('large bodies pass whole through two sidecars in both directions at once, whatever their framing', async (t) => {
  const app = await httpBackend(t, (request, response) => request.pipe(response))
  const plane = await startBehindGateway(t, mesh, app.port)
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  const body = randomBytes(1024 * 1024).toString('base64')
  assert.equal((await client.request(post(body))).body, body)
  const pieces = body.match(/.{1,50000}/gs) ?? []
  assert.equal((await client.request(chunked(...pieces))).body, body)
  assert.equal((await client.request(post(''))).body, '')
  assert.equal((await client.request(chunked())).body, '')
  await until(() => plane.requests.length === 4, 'all are told of')
  assert.deepEqual(
    plane.requests.map(({ bytesIn, bytesOut }) => [bytesIn, bytesOut]),
    [
      [body.length, body.length],
      [body.length, body.length],
      [0, 0],
      [0, 0],
    ],
  )
})

test('head and body that come together go out in one write, each way', async (t) => {
  const reads: string[] = []
  const app = await rawBackend(t, (text, socket) => {
    reads.push(text)
    socket.write(OK)
  })
  const { client } = await startPair(t, app)
  assert.equal((await client.request(post('hello'))).body, 'ok')
  assert.equal((await client.request(chunked('he', 'llo'))).body, 'ok')
  assert.equal(reads.length, 2)
  assert.match(reads[0]!, /content-length: 5\r\n[\s\S]*\r\n\r\nhello$/)
  assert.match(reads[1]!, /transfer-encoding: chunked\r\n[\s\S]*\r\n\r\n5\r\nhello\r\n0\r\n\r\n$/)
})

test('trailers and chunk extensions are dropped both ways', async (t) => {
  const app = await rawBackend(t, (_text, socket) =>
    socket.write(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-t\r\n\r\n2;a=b\r\nok\r\n0\r\nX-T: 1\r\n\r\n',
    ),
  )
  const { client } = await startPair(t, app)
  client.send(
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x-t\r\n\r\n2;a=b\r\nhi\r\n0\r\nX-T: 1\r\n\r\n',
  )
  const response = await client.response()
  assert.equal(response.body, 'ok')
  assert.equal(response.headers.get('trailer'), undefined)
  assert.doesNotMatch(app.received(), /x-t|a=b|trailer/i)
})

test('responses without a body are told as they are: HEAD, 204, 304', async (t) => {
  const app = await rawBackend(t, (text, socket) => {
    if (text.startsWith('HEAD')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n')
    else if (text.startsWith('GET /304'))
      socket.write('HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: "a"\r\n\r\n')
    else if (text.startsWith('GET /204')) socket.write('HTTP/1.1 204 No Content\r\n\r\n')
    else socket.write(OK)
  })
  const { client } = await startPair(t, app)
  const head = await client.request('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n', { toHead: true })
  assert.equal(head.headers.get('content-length'), '1000')
  const notModified = await client.request(get('/304'))
  assert.equal(notModified.headers.get('content-length'), '7')
  const none = await client.request(get('/204'))
  assert.equal(none.headers.get('content-length'), undefined)
  assert.equal(none.headers.get('transfer-encoding'), undefined)
  assert.equal((await client.request(get('/'))).body, 'ok')
  // What told of a body that it did not send may send it yet; a 204 tells of none.
  assert.equal(app.sockets.length, 3)
})

test('a client of HTTP/1.0 gets a body that ends with the connection, and no 1xx', async (t) => {
  const app = await rawBackend(t, (_text, socket) =>
    socket.write(
      'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    ),
  )
  const { client } = await startPair(t, app)
  client.send('GET / HTTP/1.0\r\nHost: a\r\n\r\n')
  const response = await client.response()
  assert.equal(response.status, 200)
  assert.equal(response.body, 'ok')
  assert.equal(response.headers.get('connection'), 'close')
  assert.equal(response.headers.get('transfer-encoding'), undefined)
  await client.closed()
})

test('a response that ends with its connection is chunked towards the client, and the client stays connected', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nsome text'))
  const { client } = await startPair(t, app)
  for (let i = 0; i < 2; i++) {
    const response = await client.request(get('/'))
    assert.equal(response.body, 'some text')
    assert.equal(response.headers.get('transfer-encoding'), 'chunked')
  }
  assert.equal(app.sockets.length, 2)
})

test('pipelined requests are answered one after the other, in order', async (t) => {
  let inFlight = 0
  const app = await httpBackend(t, (request, response) => {
    assert.equal(++inFlight, 1)
    setImmediate(() => {
      inFlight -= 1
      response.end(request.url)
    })
  })
  const { client } = await startPair(t, app, { gated: { later: true } })
  client.send(get('/1') + post('body').replace('POST /', 'POST /2') + get('/3') + get('/4').slice(0, 10))
  for (const path of ['/1', '/2', '/3']) assert.equal((await client.response()).body, path)
  client.send(get('/4').slice(10))
  assert.equal((await client.response()).body, '/4')
  assert.equal(app.sockets.length, 1)
})

test('a request may come octet by octet', async (t) => {
  const app = await httpBackend(t, (request, response) => request.pipe(response))
  const { client } = await startPair(t, app)
  for (const octet of chunked('hello', ' world')) {
    client.send(octet)
    await new Promise(setImmediate)
  }
  assert.equal((await client.response()).body, 'hello world')
})

test('what a policy sets and removes is what the application gets and the client sees', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const { client } = await startPair(t, app, {
    gated: {
      setRequestHeaders: [['x-dept', 'sales']],
      removeRequestHeaders: ['authorization'],
      setResponseHeaders: [['strict-transport-security', 'max-age=1']],
    },
  })
  const response = await client.request(get('/', ['Authorization: Bearer secret', 'X-Dept: forged', 'x_dept: forged']))
  assert.equal(response.headers.get('strict-transport-security'), 'max-age=1')
  assert.match(app.received(), /x-dept: sales\r\n/)
  assert.doesNotMatch(app.received(), /secret|forged/)
})

test('a policy may answer itself, with the headers that policies set', async (t) => {
  const app = await rawBackend(t)
  const { plane, client } = await startPair(t, app, {
    gated: { answer: { status: 204 }, setResponseHeaders: [['vary', 'origin']] },
  })
  const response = await client.request(get('/'))
  assert.equal(response.status, 204)
  assert.equal(response.headers.get('vary'), 'origin')
  assert.equal(response.headers.get('content-length'), undefined)
  assert.equal(plane.requests[0]?.outcome, 'answered')
  assert.equal(app.sockets.length, 0)
})

test('a policy that never decides is a refusal after a while', async (t) => {
  const app = await rawBackend(t)
  let isJudged = false
  const clock = createManualClock()
  const seen = () => {
    isJudged = true
  }
  const { client } = await startPair(t, app, { gated: { never: true, seen }, limits: { headMs: 150 }, clock })
  const answered = client.request(get('/'))
  await until(() => isJudged, 'it is asked')
  await clock.advance(400)
  const response = await answered
  assert.equal(response.status, 503)
  assert.equal(JSON.parse(response.body).denial, 'decision-timeout')
  assert.equal(app.sockets.length, 0)
})

test('a refused request keeps its connection if its body is short, and loses it otherwise', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const { client, dial, plane } = await startPair(t, app, { gated: { denyPath: '/' } })
  const slow = post('x'.repeat(1_000))
  client.send(slow.slice(0, 200))
  assert.equal((await client.response()).status, 403)
  client.send(slow.slice(200))
  assert.equal((await client.request(get('/other'))).status, 200)
  assert.equal(plane.requests[0]?.outcome, 'denied')

  const long = await dial()
  long.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nfirst')
  const refused = await long.response()
  assert.equal(refused.status, 403)
  assert.equal(refused.headers.get('connection'), 'close')
  await long.closed()

  const waiting = await dial()
  waiting.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n')
  const instead = await waiting.response()
  assert.equal(instead.status, 403)
  assert.equal(instead.headers.get('connection'), 'close')
  assert.doesNotMatch(app.received(), /POST/)
})

test('100-continue: the client waits for the application, which may also refuse', async (t) => {
  const app = await rawBackend(t, (text, socket) => {
    if (text.includes('/yes')) socket.write('HTTP/1.1 100 Continue\r\n\r\n')
    else if (text.includes('/no')) socket.write('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n')
    else socket.write(OK)
  })
  const { client, dial } = await startPair(t, app)
  const head = (path: string) => `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n`
  assert.equal((await client.request(head('/yes'))).status, 100)
  assert.doesNotMatch(app.received(), /body/)
  assert.equal((await client.request('body')).status, 200)
  assert.match(app.received(), /expect: 100-continue\r\n[\s\S]*body$/i)

  const refused = await dial()
  const response = await refused.request(head('/no'))
  assert.equal(response.status, 417)
  assert.equal(response.headers.get('connection'), 'close')
  await refused.closed()
})

test('interim responses are passed on to those who know them, and a flood of them is no answer', async (t) => {
  const hint = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'
  const app = await rawBackend(t, (text, socket) =>
    socket.write(text.includes('/flood') ? hint.repeat(100) + OK : `HTTP/1.1 100 Continue\r\n\r\n${hint}${OK}`),
  )
  const { client } = await startPair(t, app)
  const early = await client.request(get('/'))
  assert.equal(early.status, 103)
  assert.equal(early.headers.get('link'), '</a>')
  assert.equal((await client.response()).body, 'ok')
  client.send(get('/flood'))
  let last = await client.response()
  for (let i = 0; i < 20 && last.status === 103; i++) last = await client.response()
  assert.equal(last.status, 502)
  assert.equal(JSON.parse(last.body).denial, 'upstream-protocol')
})

test('an answer before the request is whole is passed on, and neither connection is used again', async (t) => {
  const app = await rawBackend(t, (text, socket) => {
    if (text.startsWith('POST')) socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig')
    else socket.write(OK)
  })
  const { client, dial } = await startPair(t, app)
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nfirst')
  const response = await client.response()
  assert.equal(response.status, 413)
  assert.equal(response.body, 'big')
  assert.equal(response.headers.get('connection'), 'close')
  await client.closed()
  assert.equal((await (await dial()).request(get('/'))).status, 200)
  assert.equal(app.sockets.length, 2)
})

test('F14: a body that breaks off is never a whole one to the client, whatever its framing', async (t) => {
  const heads = {
    length: 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart',
    chunked: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n',
    bad: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nzz\r\n',
  }
  const app = await rawBackend(t, (text, socket) => {
    const kind = /GET \/(\w+)\/(\w+)/.exec(text)
    socket.write(heads[kind?.[1] as keyof typeof heads])
    if (kind?.[2] === 'reset') setImmediate(() => socket.resetAndDestroy())
    else socket.end()
  })
  const { dial, plane } = await startPair(t, app)
  for (const path of ['/length/end', '/length/reset', '/chunked/end', '/chunked/reset', '/bad/end']) {
    for (const version of ['1.1', '1.0']) {
      const client = await dial()
      client.send(`GET ${path} HTTP/${version}\r\nHost: a\r\n\r\n`)
      const isRefused = () => client.received.includes(' 502 ')
      await until(() => client.isClosed || client.hasEnded || isRefused(), `${path} is closed`)
      // Nothing of it had been passed on yet.
      if (isRefused()) continue
      const text = client.received.toString('latin1')
      assert.ok(text === '' || text.endsWith('part') || text.endsWith('part\r\n'), `${path} ${version}: ${text}`)
      // Where nothing else tells where the body ends, a reset does.
      if (version === '1.0' && path.startsWith('/chunked')) assert.equal(client.hasEnded, false, path)
    }
  }
  assert.ok(plane.requests.every(({ outcome }) => outcome === 'failed'))
  assert.equal(plane.plane.stats().upstreamConnections, 0)
})

test('F14: what a backend sends beyond its answer never reaches a client, and its connection is not used again', async (t) => {
  const app = await rawBackend(t, (_text, socket) =>
    socket.write(`${OK}HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsmuggle`),
  )
  const late = await rawBackend(t, (_text, socket) => {
    socket.write(OK)
    setImmediate(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsmuggle'))
  })
  for (const backend of [app, late]) {
    const { client } = await startPair(t, backend)
    for (let i = 1; i <= 3; i++) {
      assert.equal((await client.request(get('/'))).body, 'ok')
      await until(() => backend.sockets[i - 1]!.destroyed || backend.sockets[i - 1]!.readableEnded, 'it is closed')
    }
    assert.equal(backend.sockets.length, 3)
    assert.equal(client.received.length, 0)
  }
})

test('T15: a body that comes late behind an answer to HEAD, or behind a 304, is never the answer to the next request', async (t) => {
  const owing = new Set<Socket>()
  const app = await rawBackend(t, (text, socket) => {
    if (text.startsWith('GET /next')) {
      return void socket.write(owing.has(socket) ? 'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned' : OK)
    }
    owing.add(socket)
    socket.write(`HTTP/1.1 ${text.startsWith('HEAD') ? '200 OK' : '304 Not Modified'}\r\nContent-Length: 46\r\n\r\n`)
  })
  const plane = await startGateway(t, mesh, app.port)
  for (const first of ['HEAD /', 'GET /cached']) {
    const client = await dialPlain(plane.port('http'))
    t.after(() => client.destroy())
    client.send(`${first} HTTP/1.1\r\nHost: a\r\n\r\n${get('/next')}`)
    await client.response({ toHead: true })
    assert.equal((await client.response()).body, 'ok', first)
  }
})

test('T15: response splitting and smuggling by a hostile backend is 502', async (t) => {
  const hostile = [
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 200 OK\nContent-Length: 0\n\n',
    'HTTP/1.1 200 OK\r\n folded: a\r\nContent-Length: 0\r\n\r\n',
    'HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n',
    'garbage that is no response at all\r\n\r\n',
    `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`,
  ]
  let next = 0
  const app = await rawBackend(t, (_text, socket) => socket.write(hostile[next]!))
  const { client, plane } = await startPair(t, app)
  for (next = 0; next < hostile.length; next++) {
    const response = await client.request(get('/'))
    assert.equal(response.status, 502, hostile[next])
    assert.equal(JSON.parse(response.body).denial, 'upstream-protocol')
  }
  assert.equal(plane.plane.stats().upstreamIdle, 0)
  assert.equal(client.received.length, 0)
})

test('T15: a smuggled request never reaches the backend, and the connection that tried is closed', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const { dial } = await startPair(t, app)
  const SMUGGLED = 'GET /admin HTTP/1.1\r\nHost: a\r\n\r\n'
  const POST = 'POST / HTTP/1.1\r\nHost: a\r\n'
  for (const attack of [
    `${POST}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    `${POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n${SMUGGLED}0\r\n\r\n`,
    `${POST}Content-Length: 0\r\nContent-Length: 33\r\n\r\n${SMUGGLED}`,
    `${POST}Content-Length: 0, 33\r\n\r\n${SMUGGLED}`,
    `${POST}Content-Length : 0\r\n\r\n${SMUGGLED}`,
    `${POST}Content-Length: +0\r\n\r\n${SMUGGLED}`,
    `${POST}Transfer-Encoding: xchunked\r\n\r\n${SMUGGLED}`,
    `${POST}Transfer-Encoding:\x0bchunked\r\n\r\n${SMUGGLED}`,
    `${POST}Transfer-Encoding: chunked\r\n\r\n0;\n\r\n${SMUGGLED}`,
    `${POST}Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n${SMUGGLED}`,
    `${POST}Transfer-Encoding: chunked\r\n\r\n1\r\nAX\r\n0\r\n\r\n${SMUGGLED}`,
    `GET / HTTP/1.1\nHost: a\n\n${SMUGGLED}`,
    `GET / HTTP/1.1\r\nHost: a\r\nX: y\r ${SMUGGLED}\r\n\r\n`,
    `GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n${SMUGGLED}`,
    `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${SMUGGLED}`,
  ]) {
    const client = await dial()
    client.send(attack)
    const response = await client.response()
    assert.ok(response.status >= 400, `${JSON.stringify(attack)} got ${response.status}`)
    await client.closed()
    assert.equal(client.received.length, 0)
  }
  assert.doesNotMatch(app.received(), /admin/)
})

test('T16: too many or too long headers are 431 and close; names of Object.prototype are just names', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const { client, dial } = await startPair(t, app)
  const odd = ['__proto__: 1', 'constructor: 2', 'toString: 3', 'hasOwnProperty: 4']
  assert.equal((await client.request(get('/', odd))).status, 200)
  for (const line of odd) assert.ok(app.received().includes(line), line)
  for (const lines of [Array.from({ length: 101 }, (_, i) => `x-${i}: 1`), [`x: ${'a'.repeat(20_000)}`]]) {
    const abusive = await dial()
    const response = await abusive.request(get('/', lines))
    assert.equal(response.status, 431)
    await abusive.closed()
  }
})

test('F13: a backend that does not answer is 504 in time, and the others are unaffected', async (t) => {
  const app = await rawBackend(t, (text, socket) => {
    if (!text.includes('/slow')) socket.write(OK)
  })
  const clock = createManualClock()
  const { client, dial, plane } = await startPair(t, app, { timeoutMs: 2_000, clock })
  const slow = client.request(get('/slow'))
  await app.waitFor('/slow')
  const other = await dial()
  assert.equal((await other.request(get('/'))).status, 200)
  await clock.advance(2_200)
  const response = await slow
  assert.equal(response.status, 504)
  assert.equal(JSON.parse(response.body).denial, 'upstream-timeout')
  assert.equal((await client.request(get('/'))).status, 200)
  assert.ok(plane.plane.stats().inFlight === 0)
})

test('F13: what is in flight is bounded: more is refused at once, and told when to come back', async (t) => {
  const held: Socket[] = []
  const app = await rawBackend(t, (_text, socket) => held.push(socket))
  const { dial } = await startPair(t, app, { limits: { maxInFlight: 3 } })
  const waiting: TestClient[] = []
  for (let i = 0; i < 3; i++) {
    const client = await dial()
    client.send(get('/'))
    waiting.push(client)
  }
  await until(() => held.length === 3, 'three are in flight')
  const refused = await (await dial()).request(get('/'))
  assert.equal(refused.status, 503)
  assert.equal(refused.headers.get('retry-after'), '1')
  assert.equal(JSON.parse(refused.body).denial, 'overloaded')
  for (const socket of held) socket.write(OK)
  for (const client of waiting) assert.equal((await client.response()).status, 200)
})

test('connections to one endpoint are bounded: more is 503', async (t) => {
  const held: Socket[] = []
  const app = await rawBackend(t, (_text, socket) => held.push(socket))
  const { client, dial } = await startPair(t, app, { limits: { maxConnectionsPerEndpoint: 1 } })
  client.send(get('/'))
  await until(() => held.length === 1, 'one is in flight')
  const refused = await (await dial()).request(get('/'))
  assert.equal(refused.status, 503)
  assert.equal(JSON.parse(refused.body).denial, 'upstream-overflow')
  held[0]!.write(OK)
  assert.equal((await client.response()).status, 200)
})

test('a kept connection that turns out to be closed is tried once more for what may be repeated, and only for that', async (t) => {
  let closeNext = false
  const app = await rawBackend(t, (_text, socket) => {
    if (closeNext) {
      closeNext = false
      return void socket.destroy()
    }
    socket.write(OK)
  })
  const { client, plane } = await startPair(t, app)
  for (const [request, status] of [
    [get('/'), 200],
    ['DELETE / HTTP/1.1\r\nHost: a\r\n\r\n', 200],
    ['POST / HTTP/1.1\r\nHost: a\r\n\r\n', 502],
    [post('body'), 502],
    [post('body').replace('POST', 'PUT'), 502],
  ] as const) {
    closeNext = false
    assert.equal((await client.request(get('/warm'))).status, 200)
    closeNext = true
    const response = await client.request(request)
    assert.equal(response.status, status, request)
    if (status === 502) assert.equal(JSON.parse(response.body).denial, 'upstream-reset')
  }
  assert.equal(plane.requests.filter(({ retried }) => retried).length, 2)
})

test('a new connection that is closed without an answer is not tried again', async (t) => {
  const app = await rawBackend(t, (_text, socket) => void socket.destroy())
  const { client } = await startPair(t, app)
  assert.equal((await client.request(get('/'))).status, 502)
  assert.equal(app.sockets.length, 1)
})

test('an endpoint that cannot be connected to is passed over, and after a few times put aside', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const plane = await startGateway(t, mesh, app.port, {
    endpoints: { 'shop/orders:80': [endpoint(app.port), endpoint(1)] },
    // Who is put aside stays there.
    clock: createManualClock(),
  })
  let retried = 0
  for (let i = 0; i < 40; i++) {
    const client = await dialPlain(plane.port('http'))
    assert.equal((await client.request(get('/', ['Connection: close']))).status, 200)
    client.destroy()
    retried = plane.requests.filter((record) => record.retried).length
  }
  assert.equal(retried, 3)
})

test('endpoints that come and go are followed, and what is in flight ends where it is', async (t) => {
  const held: Socket[] = []
  const first = await rawBackend(t, (_text, socket) => held.push(socket))
  const second = await rawBackend(t, (_text, socket) => socket.write(OK.replace('ok', '2.')))
  const plane = await startGateway(t, mesh, first.port)
  const a = await dialPlain(plane.port('http'))
  const b = await dialPlain(plane.port('http'))
  t.after(() => {
    a.destroy()
    b.destroy()
  })
  a.send(get('/'))
  await until(() => held.length === 1, 'the first has the request')
  plane.setEndpoints({ 'shop/orders:80': [endpoint(second.port)] })
  assert.equal((await b.request(get('/'))).body, '2.')
  held[0]!.write(OK)
  assert.equal((await a.response()).body, 'ok')
  await until(() => first.sockets[0]!.readableEnded, 'its connection is not kept')
})

test('a config swap closes nothing: requests in flight end by the old one, the next by the new one', async (t) => {
  const app = await rawBackend(t, (text, socket) => {
    if (!text.includes('/slow')) socket.write(OK)
  })
  const { plane, client } = await startPair(t, app)
  client.send(get('/slow'))
  await app.waitFor('/slow')
  const closed = gateway({
    routes: [route(forwardTo('shop/orders:80'), { filters: gateSlots({ spiffeIds: [] }) })],
  })
  await plane.swap(workloadConfig([closed], { role: 'gateway', upstreams: { 'shop/orders:80': plaintextUpstream() } }))
  app.sockets[0]!.write(OK)
  assert.equal((await client.response()).status, 200)
  assert.equal((await client.request(get('/'))).status, 403)
})

test('a reader that does not read holds the backend back, and memory stays bounded', async (t) => {
  const app: RawBackend = await rawBackend(t, () => {})
  const { client } = await startPair(t, app)
  client.send(get('/'))
  await until(() => app.sockets.length === 1, 'the backend is connected')
  client.socket.pause()
  const [socket] = app.sockets
  const size = 256 * 1024 * 1024
  socket!.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
  const chunk = Buffer.alloc(64 * 1024)
  let written = 0
  while (socket!.writableLength < 1024 * 1024 && written < size) {
    socket!.write(chunk)
    written += chunk.length
    await new Promise(setImmediate)
  }
  assert.ok(written < 64 * 1024 * 1024, `the backend could write ${written}`)
})

test('an upload that the backend does not take holds the client back', async (t) => {
  const app = await rawBackend(t)
  const { client } = await startPair(t, app)
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 268435456\r\n\r\n')
  await until(() => app.sockets.length === 1, 'the backend is connected')
  app.sockets[0]!.pause()
  const chunk = Buffer.alloc(64 * 1024)
  let written = 0
  while (client.socket.writableLength < 1024 * 1024 && written < 268_435_456) {
    client.send(chunk)
    written += chunk.length
    await new Promise(setImmediate)
  }
  assert.ok(written < 64 * 1024 * 1024, `the client could write ${written}`)
})

test('a client that goes away takes its request to the backend with it', async (t) => {
  const app = await rawBackend(t)
  const { plane, client } = await startPair(t, app)
  client.send(get('/'))
  await until(() => app.sockets.length === 1 && app.received() !== '', 'the backend has it')
  client.socket.resetAndDestroy()
  await until(() => app.sockets[0]!.readableEnded || app.sockets[0]!.destroyed, 'the backend sees that')
  await until(() => plane.requests.length === 1, 'it is told of')
  assert.equal(plane.requests[0]?.outcome, 'aborted')
  assert.equal(plane.plane.stats().inFlight, 0)
})

test('a client that goes away while its request waits for a connection is no failure of the endpoint', async (t) => {
  // Accepts, and never shakes hands.
  const mute = await rawBackend(t)
  const plane = await startGateway(t, mesh, mute.port, {
    config: { upstreams: { 'shop/orders:80': meshUpstream('orders') } },
    endpoints: { 'shop/orders:80': [endpoint(mute.port), endpoint(mute.port)] },
    limits: { connectMs: 60_000 },
  })
  for (let i = 0; i < 4; i++) {
    const client = await dialPlain(plane.port('http'))
    client.send(get('/'))
    await until(() => plane.plane.stats().inFlight === 1 && mute.sockets.length === 1, 'it waits for the connection')
    client.socket.resetAndDestroy()
    await until(() => plane.requests.length === i + 1, 'it is told of')
  }
  assert.deepEqual(new Set(plane.requests.map(({ outcome }) => outcome)), new Set(['aborted']))
  assert.deepEqual(new Set(plane.requests.map(({ retried }) => retried)), new Set([false]))
  for (const socket of mute.sockets) socket.destroy()
  await until(() => plane.plane.stats().upstreamConnections === 0, 'nothing is left')
})

test('a client that has sent all it has may close its side and still gets the answer', async (t) => {
  const app = await httpBackend(t, (_request, response) => setImmediate(() => response.end('late')))
  const { client } = await startPair(t, app)
  client.send(get('/'))
  client.socket.end()
  assert.equal((await client.response()).body, 'late')
  await client.closed()
})

test('no record and no problem holds a token, a cookie or a query', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const { plane, client } = await startPair(t, app, { gated: { denyPath: '/denied' } })
  const secrets = ['Authorization: Bearer s3cret', 'Cookie: sid=s3cret']
  await client.request(get('/?token=s3cret', secrets))
  const denied = await client.request(get('/denied?token=s3cret', secrets))
  assert.doesNotMatch(denied.head + denied.body, /s3cret/)
  assert.doesNotMatch(JSON.stringify(plane.requests), /s3cret/)
  assert.equal(plane.requests[0]?.path, '/')
})

test('the peer of an upstream must be who is expected also after the expectation changed', async (t) => {
  const app = await httpBackend(t, (_request, response) => response.end())
  const workload = await startPlane(t, {
    config: workloadConfig([inbound(8080)]),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
    identity: await mesh.identity('orders'),
  })
  const configFor = (name: string) =>
    workloadConfig([gateway()], {
      role: 'gateway',
      upstreams: { 'shop/orders:80': { ...meshUpstream('orders'), spiffeIds: [testId(name)] } },
    })
  const plane = await startGateway(t, mesh, workload.port('8080'), { config: configFor('orders') })
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  assert.equal((await client.request(get('/'))).status, 200)
  await plane.swap(configFor('payments'))
  assert.equal((await client.request(get('/'))).status, 502)
})

test('nothing is bound before there is a config, and what a config takes away is closed', async (t) => {
  const plane = await startPlane(t, {
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: 1 } }] },
    identity: await mesh.identity('orders'),
  })
  assert.deepEqual(plane.plane.listeners(), [])
  await plane.swap(workloadConfig([inbound(8080)]))
  const client = await dialMesh(plane.port('8080'), await mesh.identity('storefront'), testId('orders'))
  t.after(() => client.destroy())
  assert.equal((await client.request(get('/'))).status, 502)
  await plane.swap(workloadConfig([]))
  assert.deepEqual(plane.plane.listeners(), [])
  assert.equal((await client.request(get('/'))).status, 503)
})
