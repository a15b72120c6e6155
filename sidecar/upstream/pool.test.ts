import assert from 'node:assert/strict'
import { before, type TestContext, test } from 'node:test'
import type { Clock } from '../../runtime/clock.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createIdentityStore } from '../identity/identity-store.ts'
import { testId } from '../identity/testing/test-identity.ts'
import { rawBackend } from '../serve/testing/backend.ts'
import { until } from '../serve/testing/until.ts'
import { createTestMesh, inbound, LOOPBACK, startPlane, type TestMesh, workloadConfig } from '../serve/testing/world.ts'
import type { Target } from './connect.ts'
import { UpstreamConnection } from './connection.ts'
import { Deadlines } from './deadlines.ts'
import { EndpointPool, type Opened, PoolFullError, type PoolLimits } from './pool.ts'

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

async function poolOf(
  t: TestContext,
  target: Target,
  { clock = createManualClock(Date.now()) as Clock, notAfterMs = Date.now() + 3_600_000, connectMs = 1_000 } = {},
) {
  const counts = { open: 0, idle: 0 }
  const deps = {
    identity: createIdentityStore(await mesh.identity('storefront', notAfterMs)),
    clock,
    deadlines: new Deadlines(clock),
    connectMs,
    readBuffer: Buffer.alloc(65_536),
    limits: LIMITS,
    counts,
  }
  const pool = new EndpointPool(target, deps)
  t.after(() => pool.close())
  const open = () => new Promise<Opened>((resolve) => pool.open(resolve))
  const connection = async () => {
    const opened = await open()
    assert.ok(opened instanceof UpstreamConnection, String(opened))
    t.after(() => opened.destroy())
    return opened
  }
  return { pool, counts, open, connection }
}

test('the connection that was used last is used next, and never more are kept than may be', async (t) => {
  const backend = await rawBackend(t)
  const { pool, counts, connection } = await poolOf(t, { kind: 'plain', host: '127.0.0.1', port: backend.port })
  const [a, b, c] = [await connection(), await connection(), await connection()]
  assert.equal(pool.outstanding, 3)
  for (const one of [a, b, c]) pool.giveBack(one)
  assert.deepEqual(counts, { open: 3, idle: 2 })
  await until(() => counts.open === 2, 'the third is closed')
  assert.equal(pool.take(0), b)
  assert.equal(b.uses, 2)
  assert.equal(pool.take(0), a)
  assert.equal(pool.take(0), undefined)
})

test('an endpoint has as many connections as it may, those being made included', async (t) => {
  const backend = await rawBackend(t)
  const { open } = await poolOf(t, { kind: 'plain', host: '127.0.0.1', port: backend.port })
  const opened = await Promise.all([open(), open(), open(), open()])
  assert.deepEqual(
    opened.map((one) => one instanceof PoolFullError),
    [false, false, false, true],
  )
  for (const one of opened) if (one instanceof UpstreamConnection) one.destroy()
})

test('a kept connection is closed when it has waited long enough, and takes nothing new when it is old', async (t) => {
  const backend = await rawBackend(t)
  const clock = createManualClock(Date.now())
  const target: Target = { kind: 'plain', host: '127.0.0.1', port: backend.port }
  const { pool, counts, connection } = await poolOf(t, target, { clock })
  const idle = await connection()
  pool.giveBack(idle)
  await clock.advance(4_100)
  await until(() => counts.open === 0, 'it is closed')
  assert.equal(pool.take(clock.monotonic()), undefined)

  const old = await connection()
  await clock.advance(600_000)
  pool.giveBack(old)
  await until(() => counts.open === 0, 'it is closed too')
})

test('a kept connection that has waited too long is not used either where the process was held up', async (t) => {
  const backend = await rawBackend(t)
  const clock = createManualClock(Date.now())
  const { pool, counts, connection } = await poolOf(
    t,
    { kind: 'plain', host: '127.0.0.1', port: backend.port },
    { clock },
  )
  const kept = await connection()
  pool.giveBack(kept)
  assert.equal(pool.take(clock.monotonic() + 3_999), kept)
  pool.giveBack(kept)
  assert.equal(pool.take(clock.monotonic() + 4_000), undefined)
  await until(() => counts.open === 0, 'it is closed')
  assert.equal(counts.idle, 0)
})

test('a kept connection on which something arrives or ends is not used again', async (t) => {
  const backend = await rawBackend(t)
  const { pool, counts, connection } = await poolOf(t, { kind: 'plain', host: '127.0.0.1', port: backend.port })
  pool.giveBack(await connection())
  pool.giveBack(await connection())
  await until(() => backend.sockets.length === 2, 'both are there')
  backend.sockets[0]!.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
  backend.sockets[1]!.end()
  await until(() => counts.idle === 0 && counts.open === 0, 'both are closed')
  assert.equal(pool.take(0), undefined)
})

test('a closed pool keeps nothing that is given back', async (t) => {
  const backend = await rawBackend(t)
  const { pool, counts, connection } = await poolOf(t, { kind: 'plain', host: '127.0.0.1', port: backend.port })
  const inUse = await connection()
  pool.giveBack(await connection())
  pool.close()
  await until(() => counts.open === 1, 'the idle one is closed')
  pool.giveBack(inUse)
  await until(() => counts.open === 0, 'and the other')
})

test('T06: a connection takes nothing new when one of the two certificates is over', async (t) => {
  const app = await rawBackend(t)
  const workload = await startPlane(t, {
    config: workloadConfig([inbound(8080)]),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
    identity: await mesh.identity('orders'),
  })
  const clock = createManualClock(Date.now())
  const target: Target = {
    kind: 'mesh',
    host: '127.0.0.1',
    port: workload.port('8080'),
    spiffeIds: new Set([testId('orders')]),
    alpn: 'hauberk/http1',
  }
  const { pool, connection } = await poolOf(t, target, { clock, notAfterMs: Date.now() + 30_000 })
  const made = await connection()
  assert.equal(made.peerSpiffeId, testId('orders'))
  pool.giveBack(made)
  assert.equal(pool.take(clock.monotonic()), made)
  pool.giveBack(made)
  await clock.advance(31_000)
  assert.equal(pool.take(clock.monotonic()), undefined)
})

test('F15: an endpoint that does not answer is given up after the connect timeout', async (t) => {
  // Accepts, and never shakes hands.
  const mute = await rawBackend(t)
  const clock = createManualClock(Date.now())
  const target: Target = {
    kind: 'mesh',
    host: '127.0.0.1',
    port: mute.port,
    spiffeIds: new Set([testId('orders')]),
    alpn: 'hauberk/http1',
  }
  const { open, counts } = await poolOf(t, target, { clock })
  const opening = open()
  await until(() => mute.sockets.length === 1, 'it is dialled')
  await clock.advance(1_100)
  const failed = await opening
  assert.ok(failed instanceof Error && 'reason' in failed)
  assert.equal(failed.reason, 'timeout')
  assert.deepEqual(counts, { open: 0, idle: 0 })
})

test('an endpoint that nobody listens on fails at once', async (t) => {
  const { open } = await poolOf(t, { kind: 'plain', host: '127.0.0.1', port: 1 })
  const failed = await open()
  assert.ok(failed instanceof Error && 'reason' in failed)
  assert.equal(failed.reason, 'unreachable')
})
