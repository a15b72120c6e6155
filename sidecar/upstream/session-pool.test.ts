import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttp2Server, type ServerHttp2Session } from 'node:http2'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { before, type TestContext, test } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { MESH_ALPN } from '../../contract/alpn.ts'
import type { Clock } from '../../runtime/clock.ts'
import { systemClock } from '../../runtime/clock.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createIdentityStore } from '../identity/identity-store.ts'
import { testId } from '../identity/testing/test-identity.ts'
import { serverTlsOptions } from '../identity/tls-options.ts'
import { type HeaderLines, NO_HEADERS } from '../serve/http1/header-lines.ts'
import { NO_BODY, type ResponseHead } from '../serve/http1/message.ts'
import { RequestHeadParser } from '../serve/http1/request-head.ts'
import type { RequestToWrite } from '../serve/http1/write-head.ts'
import { ERROR_CODE } from '../serve/http2/error-code.ts'
import { MESH_LIMITS, OUTSIDE_LIMITS } from '../serve/http2/limits.ts'
import { type Answer, startSessionServer } from '../serve/http2/testing/session-server.ts'
import { until } from '../serve/testing/until.ts'
import { createTestMesh, type TestMesh } from '../serve/testing/world.ts'
import type { ByteStream } from './byte-stream.ts'
import { ConnectError, type Target } from './connect.ts'
import { Deadlines } from './deadlines.ts'
import { EndpointPool, type OpenedStream, PoolFullError, type PoolLimits } from './pool.ts'
import type { HttpVersion, UpstreamFailure, UpstreamStream, UpstreamStreamUser } from './upstream-stream.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

const LIMITS: PoolLimits = {
  maxConnectionsPerEndpoint: 3,
  maxIdlePerEndpoint: 2,
  upstreamIdleMs: 50_000,
  appIdleMs: 4_000,
  upstreamAgeMs: 600_000,
  pingMs: 10_000,
  pongMs: 5_000,
}

interface PoolOptions {
  readonly clock?: Clock
  readonly limits?: Partial<PoolLimits>
}

async function poolOf(t: TestContext, target: Target, { clock = systemClock, limits }: PoolOptions = {}) {
  const counts = { open: 0, idle: 0 }
  const pool = new EndpointPool(target, {
    identity: createIdentityStore(await mesh.identity('storefront', Date.now() + 3_600_000)),
    clock,
    deadlines: new Deadlines(clock),
    connectMs: 30_000,
    readBuffer: Buffer.alloc(65_536),
    limits: { ...LIMITS, ...limits },
    counts,
  })
  t.after(() => pool.close())
  return { pool, counts, clock }
}

function plain(port: number): Target {
  return { kind: 'plain', host: '127.0.0.1', port, speaks: 'http2' }
}

async function serverFor(t: TestContext, options: Parameters<typeof startSessionServer>[0] = {}) {
  const server = await startSessionServer(options)
  t.after(() => server.close())
  return server
}

const GET: RequestToWrite = { method: 'GET', target: '/', host: 'orders', headers: NO_HEADERS, framing: NO_BODY }
const POST: RequestToWrite = { ...GET, method: 'POST', framing: { kind: 'chunked' } }

/** Asks for a WebSocket, with the key of RFC 6455, 1.3. */
function handshake() {
  const head = new RequestHeadParser().parse(
    Buffer.from(
      'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    ),
  )
  assert.ok(head?.kind === 'request')
  return head
}

/** Sends one request and keeps what comes back. */
class Call implements UpstreamStreamUser {
  stream: UpstreamStream | undefined
  readonly interim: number[] = []
  head: ResponseHead | undefined
  body = ''
  trailers: HeaderLines | undefined
  failure: UpstreamFailure | undefined
  switched: ByteStream | undefined
  isDone = false
  faults: unknown[] = []
  reads = 0

  onInterim({ status }: ResponseHead): void {
    this.interim.push(status)
  }

  onResponseHead(head: ResponseHead): void {
    this.head = head
  }

  onResponseBody(slices: readonly Buffer[], done: boolean, trailers: HeaderLines | undefined): void {
    this.reads += 1
    for (const slice of slices) this.body += slice.toString('latin1')
    if (!done) return
    this.trailers = trailers
    this.isDone = true
    this.stream!.release(0)
  }

  onSwitched(head: ResponseHead, bytes: ByteStream): void {
    this.head = head
    this.switched = bytes
  }

  onUpstreamBroken(failure: UpstreamFailure): void {
    this.failure = failure
  }

  onUpstreamDrain(): void {}

  onFault(error: unknown): void {
    this.faults.push(error)
  }

  async over(): Promise<this> {
    await until(() => this.isDone || this.failure !== undefined || this.switched !== undefined, 'the call is over')
    assert.deepEqual(this.faults, [])
    return this
  }
}

async function streamOf(pool: EndpointPool, came: HttpVersion = 'http2'): Promise<UpstreamStream> {
  const opened = await opening(pool, came)
  assert.ok('sendHead' in opened, String(opened))
  return opened
}

function opening(pool: EndpointPool, came: HttpVersion = 'http2'): Promise<OpenedStream> {
  const taken = pool.takeStream(performance.now(), came)
  return taken === undefined ? new Promise((done) => pool.openStream(came, done)) : Promise.resolve(taken)
}

async function call(pool: EndpointPool, message: RequestToWrite = GET, body?: readonly Buffer[]): Promise<Call> {
  const stream = await streamOf(pool)
  const made = new Call()
  made.stream = stream
  stream.user = made
  stream.sendHead(message, body ?? [], true, undefined)
  return made
}

test('many requests at once share one connection, made once', async (t) => {
  const server = await serverFor(t)
  const { pool, counts } = await poolOf(t, plain(server.port))
  const calls = await Promise.all(Array.from({ length: 80 }, () => call(pool)))
  assert.equal(counts.open, 1)
  for (const made of calls) assert.equal((await made.over()).body, 'hello')
  assert.equal(pool.outstanding, 0)
  assert.equal(server.sessions.size, 1)
  // What one read brought of an answer is handed over at once.
  assert.ok(calls.every(({ reads }) => reads === 1))
})

test('bodies, interim responses and trailers come through node:http2, however they are sent', async (t) => {
  const server = createHttp2Server()
  server.on('stream', (stream, headers) => {
    assert.equal(headers.te, 'trailers')
    stream.additionalHeaders({ ':status': 103 })
    stream.respond({ ':status': 200 }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.pipe(stream)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => server.close())
  const { pool } = await poolOf(t, plain((server.address() as AddressInfo).port))
  const made = await (await call(pool, POST, [Buffer.alloc(300_000, 'a'), Buffer.alloc(200_000, 'b')])).over()
  assert.deepEqual(made.interim, [103])
  assert.equal(made.body, 'a'.repeat(300_000) + 'b'.repeat(200_000))
  assert.equal(made.trailers?.get('grpc-status'), '0')
})

test('a full session makes another, and a full endpoint is full', async (t) => {
  const held: Parameters<Answer>[0][] = []
  const server = await serverFor(t, {
    limits: { ...OUTSIDE_LIMITS, maxConcurrentStreams: 2 },
    answer: (stream) => held.push(stream),
  })
  const { pool, counts } = await poolOf(t, plain(server.port))
  const calls: Call[] = []
  for (let index = 0; index < 6; index++) calls.push(await call(pool))
  assert.equal(counts.open, 3)
  assert.equal(pool.outstanding, 6)
  assert.ok((await opening(pool)) instanceof PoolFullError)
  await until(() => held.length === 6, 'all are there')
  for (const stream of held) stream.sendResponse({ status: 204, headers: NO_HEADERS, framing: NO_BODY }, true)
  for (const made of calls) assert.equal((await made.over()).head?.status, 204)
  await call(pool)
  assert.equal(counts.open, 3)
})

test('F19: a server that leaves loses no request: its sessions drain, and the next ones go elsewhere', async (t) => {
  const held: Parameters<Answer>[0][] = []
  const server = await serverFor(t, { answer: (stream) => held.push(stream) })
  const { pool, counts } = await poolOf(t, plain(server.port))
  const first = await call(pool)
  await until(() => held.length === 1, 'it is there')
  for (const session of server.sessions) session.goaway()
  // What is asked until the goodbye arrives is answered all the same.
  const meanwhile = await call(pool)
  await until(() => held.length === 2, 'the second is there')
  await until(() => pool.takeStream(performance.now(), 'http2') === undefined, 'the session takes no more')
  const next = await call(pool)
  await until(() => held.length === 3, 'the third is there')
  assert.equal(counts.open, 2)
  for (const stream of held) stream.sendResponse({ status: 204, headers: NO_HEADERS, framing: NO_BODY }, true)
  for (const made of [first, meanwhile, next]) assert.equal((await made.over()).head?.status, 204)
  await until(() => counts.open === 1, 'the one that left is closed')
})

test('a request that the server has not looked at is told from one that it may have', async (t) => {
  const sessions: ServerHttp2Session[] = []
  const server = createHttp2Server()
  server.on('session', (session) => sessions.push(session))
  const streams: { readonly path: string; close(code: number): void }[] = []
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {})
    streams.push({ path: headers[':path']!, close: (code) => stream.close(code) })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => server.close())
  const { pool } = await poolOf(t, plain((server.address() as AddressInfo).port))
  const refused = await call(pool, { ...GET, target: '/refused' })
  const cancelled = await call(pool, { ...GET, target: '/cancelled' })
  const beyond = await call(pool, { ...GET, target: '/beyond' })
  await until(() => streams.length === 3, 'all are there')
  streams.find(({ path }) => path === '/refused')!.close(ERROR_CODE.REFUSED_STREAM)
  streams.find(({ path }) => path === '/cancelled')!.close(ERROR_CODE.CANCEL)
  assert.equal((await refused.over()).failure?.request, 'unseen')
  assert.equal((await cancelled.over()).failure?.request, 'seen')
  // The third stream has the id 5.
  sessions[0]!.goaway(0, 3)
  assert.equal((await beyond.over()).failure?.request, 'unseen')
})

test('F14: what is no response is a protocol failure, and a connection that breaks is a reset', async (t) => {
  const server = await serverFor(t, {
    answer: (stream, head) => {
      const headers = head.kind === 'request' ? head.headers : NO_HEADERS
      const length = { kind: 'length', bytes: 10 } as const
      if (head.kind === 'request' && head.path === '/short') {
        stream.sendResponse({ status: 200, headers, framing: length }, false)
        stream.sendData([Buffer.from('short')], true)
      }
    },
  })
  const { pool } = await poolOf(t, plain(server.port))
  const hanging = await call(pool, { ...GET, target: '/hang' })
  const short = await (await call(pool, { ...GET, target: '/short' })).over()
  assert.equal(short.isDone, false)
  assert.deepEqual([short.failure?.kind, short.failure?.request], ['protocol', 'seen'])
  assert.equal(short.failure?.detail, 'content-length-mismatch')
  await server.close()
  const { failure } = await hanging.over()
  assert.deepEqual([failure?.kind, failure?.request], ['reset', 'seen'])
})

test('an answer that nobody takes stops coming, and goes on when somebody does', async (t) => {
  const size = 2_000_000
  const server = await serverFor(t, {
    answer: (stream) => {
      stream.sendResponse({ status: 200, headers: NO_HEADERS, framing: { kind: 'length', bytes: size } }, false)
      stream.sendData([Buffer.alloc(size, 'x')], true)
    },
  })
  const { pool } = await poolOf(t, plain(server.port))
  const slow = new (class extends Call {
    override onResponseBody(slices: readonly Buffer[], done: boolean, trailers: HeaderLines | undefined): void {
      super.onResponseBody(slices, done, trailers)
      if (!done) this.stream!.pause()
    }
  })()
  slow.stream = await streamOf(pool)
  slow.stream.user = slow
  slow.stream.sendHead(GET, [], true, undefined)
  await until(() => slow.body.length > 0, 'it begins')
  // Others are served meanwhile, more than the windows that the slow one fills.
  for (let index = 0; index < 3; index++) assert.equal((await (await call(pool)).over()).body.length, size)
  assert.ok(slow.body.length <= MESH_LIMITS.streamWindowBytes, `${slow.body.length} bytes`)
  while (!slow.isDone) {
    slow.stream.resume()
    await new Promise((done) => setImmediate(done))
  }
  assert.equal(slow.body.length, size)
})

test('a body that the server does not take is held back, and drains', async (t) => {
  let stream: Parameters<Answer>[0] | undefined
  let received = 0
  const server = await serverFor(t, {
    answer: (got) => {
      stream = got
      got.user = {
        onHead() {},
        onData(_chunk, start, end) {
          received += end - start
        },
        onTrailers() {},
        onEnd() {
          got.sendResponse({ status: 204, headers: NO_HEADERS, framing: NO_BODY }, true)
        },
        onReset() {},
        onDrain() {},
      }
    },
  })
  const { pool } = await poolOf(t, plain(server.port))
  let drained = 0
  const made = new (class extends Call {
    override onUpstreamDrain(): void {
      drained += 1
    }
  })()
  made.stream = await streamOf(pool)
  made.stream.user = made
  assert.equal(made.stream.sendHead(POST, [Buffer.alloc(100_000)], false, undefined), true)
  assert.equal(made.stream.sendBody([Buffer.alloc(100_000)], false, undefined), false)
  await until(() => received === OUTSIDE_LIMITS.streamWindowBytes, 'the window is full')
  assert.equal(drained, 0)
  stream!.consumed(received)
  await until(() => drained === 1 && received === 200_000, 'the rest has gone')
  assert.equal(made.stream.sendBody([], true, undefined), true)
  assert.equal((await made.over()).head?.status, 204)
})

test('T18: one caller that gives up again and again never takes the shared connection down', async (t) => {
  const server = await serverFor(t, {
    limits: MESH_LIMITS,
    answer: (stream, head) => {
      if (head.kind === 'request' && head.path === '/hang') return
      stream.sendResponse({ status: 204, headers: NO_HEADERS, framing: NO_BODY }, true)
    },
  })
  const { pool, counts } = await poolOf(t, plain(server.port))
  // Without a bound the other side would close after some four hundred of them.
  for (let index = 0; index < 900; index++) {
    const given = await call(pool, { ...GET, target: '/hang' })
    given.stream!.drop()
    if (index % 100 === 0) assert.equal((await (await call(pool)).over()).head?.status, 204)
  }
  assert.deepEqual(server.ends, [])
  assert.equal(counts.open, 1)
  // Those that were left to themselves are reset when they are old.
  await until(() => pool.outstanding === 0, 'nothing is left over')
  assert.deepEqual(server.ends, [])
})

test('T18: WebSockets that are broken off again and again never take the shared connection down', async (t) => {
  const server = await serverFor(t, {
    limits: MESH_LIMITS,
    answer: (stream, head) => {
      const isTunnel = head.kind === 'request' && head.upgrade === 'websocket'
      const status = isTunnel ? 200 : 204
      stream.sendResponse({ status, headers: NO_HEADERS, framing: NO_BODY }, !isTunnel)
    },
  })
  const { pool, counts } = await poolOf(t, plain(server.port))
  for (let index = 0; index < 900; index++) {
    const made = await (await call(pool, { ...GET, headers: handshake().headers, upgrade: 'websocket' })).over()
    assert.ok(made.switched !== undefined, JSON.stringify(made.failure))
    made.switched.destroy()
    if (index % 100 === 0) assert.equal((await (await call(pool)).over()).head?.status, 204)
  }
  assert.equal((await (await call(pool)).over()).head?.status, 204)
  assert.deepEqual(server.ends, [])
  assert.equal(counts.open, 1)
})

test('F15: a connection on which nothing comes any more is not used again', async (t) => {
  const server = await serverFor(t, { answer: () => {} })
  const clock = createManualClock(Date.now())
  const { pool, counts } = await poolOf(t, plain(server.port), { clock })
  const made = await call(pool)
  await clock.advance(1_500)
  made.stream!.drop()
  assert.equal(pool.takeStream(clock.monotonic(), 'http2'), undefined)
  await until(() => counts.open === 0, 'it is closed')
})

test('sessions without streams are closed after a while, and old ones take nothing new', async (t) => {
  const server = await serverFor(t)
  const clock = createManualClock(Date.now())
  const { pool, counts } = await poolOf(t, plain(server.port), { clock })
  await (await call(pool)).over()
  assert.equal(counts.open, 1)
  await clock.advance(LIMITS.appIdleMs + 200)
  await until(() => counts.open === 0, 'the idle one is closed')
  const open = await call(pool)
  await open.over()
  await clock.advance(LIMITS.upstreamAgeMs + 200)
  assert.equal(pool.takeStream(clock.monotonic(), 'http2'), undefined)
  await until(() => counts.open === 0, 'the old one is closed')
})

test('an endpoint that does not speak HTTP/2, or says nothing, is no endpoint', async (t) => {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { pool, counts } = await poolOf(t, plain((server.address() as AddressInfo).port))
  const [one, two] = await Promise.all([opening(pool), opening(pool)])
  assert.ok(one instanceof ConnectError && two instanceof ConnectError)
  await until(() => counts.open === 0, 'nothing is open')
})

test('whoever gives up waiting is not called, and the others are', async (t) => {
  const server = await serverFor(t)
  const { pool } = await poolOf(t, plain(server.port))
  const opened: number[] = []
  const waiting = [1, 2, 3].map((id) => pool.openStream('http2', () => opened.push(id)))
  waiting[1]!.abort()
  await until(() => opened.length === 2, 'two are served')
  assert.deepEqual(opened, [1, 3])
})

test('a WebSocket goes over a stream by extended CONNECT, and its proof is that of HTTP/1.1', async (t) => {
  const server = await serverFor(t, {
    answer: (stream, head) => {
      assert.ok(head.kind === 'request' && head.upgrade === 'websocket')
      stream.user = {
        onHead() {},
        onData(chunk, start, end) {
          stream.sendData([chunk.subarray(start, end)], false)
        },
        onTrailers() {},
        onEnd: () => stream.sendData([], true),
        onReset() {},
        onDrain() {},
      }
      stream.sendResponse({ status: 200, headers: NO_HEADERS, framing: NO_BODY }, false)
    },
  })
  const { pool } = await poolOf(t, plain(server.port))
  const made = await (await call(pool, { ...GET, headers: handshake().headers, upgrade: 'websocket' })).over()
  // The example of RFC 6455, 1.3.
  assert.equal(made.head?.headers.get('sec-websocket-accept'), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
  let echoed = ''
  let isOver = false
  made.switched!.user = {
    onBytes: (bytes, length) => {
      echoed += bytes.toString('latin1', 0, length)
    },
    onDrain() {},
    onEnd: () => {
      isOver = true
    },
    onClose() {},
  }
  made.switched!.write(Buffer.from('ping'))
  await until(() => echoed === 'ping', 'it comes back')
  made.switched!.end()
  await until(() => isOver, 'the end comes back')
})

test('F20: a sidecar that knows no HTTP/2 is spoken to as ever, and not asked again', async (t) => {
  const identity = await mesh.identity('orders')
  const offers: (string | false | null)[] = []
  const server = createTlsServer(serverTlsOptions(identity, [MESH_ALPN.http, MESH_ALPN.tcp]), (socket) => {
    offers.push(socket.alpnProtocol)
    socket.on('error', () => {})
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => server.close())
  const target: Target = {
    kind: 'mesh',
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    spiffeIds: new Set([testId('orders')]),
    alpn: MESH_ALPN.http,
  }
  const { pool } = await poolOf(t, target)
  t.after(() => pool.close())
  const calls = await Promise.all([call(pool), call(pool), call(pool)])
  for (const made of calls) {
    assert.equal(made.stream!.version, 'http1')
    assert.equal((await made.over()).body, 'ok')
  }
  assert.deepEqual(new Set(offers), new Set([MESH_ALPN.http]))
  assert.equal((await (await call(pool)).over()).body, 'ok')
  assert.equal(offers.length, 3)
})

test('another sidecar is spoken to in what whoever asks prefers', async (t) => {
  const identity = await mesh.identity('orders')
  const offers: (string | false | null)[] = []
  const server = createTlsServer(serverTlsOptions(identity), (socket) => {
    offers.push(socket.alpnProtocol)
    socket.on('error', () => {})
    socket.end()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => server.close())
  const target: Target = {
    kind: 'mesh',
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    spiffeIds: new Set([testId('orders')]),
    alpn: MESH_ALPN.http,
  }
  const { pool } = await poolOf(t, target)
  await opening(pool, 'http1')
  await opening(pool, 'http2')
  assert.deepEqual(offers, [MESH_ALPN.http, MESH_ALPN.http2])
})
