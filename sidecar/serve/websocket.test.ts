import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { before, test } from 'node:test'
import { WebSocketServer } from 'ws'
import type { Upstream } from '../../contract/workload-config.ts'
import { http2Backend, rawBackend } from './testing/backend.ts'
import { dialPlain, get } from './testing/client.ts'
import { until } from './testing/until.ts'
import {
  createTestMesh,
  endpoint,
  forwardTo,
  type GateConfig,
  gateSlots,
  gateway,
  plaintextUpstream,
  route,
  startBehindGateway,
  startGateway,
  type TestMesh,
  workloadConfig,
} from './testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const UPGRADE = get('/socket', [
  'Connection: Upgrade',
  'Upgrade: websocket',
  `Sec-WebSocket-Key: ${KEY}`,
  'Sec-WebSocket-Version: 13',
])
const ACCEPT = createHash('sha1').update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
const SWITCHING = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`

test('requests of many HTTP/1.1 clients share a connection between two sidecars, and a WebSocket has one of its own', async (t) => {
  const app = await rawBackend(t, (text, socket) => {
    const target = text.split(' ')[1]!
    if (target === '/socket') socket.write(SWITCHING)
    else socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n${target}`)
  })
  const plane = await startBehindGateway(t, mesh, app.port)
  const clients = await Promise.all(Array.from({ length: 8 }, () => dialPlain(plane.port('http'))))
  t.after(() => {
    for (const client of clients) client.destroy()
  })
  const answers = await Promise.all(clients.map((client, i) => client.request(get(`/${i}`))))
  assert.deepEqual(
    answers.map(({ body }) => body),
    clients.map((_, i) => `/${i}`),
  )
  assert.equal(plane.plane.stats().upstreamConnections, 1)
  clients[0]!.send(UPGRADE)
  assert.equal((await clients[0]!.response()).status, 101)
  assert.equal(plane.plane.stats().upstreamConnections, 2)
})

test('a WebSocket passes through two sidecars, whatever the size of its messages', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await new Promise((resolve) => server.once('listening', resolve))
  t.after(() => {
    for (const client of server.clients) client.terminate()
    server.close()
  })
  server.on('connection', (socket) => socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })))
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  const plane = await startBehindGateway(t, mesh, address.port)

  const socket = new WebSocket(`ws://127.0.0.1:${plane.port('http')}/socket`)
  await new Promise((resolve, reject) => {
    socket.onopen = resolve
    socket.onerror = reject
  })
  for (const message of ['hi', 'x'.repeat(100_000), 'y'.repeat(2_000_000)]) {
    const echoed = new Promise((resolve) => {
      socket.onmessage = ({ data }) => resolve(data)
    })
    socket.send(message)
    assert.equal(await echoed, message)
  }
  const closed = new Promise((resolve) => {
    socket.onclose = resolve
  })
  socket.close(1000)
  await closed
  await until(() => plane.connections.length === 1, 'the tunnel is told of')
  assert.equal(plane.requests[0]?.status, 101)
  assert.ok(plane.connections[0]!.bytesIn > 2_000_000)
})

test('bytes behind the handshake, from either side, are not lost', async (t) => {
  const app = await rawBackend(t, (text, socket, connection) => {
    if (connection === 1 && text.includes('upgrade: websocket')) socket.write(`${SWITCHING}early words`)
  })
  const plane = await startGateway(t, mesh, app.port)
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  client.send(`${UPGRADE}first frame`)
  await client.text('early words')
  assert.match(client.received.toString(), /^HTTP\/1\.1 101 .*\r\nconnection: upgrade\r\nupgrade: websocket\r\n/i)
  await app.waitFor('first frame')
  assert.match(app.received(), /connection: upgrade\r\nupgrade: websocket\r\n[\s\S]*Sec-WebSocket-Key: /)
})

test('T19: without a real 101 there is no tunnel: what follows is read as HTTP, and the backend connection is not used again', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
  const plane = await startGateway(t, mesh, app.port)
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  client.send(`${UPGRADE}GET /admin HTTP/1.1\r\nHost: a\r\n\r\n`)
  const response = await client.response()
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('connection'), 'close')
  await client.closed()
  assert.doesNotMatch(app.received(), /admin/)
  const next = await dialPlain(plane.port('http'))
  t.after(() => next.destroy())
  assert.equal((await next.request(get('/'))).status, 200)
  assert.equal(app.sockets.length, 2)
})

test('T19: a 101 without the proof, for another key, or to who did not ask, is 502', async (t) => {
  const answers = [
    SWITCHING.replace(/Sec-WebSocket-Accept.*\r\n/, ''),
    SWITCHING.replace(ACCEPT, ACCEPT.toLowerCase()),
    SWITCHING.replace('Upgrade: websocket', 'Upgrade: h2c'),
    SWITCHING,
  ]
  let next = 0
  const app = await rawBackend(t, (_text, socket) => socket.write(answers[next]!))
  const plane = await startGateway(t, mesh, app.port)
  for (next = 0; next < answers.length; next++) {
    const client = await dialPlain(plane.port('http'))
    const response = await client.request(next === 3 ? get('/') : UPGRADE)
    assert.equal(response.status, 502, answers[next])
    client.destroy()
  }
})

test('T19: any other upgrade, h2c among them, is dropped and the request goes on without it', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
  const plane = await startGateway(t, mesh, app.port)
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  const response = await client.request(
    get('/', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA']),
  )
  assert.equal(response.status, 200)
  assert.doesNotMatch(app.received(), /upgrade|h2c|settings/i)
})

test('a WebSocket for a service that knows only HTTP/2 without them is refused, and nobody is blamed for it', async (t) => {
  const seen: string[] = []
  const app = await http2Backend(t, (request, response) => {
    seen.push(request.method)
    response.end('ok')
  })
  const outlier = { serverErrors: 1, failures: 1, ejectionMs: 60_000, maxEjectionMs: 60_000, maxPercent: 100 }
  const upstream: Upstream = { ...plaintextUpstream(), appProtocol: 'http2', traffic: { origins: [], outlier } }
  const plane = await startGateway(t, mesh, app.port, {
    config: { upstreams: { 'shop/orders:80': upstream } },
    endpoints: { 'shop/orders:80': [endpoint(app.port), endpoint(app.port)] },
  })
  for (let i = 0; i < 3; i++) {
    const client = await dialPlain(plane.port('http'))
    t.after(() => client.destroy())
    const response = await client.request(UPGRADE)
    assert.equal(response.status, 501)
    assert.equal(JSON.parse(response.body).denial, 'no-websocket')
  }
  assert.deepEqual([...plane.plane.ejected().values()], [0])
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  assert.equal((await client.request(get('/'))).body, 'ok')
  assert.deepEqual(seen, ['GET'])
  assert.deepEqual(
    plane.requests.map(({ retried }) => retried),
    [false, false, false, false],
  )
})

test('a tunnel ends with the side that closes, and an upstream that resets is seen', async (t) => {
  const app = await rawBackend(t, (text, socket) => {
    if (text.includes('upgrade: websocket')) socket.write(SWITCHING)
    if (text.includes('reset')) socket.resetAndDestroy()
  })
  const plane = await startBehindGateway(t, mesh, app.port)
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  client.send(UPGRADE)
  await client.text('101')
  client.send('reset')
  await client.closed()
  const leaving = await dialPlain(plane.port('http'))
  leaving.send(UPGRADE)
  await leaving.text('101')
  leaving.destroy()
  await until(
    () => app.sockets.length === 2 && (app.sockets[1]!.readableEnded || app.sockets[1]!.destroyed),
    'it is seen',
  )
})

test('a tunnel is cut when policy turns against its request, and by nothing else', async (t) => {
  const app = await rawBackend(t, (text, socket) => {
    if (text.includes('upgrade: websocket')) socket.write(SWITCHING)
  })
  let judged = 0
  const seen = () => {
    judged += 1
  }
  const open: GateConfig = { seen }
  const listeners = (gated: GateConfig) => [
    gateway({ routes: [route(forwardTo('shop/orders:80'), { filters: gateSlots(gated) })] }),
  ]
  const config = (gated: GateConfig) =>
    workloadConfig(listeners(gated), { role: 'gateway', upstreams: { 'shop/orders:80': plaintextUpstream() } })
  const plane = await startGateway(t, mesh, app.port, { listeners: listeners(open) })
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  client.send(UPGRADE)
  await client.text('101')
  await plane.swap(config(open))
  assert.equal(judged, 1, 'a policy that did not change is not asked again')
  await plane.swap(config({ seen, denyPath: '/other' }))
  assert.equal(judged, 2)
  client.send('still there')
  await app.waitFor('still there')
  await plane.swap(config({ denyPath: '/socket', later: true }))
  await client.closed()
  await until(() => plane.connections.length === 1, 'the cut is told of')
  assert.equal(plane.connections[0]?.outcome, 'denied')
  assert.equal(plane.connections[0]?.refusal?.denial, 'gate-shut')
})

test('policy that turns against a tunnel while it is being made cuts it too', async (t) => {
  const app = await rawBackend(t, (text, socket) => {
    if (!text.includes('upgrade: websocket')) return
    void plane.swap(shut).then(() => socket.write(SWITCHING))
  })
  const plane = await startGateway(t, mesh, app.port)
  const shut = workloadConfig([gateway({ routes: [] })], { role: 'gateway' })
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  client.send(UPGRADE)
  await client.closed()
  await until(() => plane.connections.length === 1, 'the cut is told of')
  assert.equal(plane.connections[0]?.refusal?.denial, 'no-route')
})
