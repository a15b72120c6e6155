import assert from 'node:assert/strict'
import { before, type TestContext, test } from 'node:test'
import { MESH_ALPN } from '../../contract/alpn.ts'
import { createManualClock, type ManualClock } from '../../runtime/manual-clock.ts'
import { impostor, testId } from '../identity/testing/test-identity.ts'
import type { Limits } from './limits.ts'
import { type Backend, httpBackend, rawBackend } from './testing/backend.ts'
import { dialMesh, dialPlain, get } from './testing/client.ts'
import { passUntil, until } from './testing/until.ts'
import {
  createTestMesh,
  gateSlots,
  inbound,
  LOOPBACK,
  startGateway,
  startPlane,
  type TestMesh,
  type TestPlane,
  type TestPlaneOptions,
  workloadConfig,
} from './testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

async function startOrders(
  t: TestContext,
  app: Backend,
  more: Partial<TestPlaneOptions> & {
    readonly mtls?: 'Strict' | 'Permissive' | 'Disabled'
    readonly protocol?: 'http' | 'tcp'
  } = {},
): Promise<TestPlane> {
  const { mtls = 'Strict', protocol = 'http', ...options } = more
  return startPlane(t, {
    config: workloadConfig([inbound(8080, { mtls, protocol, filters: protocol === 'tcp' ? gateSlots({}) : {} })]),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
    identity: await mesh.identity('orders'),
    ...options,
  })
}

async function startPlaintext(
  t: TestContext,
  app: Backend,
  limits: Partial<Limits>,
  clock?: ManualClock,
): Promise<TestPlane> {
  return startGateway(t, mesh, app.port, { limits, ...(clock !== undefined && { clock }) })
}

test('T05: a peer whose certificate is no SVID of this mesh is closed before a byte is forwarded', async (t) => {
  const app = await rawBackend(t)
  const plane = await startOrders(t, app)
  const id = testId('storefront')
  const leaves = {
    'two URIs': { uris: [id, testId('payments')] },
    'no URI': { uris: [], dnsNames: ['storefront.shop'] },
    'a foreign trust domain': { uris: ['spiffe://other.example/ns/shop/sa/storefront'] },
    'no path': { uris: ['spiffe://cluster.local'] },
    'a dot segment': { uris: ['spiffe://cluster.local/ns/../sa/storefront'] },
    'an upper-case scheme': { uris: [id.replace('spiffe', 'SPIFFE')] },
    'a CA': { isCa: true },
    'an id of no service account': { uris: ['spiffe://cluster.local/orders'] },
  }
  for (const [name, leaf] of Object.entries(leaves)) {
    const client = await dialMesh(
      plane.port('8080'),
      impostor(await mesh.ca.issue(leaf), [mesh.ca.root]),
      testId('orders'),
    ).catch(() => undefined)
    client?.send(get('/'))
    await client?.closed()
    assert.equal(client?.received.length ?? 0, 0, name)
    client?.destroy()
  }
  assert.equal(app.sockets.length, 0)
  assert.ok(plane.connections.every(({ outcome }) => outcome === 'denied'))
})

test('T06: a connection ends at most 60 seconds after the certificate of its peer, whatever passes on it', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write('.'))
  const clock = createManualClock(Date.now())
  const plane = await startOrders(t, app, { protocol: 'tcp', clock, limits: { idleMs: 10_000_000 } })
  const caller = await mesh.identity('storefront', Date.now() + 600_000)
  const client = await dialMesh(plane.port('8080'), caller, testId('orders'), MESH_ALPN.tcp)
  t.after(() => client.destroy())
  client.send('a')
  await client.text('.')
  await clock.advance(600_000)
  client.send('b')
  await client.text('..')
  assert.equal(client.isClosed, false)
  await clock.advance(60_000)
  await client.closed()
})

test('T06: a tunnel whose certificate is over ends in its first quiet second, not in the middle of something', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write('.'))
  const clock = createManualClock(Date.now())
  const plane = await startOrders(t, app, { protocol: 'tcp', clock, limits: { idleMs: 10_000_000 } })
  const caller = await mesh.identity('storefront', Date.now() + 600_000)
  const client = await dialMesh(plane.port('8080'), caller, testId('orders'), MESH_ALPN.tcp)
  t.after(() => client.destroy())
  client.send('a')
  await client.text('.')
  await clock.advance(600_000)
  for (let second = 1; second <= 50; second++) {
    client.send('a')
    await client.text('.'.repeat(second + 1))
    await clock.advance(1_000)
    assert.equal(client.isClosed, false, `${second} s after`)
  }
  await clock.advance(2_200)
  await client.closed()
  assert.equal(plane.connections.at(-1)?.bytesIn, 51)
})

test('T06: a jump of the clock past the certificate is noticed', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const clock = createManualClock(Date.now())
  const plane = await startOrders(t, app, { clock })
  const client = await dialMesh(plane.port('8080'), await mesh.identity('storefront'), testId('orders'))
  t.after(() => client.destroy())
  assert.equal((await client.request(get('/'))).status, 200)
  clock.jump(3_600_000 + 31_000)
  await clock.advance(25_000)
  await client.closed()
})

test('T07: plaintext to a Strict port is closed without a byte', async (t) => {
  const app = await rawBackend(t)
  const plane = await startOrders(t, app)
  for (const text of [get('/'), '\x15\x03\x01\x00\x02\x02\x28', 'PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n', '\0']) {
    const client = await dialPlain(plane.port('8080'))
    client.send(text)
    await client.closed()
    assert.equal(client.received.length, 0)
    client.destroy()
  }
  assert.equal(app.sockets.length, 0)
  assert.deepEqual(new Set(plane.connections.map(({ refusal }) => refusal?.denial)), new Set(['plaintext-refused']))
})

test('a Permissive port takes both and tells of plaintext; turned Strict, it ends what was plaintext', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const plane = await startOrders(t, app, { mtls: 'Permissive' })
  const plain = await dialPlain(plane.port('8080'))
  t.after(() => plain.destroy())
  assert.equal((await plain.request(get('/', ['X-Forwarded-Client-Cert: URI=spiffe://a/b']))).status, 200)
  assert.doesNotMatch(app.received(), /client-cert/i)
  const peer = await dialMesh(plane.port('8080'), await mesh.identity('storefront'), testId('orders'))
  t.after(() => peer.destroy())
  assert.equal((await peer.request(get('/'))).status, 200)
  assert.deepEqual(
    plane.connections.map(({ plaintext }) => plaintext),
    [true],
  )
  assert.equal(plane.requests[0]?.spiffeId, undefined)
  await plane.swap(workloadConfig([inbound(8080, { mtls: 'Strict' })]))
  assert.equal((await plain.request(get('/'))).status, 400)
  assert.equal((await peer.request(get('/'))).status, 200)
})

test('a Permissive port of opaque TCP waits a moment for a client, then lets the server speak first', async (t) => {
  const app = await rawBackend(t)
  const plane = await startOrders(t, app, { mtls: 'Permissive', protocol: 'tcp' })
  const client = await dialPlain(plane.port('8080'))
  t.after(() => client.destroy())
  await until(() => app.sockets.length === 1, 'the application is connected to')
  app.sockets[0]!.write('220 ready')
  await client.text('220 ready')
})

test('a Disabled port takes plaintext, and TLS is not HTTP there', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const plane = await startOrders(t, app, { mtls: 'Disabled' })
  const client = await dialPlain(plane.port('8080'))
  t.after(() => client.destroy())
  assert.equal((await client.request(get('/'))).status, 200)
  await assert.rejects(dialMesh(plane.port('8080'), await mesh.identity('storefront'), testId('orders')))
})

test('T10: only declared ports are bound, and only the application behind each is reached', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const hidden = await rawBackend(t, (_text, socket) => socket.write(OK))
  const plane = await startPlane(t, {
    config: workloadConfig([inbound(8080)]),
    placement: {
      inbound: [
        { containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } },
        { containerPort: 9090, bind: LOOPBACK, app: { host: '127.0.0.1', port: hidden.port } },
      ],
    },
    identity: await mesh.identity('orders'),
  })
  assert.deepEqual(
    plane.plane.listeners().map(({ name }) => name),
    ['8080'],
  )
  const client = await dialMesh(plane.port('8080'), await mesh.identity('storefront'), testId('orders'))
  t.after(() => client.destroy())
  // Whatever the request says of where it wants to go.
  const asked = [`http://127.0.0.1:${hidden.port}/`, '/']
  for (const target of asked) {
    const host = target === '/' ? `127.0.0.1:${hidden.port}` : new URL(target).host
    assert.equal((await client.request(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).status, 200)
  }
  assert.equal(
    (await client.request(`CONNECT 127.0.0.1:${hidden.port} HTTP/1.1\r\nHost: 127.0.0.1:${hidden.port}\r\n\r\n`))
      .status,
    405,
  )
  assert.equal(hidden.sockets.length, 0)
})

test('requests that a client sends before it ends its side are all answered, and then the connection ends', async (t) => {
  const app = await httpBackend(t, (request, response) => setTimeout(() => response.end(request.url), 10))
  const plane = await startPlaintext(t, app, {})
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  const refused = 'GET /x?%zz HTTP/1.1\r\nHost: a\r\n\r\n'
  client.socket.end(get('/one') + get('/two') + get('/three') + refused)
  for (const path of ['/one', '/two', '/three']) assert.equal((await client.response()).body, path)
  assert.equal((await client.response()).status, 400)
  await client.closed()

  // Its body waits for the backend to be connected to.
  const whole = await dialPlain(plane.port('http'))
  t.after(() => whole.destroy())
  whole.socket.end('POST /four HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc')
  assert.equal((await whole.response()).body, '/four')
  await whole.closed()

  const cut = await dialPlain(plane.port('http'))
  t.after(() => cut.destroy())
  cut.socket.end(`${get('/one')}GET /tw`)
  assert.equal((await cut.response()).body, '/one')
  await cut.closed()
})

test('T20: a head that does not come to its end is 408 in time, however steadily it drips', async (t) => {
  const app = await rawBackend(t)
  const plane = await startPlaintext(t, app, { headMs: 300 })
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  client.send('GET / HTTP/1.1\r\nHost: a\r\n')
  const drip = setInterval(() => client.send('x: 1\r\n'), 20)
  t.after(() => clearInterval(drip))
  const response = await client.response()
  clearInterval(drip)
  assert.equal(response.status, 408)
  await client.closed()
  assert.equal(app.sockets.length, 0)
})

test('T20: a body that stops coming is 408, and the backend loses the request', async (t) => {
  const app = await rawBackend(t)
  const clock = createManualClock()
  const plane = await startPlaintext(t, app, { bodyMs: 200 }, clock)
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc')
  await app.waitFor('abc')
  await clock.advance(400)
  assert.equal((await client.response()).status, 408)
  await client.closed()
  await until(() => app.sockets[0]!.readableEnded || app.sockets[0]!.destroyed, 'the backend is let go')
})

test('T20: a body that drips is 408 once its grace is over, however regularly it drips', async (t) => {
  const app = await rawBackend(t)
  const clock = createManualClock()
  const limits = { bodyMs: 2_000, bodyGraceMs: 200, minBodyBytesPerSecond: 1_000 }
  const plane = await startPlaintext(t, app, limits, clock)
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n')
  await app.waitFor('\r\n\r\n')
  const drip = () => {
    if (client.received.length > 0) return true
    client.send('x')
    return false
  }
  await passUntil(clock, drip, 'it is answered', 20)
  const response = await client.response()
  assert.equal(response.status, 408)
  assert.equal(response.headers.get('connection'), 'close')
  await client.closed()
  await until(() => app.sockets[0]!.readableEnded || app.sockets[0]!.destroyed, 'the backend is let go')
  assert.equal(plane.requests[0]?.refusal?.denial, 'request-timeout')
})

test('a body that the backend takes slowly is nobody’s fault, and one may drip for as long as it is answered', async (t) => {
  const slow = await rawBackend(t, (text, socket) => {
    if (text.startsWith('POST /slow')) socket.pause()
    else if (text.startsWith('POST /chat')) socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
    if (text.endsWith('!')) socket.write(text.includes('chat') ? '' : OK)
  })
  const clock = createManualClock()
  const plane = await startPlaintext(t, slow, { bodyGraceMs: 100, minBodyBytesPerSecond: 10_000 }, clock)
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  const bytes = 32 * 1024 * 1024
  client.send(`POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n\r\n`)
  client.send(Buffer.alloc(bytes - 1, 'x'))
  await slow.waitFor('POST /slow')
  await until(() => client.socket.writableLength > 0 && client.socket.bytesWritten > 0, 'nothing moves')
  // Longer than the grace.
  await clock.advance(500)
  slow.sockets[0]!.resume()
  client.send('!')
  assert.equal((await client.response()).status, 200)

  const chatting = await dialPlain(plane.port('http'))
  t.after(() => chatting.destroy())
  chatting.send('POST /chat HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n')
  await chatting.text('200 OK')
  for (let i = 0; i < 25; i++) {
    chatting.send('1\r\nx\r\n')
    await clock.advance(20)
  }
  assert.equal(chatting.isClosed || chatting.hasEnded, false)
})

test('T20: a client that does not take its response is cut off', async (t) => {
  const app = await rawBackend(t, (_text, socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${64 * 1024 * 1024}\r\n\r\n`)
    socket.write(Buffer.alloc(64 * 1024 * 1024))
  })
  const plane = await startPlaintext(t, app, { bodyMs: 200 })
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  client.socket.pause()
  client.send(get('/'))
  await until(() => plane.requests.length === 1, 'it is told of')
  assert.equal(plane.requests[0]?.outcome, 'aborted')
  await until(() => plane.plane.stats().connections === 0, 'it is gone')
})

test('T20: idle connections are closed after a while, silent ones before their handshake too', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const clock = createManualClock()
  const plane = await startPlaintext(t, app, { idleMs: 1_500 }, clock)
  const used = await dialPlain(plane.port('http'))
  const unused = await dialPlain(plane.port('http'))
  t.after(() => {
    used.destroy()
    unused.destroy()
  })
  assert.equal((await used.request(get('/'))).status, 200)
  await until(() => plane.plane.stats().connections === 2, 'both are accepted')
  await clock.advance(1_700)
  await used.closed()
  await unused.closed()

  const orders = await startOrders(t, app, { limits: { headMs: 200 } })
  const silent = await dialPlain(orders.port('8080'))
  const half = await dialPlain(orders.port('8080'))
  half.send(Buffer.from([0x16, 3, 1]))
  await silent.closed()
  await half.closed()
  silent.destroy()
  half.destroy()
})

test('T20: when there are too many connections the longest idle ones go, and a new client is served', async (t) => {
  const app = await rawBackend(t, (text, socket) => {
    if (!text.includes('/hold')) socket.write(OK)
  })
  const plane = await startPlaintext(t, app, { maxConnections: 4 })
  const busy = await dialPlain(plane.port('http'))
  busy.send(get('/hold'))
  await app.waitFor('/hold')
  const idle = []
  for (let i = 0; i < 3; i++) {
    const client = await dialPlain(plane.port('http'))
    assert.equal((await client.request(get('/'))).status, 200)
    idle.push(client)
  }
  const late = await dialPlain(plane.port('http'))
  assert.equal((await late.request(get('/'))).status, 200)
  await idle[0]!.closed()
  assert.equal(idle[1]!.isClosed || idle[2]!.isClosed || busy.isClosed, false)
  assert.ok(plane.plane.stats().connections <= 4)
  for (const client of [busy, late, ...idle]) client.destroy()
})

test('T20: those who never come to a request, before the handshake or in the head, do not keep others out', async (t) => {
  const app = await rawBackend(t, (text, socket) => {
    if (!text.includes('/hold')) socket.write(OK)
  })
  const orders = await startOrders(t, app, { limits: { maxConnections: 4 } })
  const plane = await startPlaintext(t, app, { maxConnections: 4 })
  const busy = await dialPlain(plane.port('http'))
  busy.send(get('/hold'))
  await app.waitFor('/hold')
  const slow = []
  for (let i = 0; i < 4; i++) {
    const silent = await dialPlain(orders.port('8080'))
    if (i > 1) silent.send(Buffer.from([0x16, 3, 1]))
    slow.push(silent)
    if (i === 3) continue
    const dripping = await dialPlain(plane.port('http'))
    dripping.send('GET / HTTP/1.1\r\n')
    slow.push(dripping)
  }
  await until(() => orders.plane.stats().connections === 4 && plane.plane.stats().connections === 4, 'there is no room')
  const honest = await dialMesh(orders.port('8080'), await mesh.identity('storefront'), testId('orders'))
  assert.equal((await honest.request(get('/'))).status, 200)
  const outside = await dialPlain(plane.port('http'))
  assert.equal((await outside.request(get('/'))).status, 200)
  assert.equal(busy.isClosed, false)
  for (const client of [busy, honest, outside, ...slow]) client.destroy()
})

test('F18: when memory is tight there are no more connections than there were, and new clients take the place of idle ones', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  let isTight = false
  const plane = await startGateway(t, mesh, app.port, { options: { memory: { isTight: () => isTight } } })
  const port = plane.port('http')
  const idle = await Promise.all(Array.from({ length: 100 }, () => dialPlain(port)))
  await until(() => plane.plane.stats().connections === 100, 'all are accepted')
  isTight = true
  const late = await dialPlain(port)
  assert.equal((await late.request(get('/'))).status, 200)
  assert.ok(plane.plane.stats().connections <= 100)
  assert.ok(idle.filter(({ hasEnded, isClosed }) => hasEnded || isClosed).length <= 3, 'not more than is needed go')
  for (const client of [late, ...idle]) client.destroy()
})

test('T20: when all connections are busy a new one is closed at once', async (t) => {
  const app = await rawBackend(t)
  const plane = await startPlaintext(t, app, { maxConnections: 2 })
  const busy = [await dialPlain(plane.port('http')), await dialPlain(plane.port('http'))]
  for (const client of busy) client.send(get('/'))
  await until(() => plane.plane.stats().inFlight === 2, 'both are in flight')
  const late = await dialPlain(plane.port('http'))
  late.send(get('/'))
  await late.closed()
  assert.equal(late.received.length, 0)
  assert.equal(plane.connections[0]?.refusal?.denial, 'connection-limit')
  for (const client of [late, ...busy]) client.destroy()
})

test('an idle data plane has no timer, and one with idle connections none that is soon', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const clock = createManualClock(Date.now())
  const plane = await startPlane(t, {
    config: workloadConfig([inbound(8080, { mtls: 'Disabled' })]),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
    identity: await mesh.identity('orders'),
    clock,
  })
  assert.equal(clock.pendingTimers(), 0)
  const client = await dialPlain(plane.port('8080'))
  for (let i = 0; i < 10; i++) assert.equal((await client.request(get('/'))).status, 200)
  await clock.advance(1_000)
  assert.equal(clock.pendingTimers(), 1)
  client.destroy()
  await until(() => plane.plane.stats().connections === 0, 'it is gone')
  await clock.advance(110_000)
  assert.equal(clock.pendingTimers(), 0)
  assert.equal(plane.plane.stats().upstreamConnections, 0)
})

test('F19: a drain loses nothing: what is in flight ends, what is idle goes, and a keep-alive client is told', async (t) => {
  let answerSlow = () => {}
  const app = await httpBackend(t, (request, response) => {
    if (request.url === '/slow') answerSlow = () => response.end('slow')
    else response.end('ok')
  })
  const plane = await startPlaintext(t, app, {})
  const port = plane.port('http')
  const [idle, slow, half] = [await dialPlain(port), await dialPlain(port), await dialPlain(port)]
  t.after(() => {
    for (const client of [idle, slow, half]) client.destroy()
  })
  assert.equal((await idle.request(get('/'))).status, 200)
  slow.send(get('/slow'))
  half.send(get('/').slice(0, 20))
  const before = answerSlow
  await until(() => answerSlow !== before, 'one is in flight')
  const drained = plane.plane.drain(60_000)
  await idle.closed()
  await assert.rejects(dialPlain(port))
  half.send(get('/').slice(20))
  answerSlow()
  for (const client of [slow, half]) {
    const response = await client.response()
    assert.equal(response.status, 200)
    assert.equal(response.headers.get('connection'), 'close')
    client.socket.end()
  }
  await drained
  await until(() => plane.plane.stats().upstreamConnections === 0, 'the backends are let go')
  assert.equal(plane.requests.filter(({ outcome }) => outcome === 'allowed').length, 3)
})

test('F19: a drain ends at its deadline, whatever hangs', async (t) => {
  const app = await rawBackend(t)
  const plane = await startPlaintext(t, app, {})
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  client.send(get('/'))
  await until(() => plane.plane.stats().inFlight === 1, 'one is in flight')
  await plane.plane.drain(50)
  await client.closed()
  assert.equal(plane.requests[0]?.outcome, 'aborted')
})
