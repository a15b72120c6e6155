import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { before, type TestContext, test } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { MESH_ALPN } from '../../contract/alpn.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createIdentityStore } from '../identity/identity-store.ts'
import { testId } from '../identity/testing/test-identity.ts'
import { serverTlsOptions } from '../identity/tls-options.ts'
import { startSessionServer } from '../serve/http2/testing/session-server.ts'
import { DEFAULT_LIMITS } from '../serve/limits.ts'
import { until } from '../serve/testing/until.ts'
import { createTestMesh, type TestMesh } from '../serve/testing/world.ts'
import type { Target } from './connect.ts'
import { UpstreamConnection } from './connection.ts'
import { Deadlines } from './deadlines.ts'
import { Http2Upstream } from './http2-upstream.ts'
import { EndpointPool } from './pool.ts'
import type { UpstreamStream } from './upstream-stream.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

const PRESENCE = { pingMs: 10_000, pongMs: 5_000 }
const NO_OWNER = { onReady() {}, onIdle() {}, onRoom() {}, onLeaving() {} }

async function poolOf(t: TestContext, target: Target) {
  const clock = createManualClock(Date.now())
  const deadlines = new Deadlines(clock)
  const pool = new EndpointPool(target, {
    identity: createIdentityStore(await mesh.identity('storefront')),
    clock,
    deadlines,
    connectMs: 30_000,
    readBuffer: Buffer.alloc(65_536),
    limits: { ...DEFAULT_LIMITS, appIdleMs: 3_600_000, upstreamIdleMs: 3_600_000 },
    counts: { open: 0, idle: 0 },
  })
  t.after(() => pool.close())
  return { pool, clock, deadlines }
}

/** A session of its own on a connection to `port`. */
async function sessionOn(t: TestContext, port: number) {
  const { pool, clock, deadlines } = await poolOf(t, { kind: 'plain', host: '127.0.0.1', port, speaks: 'http2' })
  const connection = await new Promise((resolve) => pool.open(resolve))
  assert.ok(connection instanceof UpstreamConnection)
  t.after(() => connection.destroy())
  const session = new Http2Upstream(connection, NO_OWNER, clock, deadlines, PRESENCE)
  await until(() => session.isReady, 'the other side says what it takes')
  return { session, connection, clock }
}

/** Says what it takes, and nothing ever after. */
const SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])
/** The head of a PING frame that asks (RFC 9113, 6.7). */
const PING = Buffer.from([0, 0, 8, 6, 0, 0, 0, 0, 0])

function pingsIn(bytes: Buffer): number {
  let count = 0
  for (let at = bytes.indexOf(PING); at !== -1; at = bytes.indexOf(PING, at + 1)) count += 1
  return count
}

/** Takes HTTP/2 connections and keeps silent; `heard` is all that came. */
function silent(heard: Buffer[], sockets: Socket[]): (socket: Socket) => void {
  return (socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => heard.push(chunk))
    socket.write(SETTINGS)
  }
}

test('F15: who answers is there, however long nothing is asked, and never takes the questions for a flood', async (t) => {
  const server = await startSessionServer({})
  t.after(() => server.close())
  const { session, connection, clock } = await sessionOn(t, server.port)
  for (let i = 0; i < 60; i++) {
    const askedAtMs = session.lastReadMs
    await clock.advance(PRESENCE.pingMs + 100)
    await until(() => session.lastReadMs > askedAtMs, 'it answers')
  }
  assert.equal(connection.isClosed, false)
  assert.deepEqual(server.ends, [])
})

test('F15: a peer that has gone without a word is found out within 20 s, also by who waits for an answer', async (t) => {
  const heard: Buffer[] = []
  const sockets: Socket[] = []
  const server = createServer(silent(heard, sockets)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { session, connection, clock } = await sessionOn(t, (server.address() as AddressInfo).port)
  let broken: string | undefined
  const stream: UpstreamStream = session.open()
  stream.user = {
    onInterim() {},
    onResponseHead() {},
    onResponseBody() {},
    onSwitched() {},
    onUpstreamBroken: ({ kind }) => {
      broken = kind
    },
    onUpstreamDrain() {},
    onFault: (error) => assert.fail(String(error)),
  }
  await clock.advance(PRESENCE.pingMs + 100)
  await until(() => pingsIn(Buffer.concat(heard)) === 1, 'it is asked')
  assert.equal(connection.isClosed, false)
  await clock.advance(PRESENCE.pongMs + 100)
  await until(() => connection.isClosed && broken === 'reset', 'it is given up')
  assert.ok(PRESENCE.pingMs + PRESENCE.pongMs + 200 < 20_000)
})

test('another sidecar is asked whether it is there, an application never is', async (t) => {
  const heard: Buffer[] = []
  const sockets: Socket[] = []
  const sidecar = createTlsServer(serverTlsOptions(await mesh.identity('orders')), silent(heard, sockets))
  const heardByApp: Buffer[] = []
  const app = createServer(silent(heardByApp, sockets))
  for (const server of [sidecar, app]) {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  }
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    for (const server of [sidecar, app]) server.close()
  })
  const address = { host: '127.0.0.1', port: (sidecar.address() as AddressInfo).port }
  const toSidecar = await poolOf(t, {
    ...{ kind: 'mesh', ...address, spiffeIds: new Set([testId('orders')]), alpn: MESH_ALPN.http },
  })
  const toApp = await poolOf(t, {
    ...{ kind: 'plain', host: '127.0.0.1', port: (app.address() as AddressInfo).port, speaks: 'http2' },
  })
  for (const { pool } of [toSidecar, toApp]) {
    const opened = await new Promise((resolve) => pool.openStream('http2', resolve))
    assert.ok(!(opened instanceof Error), String(opened))
  }
  for (const { clock } of [toSidecar, toApp]) await clock.advance(PRESENCE.pingMs + 100)
  await until(() => pingsIn(Buffer.concat(heard)) === 1, 'the sidecar is asked')
  await toApp.clock.advance(600_000)
  assert.equal(toApp.pool.connections, 1)
  // What it was sent last comes behind everything that was sent before.
  const before = heardByApp.length
  const opened = await new Promise<unknown>((resolve) => toApp.pool.openStream('http2', resolve))
  ;(opened as UpstreamStream).drop()
  assert.equal(pingsIn(Buffer.concat(heardByApp)), 0, String(before))
})
