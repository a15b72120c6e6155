import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ClientHttp2Session } from 'node:http2'
import { before, type TestContext, test } from 'node:test'
import { WebSocketServer } from 'ws'
import type { GatewayListener } from '../../contract/workload-config.ts'
import { createManualClock, type ManualClock } from '../../runtime/manual-clock.ts'
import { testId } from '../identity/testing/test-identity.ts'
import type { Limits } from './limits.ts'
import { type Backend, http2Backend, httpBackend, listen, rawBackend } from './testing/backend.ts'
import { dialMesh, dialPlain, dialTls, get } from './testing/client.ts'
import { connectHttp2, connectHttp2Mesh, connectHttp2Tls, exchange, read } from './testing/http2-client.ts'
import { passing, passUntil, until } from './testing/until.ts'
import {
  createTestMesh,
  forwardTo,
  type GateConfig,
  gateSlots,
  gateway,
  inbound,
  LOOPBACK,
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

const HOST = 'shop.example'

async function https(hostname = HOST, more: Partial<GatewayListener> = {}): Promise<GatewayListener> {
  const { chain, privateKey } = await mesh.ca.issue({ uris: [], dnsNames: [hostname] })
  const certificate = { source: 'secret' as const, name: hostname, certificate: chain, privateKey }
  return gateway({ name: 'https', port: 443, protocol: 'https', hostname, certificates: [certificate], ...more })
}

/** A gateway over TLS in front of a backend, and a client of it that speaks HTTP/2. */
async function startPair(
  t: TestContext,
  backend: Backend,
  {
    gated = {},
    limits = {},
    timeoutMs = 60_000,
    clock,
  }: { gated?: GateConfig; limits?: Partial<Limits>; timeoutMs?: number; clock?: ManualClock } = {},
): Promise<{ readonly plane: TestPlane; readonly session: ClientHttp2Session; dial(): Promise<ClientHttp2Session> }> {
  const action = { ...forwardTo('shop/orders:80'), requestTimeoutMs: timeoutMs }
  const routes = [route(action, { filters: gateSlots(gated) })]
  const plane = await startGateway(t, mesh, backend.port, {
    listeners: [await https(HOST, { routes })],
    limits,
    ...(clock !== undefined && { clock }),
  })
  const dial = () =>
    connectHttp2Tls(t, { host: '127.0.0.1', port: plane.port('https'), ca: mesh.ca.root, servername: HOST })
  return { plane, session: await dial(), dial }
}

function to(path: string, more: Record<string, string | readonly string[]> = {}) {
  return { ':authority': HOST, ':path': path, ...more }
}

test('a gateway speaks HTTP/2 to clients that offer it, and HTTP/1.1 to its upstream', async (t) => {
  const app = await httpBackend(t, (request, response) => {
    response.setHeader('x-seen', `${request.method} ${request.url} ${request.headers.host} ${request.httpVersion}`)
    request.pipe(response)
  })
  const { plane, session } = await startPair(t, app)
  const responses = await Promise.all([
    exchange(session, to('/a?b')),
    exchange(session, to('/', { ':method': 'POST' }), 'x'.repeat(300_000)),
    exchange(session, to('/', { ':method': 'POST', 'content-length': '5' }), 'hello'),
    exchange(session, to('/', { ':method': 'HEAD' })),
  ])
  assert.deepEqual(
    responses.map(({ status, body }) => [status, body.length]),
    [
      [200, 0],
      [200, 300_000],
      [200, 5],
      [200, 0],
    ],
  )
  assert.equal(responses[0]?.headers['x-seen'], `GET /a?b ${HOST} 1.1`)
  assert.deepEqual(plane.requests.map(({ outcome, bytesIn }) => `${outcome} ${bytesIn}`).sort(), [
    'allowed 0',
    'allowed 0',
    'allowed 300000',
    'allowed 5',
  ])
})

test('a client that offers only HTTP/1.1 to the gateway is spoken to in that', async (t) => {
  const app = await httpBackend(t, (_request, response) => response.end('ok'))
  const plane = await startGateway(t, mesh, app.port, { listeners: [await https()] })
  const port = plane.port('https')
  for (const offered of [undefined, ['http/1.1']]) {
    const client = await dialTls({
      host: '127.0.0.1',
      port,
      ca: mesh.ca.root,
      servername: HOST,
      ...(offered && { ALPNProtocols: offered }),
    })
    assert.equal((await client.request(get('/', [], HOST))).body, 'ok')
    client.destroy()
  }
})

test('a peer in the mesh is known by its certificate on each of its streams, and refused on one alone', async (t) => {
  const app = await httpBackend(t, (request, response) => response.end(request.headers['x-forwarded-client-cert']))
  const plane = await startPlane(t, {
    config: workloadConfig([inbound(8080, {}, { spiffeIds: [testId('storefront')], denyPath: '/no' })]),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
    identity: await mesh.identity('orders'),
  })
  const session = await connectHttp2Mesh(t, plane.port('8080'), await mesh.identity('storefront'), testId('orders'))
  const [yes, no] = await Promise.all([exchange(session, to('/')), exchange(session, to('/no'))])
  assert.equal(yes?.status, 200)
  assert.match(yes?.body ?? '', /URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/storefront$/)
  assert.equal(no?.status, 403)
  assert.equal(JSON.parse(no?.body ?? '').denial, 'gate-shut')
  const other = await connectHttp2Mesh(t, plane.port('8080'), await mesh.identity('catalog'), testId('orders'))
  assert.equal((await exchange(other, to('/'))).status, 403)
  assert.deepEqual(plane.requests.map(({ spiffeId, status }) => [spiffeId, status]).sort(), [
    [testId('catalog'), 403],
    [testId('storefront'), 200],
    [testId('storefront'), 403],
  ])
})

test('what waits of one stream is not written over by what other clients send', async (t) => {
  const app = await httpBackend(t, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => response.end(`${request.url} ${Buffer.concat(chunks).toString('latin1')}`))
  })
  const { session, dial } = await startPair(t, app)
  const sessions = [session, ...(await Promise.all([dial(), dial(), dial(), dial(), dial()]))]
  // Each has a connection to the application to be made first, and until then what came with its head waits.
  const answers = await Promise.all(
    sessions.map((client, i) => exchange(client, to(`/${i}`, { ':method': 'POST' }), `${i}`.repeat(9_000))),
  )
  for (const [i, { status, body }] of answers.entries()) {
    assert.equal(status, 200)
    assert.ok(body === `/${i} ${`${i}`.repeat(9_000)}`, `the body of ${i}`)
  }
})

test('a port of an application that speaks HTTP/2 takes the preface and HTTP/1.1 in plaintext, another port no preface', async (t) => {
  const app = await http2Backend(t, (request, response) => response.end(request.method))
  const bind = { bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }
  const plane = await startPlane(t, {
    config: workloadConfig([
      inbound(8080, { mtls: 'Disabled', appProtocol: 'http2' }),
      inbound(8081, { mtls: 'Disabled' }),
    ]),
    placement: {
      inbound: [
        { containerPort: 8080, ...bind },
        { containerPort: 8081, ...bind },
      ],
    },
    identity: await mesh.identity('orders'),
  })
  const session = await connectHttp2(t, plane.port('8080'))
  assert.equal((await exchange(session, to('/'))).body, 'GET')
  const client = await dialPlain(plane.port('8080'))
  t.after(() => client.destroy())
  for (const piece of ['P', 'RO', 'PFIND / HTTP/1.1\r\nHost: a\r\n\r\n']) client.send(piece)
  assert.equal((await client.response()).body, 'PROPFIND')
  const refused = await dialPlain(plane.port('8081'))
  t.after(() => refused.destroy())
  assert.equal((await refused.request('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')).status, 501)
})

test('F20: a caller that carries HTTP/2 as opaque bytes is read all the same, by every policy', async (t) => {
  const app = await http2Backend(t, (_request, response) => response.end('ok'))
  const plane = await startPlane(t, {
    config: workloadConfig([inbound(8080, { appProtocol: 'http2' }, { denyPath: '/no' })]),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
    identity: await mesh.identity('orders'),
  })
  const before = await dialMesh(plane.port('8080'), await mesh.identity('storefront'), testId('orders'), 'hauberk/tcp')
  t.after(() => before.destroy())
  assert.equal((await before.request(get('/no'))).status, 403)
  assert.equal((await before.request(get('/yes'))).status, 200)
})

test('T12: identity and forwarding headers of a stream are stripped and rebuilt, in trailers too; the underscore form is 400', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'))
  const { session } = await startPair(t, app)
  const forged = {
    'x-forwarded-for': '9.9.9.9',
    'x-forwarded-client-cert': 'By=forged',
    'x-hauberk-token': 'forged',
    'x-request-id': 'forged',
    forwarded: 'for=9.9.9.9',
  }
  const { status } = await exchange(session, to('/', { ':method': 'POST', ...forged }), 'body', {
    'x-forwarded-client-cert': 'By=forged',
  })
  assert.equal(status, 200)
  assert.match(app.received(), /x-forwarded-for: 127\.0\.0\.1\r\n/)
  assert.doesNotMatch(app.received(), /9\.9\.9\.9|forged/)
  assert.equal((await exchange(session, to('/', { x_forwarded_for: '9.9.9.9' }))).status, 400)
  assert.equal((await exchange(session, to('/'))).status, 200)
})

test('T14: an authority has one spelling, one that differs from host is 400, and one that the certificate is not for is 421', async (t) => {
  const app = await httpBackend(t, (request, response) => response.end(request.headers.host))
  const { session } = await startPair(t, app)
  const statusOf = async (headers: Record<string, string>) => (await exchange(session, headers)).status
  assert.equal((await exchange(session, { ':path': '/', ':authority': 'SHOP.Example.' })).body, HOST)
  assert.equal(await statusOf({ ':path': '/', ':authority': HOST, host: 'admin.example' }), 400)
  assert.equal(await statusOf({ ':path': '/', ':authority': 'admin.example' }), 421)
  for (const authority of ['user@shop.example', 'shop.example,admin.example', 'shop.example/x']) {
    assert.equal(await statusOf({ ':path': '/', ':authority': authority }), 400, authority)
  }
})

test('T17: paths of streams have one normal form, or none', async (t) => {
  const app = await httpBackend(t, (request, response) => response.end(request.url))
  const { session } = await startPair(t, app, { gated: { denyPath: '/admin' } })
  for (const path of ['/admin', '/a/../admin', '/%61dmin', '/./admin']) {
    assert.equal((await exchange(session, to(path))).status, 403, path)
  }
  for (const path of ['/%2e%2e%2fadmin', '/\\admin', '/a%00', '/%252e']) {
    assert.equal((await exchange(session, to(path))).status, 400, path)
  }
})

test('T16: a head that is too long, or has too many lines, is 431 on its stream, and the others go on', async (t) => {
  const app = await httpBackend(t, (_request, response) => response.end('ok'))
  const { session } = await startPair(t, app)
  const many = Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`x-${i}`, '1']))
  assert.equal((await exchange(session, to('/', many))).status, 431)
  assert.equal((await exchange(session, to('/', { 'x-long': 'x'.repeat(17_000) }))).status, 431)
  assert.equal((await exchange(session, to(`/${'x'.repeat(9_000)}`))).status, 414)
  assert.equal((await exchange(session, to('/', { constructor: '1' }))).status, 200)
})

test('T15: a content-length that the data does not come to never reaches the upstream as a whole request', async (t) => {
  const app = await rawBackend(t)
  const { session, plane } = await startPair(t, app)
  for (const [length, body] of [
    ['10', 'short'],
    ['3', 'too long'],
  ] as const) {
    const sent = exchange(session, to('/', { ':method': 'POST', 'content-length': length }), body)
    await assert.rejects(sent)
  }
  await until(() => plane.requests.length === 2, 'both are told of')
  assert.deepEqual(
    plane.requests.map(({ outcome }) => outcome),
    ['aborted', 'aborted'],
  )
  assert.doesNotMatch(app.received(), /too lon/)
})

test('T20: each stream has its own time: a body that does not come is 408, and the others are answered', async (t) => {
  const app = await httpBackend(t, (request, response) => request.on('end', () => response.end('ok')).resume())
  const clock = createManualClock()
  const { session } = await startPair(t, app, { limits: { bodyMs: 300 }, clock })
  const slow = session.request(to('/slow', { ':method': 'POST' }), { endStream: false })
  slow.write('a')
  const answered = read(slow)
  assert.equal((await exchange(session, to('/'))).body, 'ok')
  assert.equal((await passing(clock, answered)).status, 408)
  assert.equal((await exchange(session, to('/'))).body, 'ok')
})

test('T20: a body that drips is 408 on its stream, however often it drips', async (t) => {
  const app = await httpBackend(t, (request, response) => request.on('end', () => response.end('ok')).resume())
  const clock = createManualClock()
  const { session } = await startPair(t, app, { limits: { bodyGraceMs: 200, minBodyBytesPerSecond: 1_000 }, clock })
  const slow = session.request(to('/slow', { ':method': 'POST' }), { endStream: false })
  slow.on('error', () => {})
  let isAnswered = false
  slow.once('response', () => {
    isAnswered = true
  })
  const answered = read(slow)
  const drip = () => isAnswered || slow.destroyed || !slow.write('a')
  await passUntil(clock, drip, 'it is answered', 20)
  assert.equal((await answered).status, 408)
  assert.equal((await exchange(session, to('/'))).body, 'ok')
})

test('T20: a client that does not take its response loses that stream alone', async (t) => {
  const app = await httpBackend(t, (request, response) =>
    response.end(request.url === '/big' ? Buffer.alloc(4_000_000) : 'ok'),
  )
  const clock = createManualClock()
  const { plane, session } = await startPair(t, app, { limits: { bodyMs: 400 }, clock })
  const stuck = session.request(to('/big'))
  stuck.on('error', () => {})
  stuck.pause()
  await once(stuck, 'response')
  assert.equal((await exchange(session, to('/'))).body, 'ok')
  await passUntil(clock, () => plane.requests.some(({ outcome }) => outcome === 'aborted'), 'it is given up')
  assert.equal((await exchange(session, to('/'))).body, 'ok')
})

test('F14: a response that breaks off resets its stream, and is never taken for the whole', async (t) => {
  const app = await rawBackend(t, (_text, socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort')
    socket.end()
  })
  const { session, plane } = await startPair(t, app)
  await assert.rejects(exchange(session, to('/')))
  assert.equal(plane.requests[0]?.refusal?.denial, 'upstream-reset')
})

test('F19: a drain finishes what was begun, and says so to the client', async (t) => {
  let answer: (() => void) | undefined
  const app = await httpBackend(t, (_request, response) => {
    answer = () => response.end('late')
  })
  const { plane, session } = await startPair(t, app)
  const late = exchange(session, to('/'))
  await until(() => answer !== undefined, 'the application has it')
  const goaway = once(session, 'goaway')
  const drained = plane.plane.drain(60_000)
  await goaway
  answer?.()
  assert.equal((await late).body, 'late')
  await drained
})

test('T18: an outside client that resets streams without end is told to go, and others are served', async (t) => {
  const app = await httpBackend(t, () => {})
  // No time passes: how fast the machine resets them has no say.
  const { plane, session, dial } = await startPair(t, app, { clock: createManualClock() })
  const closed = new Promise((resolve) => session.once('close', resolve))
  for (let i = 0; i < 2_000 && !session.destroyed && !session.closed; i++) {
    const stream = session.request(to('/'))
    stream.on('error', () => {})
    stream.close(8)
    if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await closed
  await until(() => plane.connections.some(({ refusal }) => refusal?.denial === 'http2-flood'), 'it is told of')
  assert.equal((await exchange(await dial(), to('/', { ':authority': 'admin.example' }))).status, 421)
})

test('a WebSocket passes by extended CONNECT (RFC 8441), judged as the GET that it is', async (t) => {
  const server = new WebSocketServer({ noServer: true })
  const http = await httpBackendWith(t, server)
  const { plane, session } = await startPair(t, http, { gated: { denyPath: '/no' } })
  assert.equal(session.remoteSettings.enableConnectProtocol, true)
  const connect = (path: string) =>
    session.request(
      to(path, { ':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'https', 'sec-websocket-version': '13' }),
      { endStream: false },
    )
  const refused = connect('/no')
  const [no] = await once(refused, 'response')
  assert.equal(no[':status'], 403)
  refused.close()

  const stream = connect('/socket')
  const [yes] = await once(stream, 'response')
  assert.equal(yes[':status'], 200)
  assert.equal(yes['sec-websocket-accept'], undefined)
  // A masked text frame of "hi", and what comes back is unmasked.
  stream.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]))
  const [frame] = await once(stream, 'data')
  assert.deepEqual([...(frame as Buffer)], [0x81, 0x02, 0x68, 0x69])
  stream.end(Buffer.from([0x88, 0x80, 0, 0, 0, 0]))
  await once(stream, 'close')
  await until(() => plane.connections.length === 1, 'the tunnel is told of')
  assert.equal(plane.connections[0]?.outcome, 'allowed')
  assert.deepEqual(
    plane.requests.map(({ method, status }) => `${method} ${status}`),
    ['GET 403', 'GET 101'],
  )
})

async function httpBackendWith(t: TestContext, server: WebSocketServer): Promise<Backend> {
  const { createServer } = await import('node:http')
  const http = createServer()
  server.on('connection', (socket) => socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })))
  http.on('upgrade', (request, socket, head) =>
    server.handleUpgrade(request, socket, head, (client) => server.emit('connection', client, request)),
  )
  t.after(() => {
    for (const client of server.clients) client.terminate()
    server.close()
  })
  return { port: await listen(t, http), sockets: [] }
}

test('a refused call of gRPC is answered by trailers alone', async (t) => {
  const app = await httpBackend(t, (_request, response) => response.end())
  const { plane, session } = await startPair(t, app, { gated: { denyPath: '/shop.Orders/Get' } })
  const stream = session.request(to('/shop.Orders/Get', { ':method': 'POST', 'content-type': 'application/grpc' }), {
    endStream: false,
  })
  let hasEnded = false
  stream.on('response', (_headers, flags) => {
    hasEnded = (flags & 1) === 1
  })
  stream.write('message')
  const { status, headers, body } = await read(stream)
  assert.equal(status, 200)
  assert.equal(hasEnded, true)
  assert.equal(body, '')
  assert.equal(headers['grpc-status'], '7')
  assert.equal(headers['content-type'], 'application/grpc')
  assert.match(String(headers['grpc-message']), /^gate-shut: The gate is shut\. \([0-9a-f]+\)$/)
  assert.equal(plane.requests[0]?.status, 403)
})
