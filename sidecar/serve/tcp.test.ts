import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { before, type TestContext, test } from 'node:test'
import { MESH_ALPN } from '../../contract/alpn.ts'
import type { UpstreamTraffic } from '../../contract/traffic.ts'
import type { OutboundService, Upstream } from '../../contract/workload-config.ts'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import { testId } from '../identity/testing/test-identity.ts'
import { freePort, type RawBackend, rawBackend } from './testing/backend.ts'
import { dialMesh, dialPlain } from './testing/client.ts'
import { until } from './testing/until.ts'
import {
  createTestMesh,
  endpoint,
  type GateConfig,
  gateSlots,
  inbound,
  LOOPBACK,
  meshUpstream,
  startPlane,
  type TestMesh,
  type TestPlane,
  workloadConfig,
} from './testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

const ORDERS_DB: OutboundService = {
  service: 'shop/orders-db',
  hosts: ['orders-db'],
  port: 5432,
  protocol: 'tcp',
  upstream: 'shop/orders-db:5432',
  requestTimeoutMs: 0,
}

function databaseConfig(gated: GateConfig) {
  return workloadConfig([inbound(5432, { protocol: 'tcp', routes: [], filters: gateSlots(gated) })])
}

async function startDatabase(t: TestContext, backend: RawBackend, gated: GateConfig = {}): Promise<TestPlane> {
  return startPlane(t, {
    config: databaseConfig(gated),
    placement: { inbound: [{ containerPort: 5432, bind: LOOPBACK, app: { host: '127.0.0.1', port: backend.port } }] },
    identity: await mesh.identity('orders-db'),
  })
}

async function startCaller(t: TestContext, port: number, appRootPid?: () => number | undefined): Promise<TestPlane> {
  return startPlane(t, {
    config: workloadConfig([], {
      upstreams: { 'shop/orders-db:5432': meshUpstream('orders-db', 'tcp', 5432) },
      outbound: { services: [ORDERS_DB], egress: [] },
    }),
    placement: { tcp: [{ upstream: 'shop/orders-db:5432', bind: LOOPBACK }] },
    identity: await mesh.identity('orders'),
    endpoints: { 'shop/orders-db:5432': [endpoint(port)] },
    ...(appRootPid === undefined ? {} : { options: { appRootPid } }),
  })
}

test('opaque bytes pass through two sidecars, the server may speak first, and each direction ends for itself', async (t) => {
  const backend = await rawBackend(t, (text, socket) => {
    if (text.includes('end')) setImmediate(() => socket.end('last words'))
  })
  const database = await startDatabase(t, backend, { spiffeIds: [testId('orders')] })
  const caller = await startCaller(t, database.port('5432'))
  const client = await dialPlain(caller.port('shop/orders-db:5432'))
  t.after(() => client.destroy())
  await until(() => backend.sockets.length === 1, 'the backend is connected to before the client says a word')
  backend.sockets[0]!.write('hello')
  await client.text('hello')
  const ended = once(backend.sockets[0]!, 'end')
  client.send('end')
  client.socket.end()
  await client.text('last words')
  await ended
  await client.closed()
  await until(() => database.connections.length === 1 && caller.connections.length === 1, 'both tell of it')
  const [record] = database.connections
  assert.equal(record?.spiffeId, testId('orders'))
  assert.equal(record?.outcome, 'allowed')
  assert.equal(record?.bytesIn, 3)
  assert.equal(record?.bytesOut, 'hellolast words'.length)
})

test('another identity is refused without a byte, and one that policy turns against is cut', async (t) => {
  const backend = await rawBackend(t)
  const database = await startDatabase(t, backend, { spiffeIds: [testId('orders')] })
  const port = database.port('5432')
  const catalog = await dialMesh(port, await mesh.identity('catalog'), testId('orders-db'), MESH_ALPN.tcp)
  t.after(() => catalog.destroy())
  catalog.send('select')
  await catalog.closed()
  assert.equal(backend.sockets.length, 0)
  assert.equal(database.connections[0]?.refusal?.rule, 'callers')

  const orders = await dialMesh(port, await mesh.identity('orders'), testId('orders-db'), MESH_ALPN.tcp)
  t.after(() => orders.destroy())
  orders.send('one')
  await backend.waitFor('one')
  await database.swap(databaseConfig({ spiffeIds: [testId('orders')], denyPath: '/other' }))
  orders.send('two')
  await backend.waitFor('two')
  assert.equal(orders.isClosed, false)
  await database.swap(databaseConfig({ spiffeIds: [testId('payments')] }))
  await orders.closed()
  assert.equal(database.connections[1]?.outcome, 'denied')
})

test('policy that turns against a connection while the application is being dialled cuts it', async (t) => {
  const backend = await rawBackend(t)
  const shut = databaseConfig({ spiffeIds: [] })
  let isShut = false
  const database = await startDatabase(t, backend, {
    seen() {
      if (!isShut) void database.swap(shut)
      isShut = true
    },
  })
  const orders = await dialMesh(
    database.port('5432'),
    await mesh.identity('orders'),
    testId('orders-db'),
    MESH_ALPN.tcp,
  )
  t.after(() => orders.destroy())
  await orders.closed()
  await until(() => database.connections.length === 1, 'it is told of')
  assert.equal(database.connections[0]?.outcome, 'denied')
})

test('a tunnel that is over leaves no deadline behind, whoever ended it', async (t) => {
  const backend = await rawBackend(t, (text, socket) => {
    if (text.includes('go')) socket.destroy()
  })
  const set = new Set<object>()
  const clock: Clock = {
    ...systemClock,
    setTimer(delayMs, run, options) {
      const timer = {}
      const fire = () => {
        set.delete(timer)
        run()
      }
      const cancel = systemClock.setTimer(delayMs, fire, options)
      set.add(timer)
      return () => {
        set.delete(timer)
        cancel()
      }
    },
  }
  const database = await startPlane(t, {
    config: workloadConfig([inbound(5432, { protocol: 'tcp', mtls: 'Disabled', routes: [] })]),
    placement: { inbound: [{ containerPort: 5432, bind: LOOPBACK, app: { host: '127.0.0.1', port: backend.port } }] },
    identity: await mesh.identity('orders-db'),
    clock,
  })
  for (const endsFirst of ['client', 'application'] as const) {
    const client = await dialPlain(database.port('5432'))
    client.send('hello')
    await until(() => backend.received().match(/hello/g)?.length === (endsFirst === 'client' ? 1 : 2), 'it is joined')
    if (endsFirst === 'client') client.socket.resetAndDestroy()
    else client.send('go')
    await until(() => client.isClosed || client.hasEnded, `the ${endsFirst} ends it`)
    client.destroy()
    await until(() => database.plane.stats().connections === 0, 'it is gone')
    await until(
      () => backend.sockets.every((socket) => socket.destroyed || socket.readableEnded),
      'the application sees it',
    )
    await until(() => set.size === 0, `nothing is waited for after the ${endsFirst}`)
  }
})

test('a peer that speaks the protocol of another kind of port is closed', async (t) => {
  const backend = await rawBackend(t)
  const database = await startDatabase(t, backend)
  const client = await dialMesh(
    database.port('5432'),
    await mesh.identity('orders'),
    testId('orders-db'),
    MESH_ALPN.http,
  )
  t.after(() => client.destroy())
  await client.closed()
  assert.equal(database.connections[0]?.refusal?.denial, 'wrong-alpn')
  assert.equal(backend.sockets.length, 0)
})

test("T33 T35: a TCP port takes connections of the workload's own process tree only", {
  skip: process.platform !== 'linux',
}, async (t) => {
  const backend = await rawBackend(t)
  const database = await startDatabase(t, backend)
  let rootPid: number | undefined
  const caller = await startCaller(t, database.port('5432'), () => rootPid)
  const port = caller.port('shop/orders-db:5432')
  const attempt = async () => {
    const client = await dialPlain(port)
    client.send('mine')
    await client.closed()
    client.destroy()
  }
  // The workload does not run.
  await attempt()
  assert.equal(caller.connections[0]?.refusal?.denial, 'foreign-process')

  const script = `
    const { spawn } = require('node:child_process')
    process.stdin.once('data', () => {
      const inner = "const s = require('node:net').connect(${port}, '127.0.0.1'); s.write('from the tree'); s.on('close', () => process.exit())"
      spawn(process.execPath, ['-e', inner], { stdio: 'inherit' }).on('exit', () => process.exit())
    })
  `
  const child = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'inherit', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  rootPid = child.pid
  // This process is not of that tree.
  await attempt()
  assert.equal(caller.connections[1]?.refusal?.denial, 'foreign-process')
  assert.equal(backend.received(), '')
  // A grandchild of the root is.
  child.stdin.write('go')
  await backend.waitFor('from the tree')
  backend.sockets[0]!.destroy()
  await once(child, 'exit')
})

test('a slow reader holds its writer back: what waits in between is bounded', async (t) => {
  const backend = await rawBackend(t)
  const database = await startDatabase(t, backend)
  const client = await dialMesh(
    database.port('5432'),
    await mesh.identity('orders'),
    testId('orders-db'),
    MESH_ALPN.tcp,
  )
  t.after(() => client.destroy())
  client.send('hi')
  await backend.waitFor('hi')
  client.socket.pause()
  const [socket] = backend.sockets
  const chunk = Buffer.alloc(256 * 1024)
  let written = 0
  const before = process.memoryUsage().arrayBuffers
  // Writes for as long as somebody takes it.
  for (;;) {
    written += chunk.length
    if (socket!.write(chunk)) continue
    const drained = await Promise.race([
      once(socket!, 'drain').then(() => true),
      new Promise<boolean>((resolve) => setTimeout(resolve, 250, false)),
    ])
    if (!drained) break
    assert.ok(written < 64 * 1024 * 1024, 'the writer is held back')
  }
  assert.ok(process.memoryUsage().arrayBuffers - before < 16 * 1024 * 1024)
  // Counted, and not kept: to put so many pieces together takes longer than they do to come.
  client.socket.removeAllListeners('data')
  let arrived = client.received.length
  client.socket.on('data', (piece: Buffer) => {
    arrived += piece.length
  })
  client.socket.resume()
  await until(() => arrived === written, 'everything arrives in the end')
})

async function startPlainCaller(
  t: TestContext,
  ports: readonly number[],
  traffic: Omit<UpstreamTraffic, 'origins'> = {},
): Promise<TestPlane> {
  const upstream = 'shop/orders-db:5432'
  const plaintext: Upstream = {
    service: 'shop/orders-db',
    port: 5432,
    protocol: 'tcp',
    tls: 'plaintext',
    spiffeIds: [],
    traffic: { origins: [], ...traffic },
  }
  return startPlane(t, {
    config: workloadConfig([], {
      upstreams: { [upstream]: plaintext },
      outbound: { services: [ORDERS_DB], egress: [] },
    }),
    placement: { tcp: [{ upstream, bind: LOOPBACK }] },
    identity: await mesh.identity('orders'),
    endpoints: { [upstream]: ports.map((port) => endpoint(port)) },
  })
}

test('connections go to the endpoint with fewer of them, and an endpoint that nobody reaches is put aside', async (t) => {
  const [a, b] = [await rawBackend(t), await rawBackend(t)]
  const spread = await startPlainCaller(t, [a.port, b.port])
  for (let i = 1; i <= 10; i++) {
    const client = await dialPlain(spread.port('shop/orders-db:5432'))
    t.after(() => client.destroy())
    await until(() => a.sockets.length + b.sockets.length === i, 'it is led on')
  }
  assert.deepEqual([a.sockets.length, b.sockets.length], [5, 5])

  const gone = await startPlainCaller(t, [await freePort(), a.port])
  for (let i = 1; i <= 10; i++) {
    const client = await dialPlain(gone.port('shop/orders-db:5432'))
    t.after(() => client.destroy())
    await until(() => a.sockets.length === 5 + i, 'it is led on')
  }
})

test('no more connections than an upstream may have are made, and one that ends makes room', async (t) => {
  const backend = await rawBackend(t)
  const caller = await startPlainCaller(t, [backend.port], { circuitBreaker: { maxConnections: 2, maxPending: 0 } })
  const dial = async () => {
    const client = await dialPlain(caller.port('shop/orders-db:5432'))
    t.after(() => client.destroy())
    return client
  }
  const first = await dial()
  await dial()
  await until(() => backend.sockets.length === 2, 'two are led on')
  await (await dial()).closed()
  assert.equal(caller.connections.at(-1)?.refusal?.denial, 'upstream-overflow')
  first.socket.resetAndDestroy()
  await until(() => caller.plane.stats().upstreamConnections === 1, 'one has ended')
  await dial()
  await until(() => backend.sockets.length === 3, 'there is room again')
})
