import assert from 'node:assert/strict'
import { once } from 'node:events'
import { before, type TestContext, test } from 'node:test'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import type {
  ListenerCertificate,
  StreamListener,
  StreamRoute,
  WorkloadConfig,
} from '../../contract/workload-config.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { helloMessage, inRecords, serverNames } from '../client-hello/testing/hello.ts'
import { testId } from '../identity/testing/test-identity.ts'
import { freePort, listen, type RawBackend, rawBackend } from './testing/backend.ts'
import { dialPlain, dialTls, type TestClient } from './testing/client.ts'
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
  type TestPlaneOptions,
  workloadConfig,
} from './testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

const DB = 'shop/db:443'
const OTHER = 'shop/other:443'

function plainUpstream(service: string) {
  return { service, port: 443, protocol: 'tcp' as const, tls: 'plaintext' as const, spiffeIds: [] }
}

function routeTo(hostnames: readonly string[], more: Partial<StreamRoute> = {}, upstream = DB): StreamRoute {
  return {
    id: `TLSRoute/shop/${hostnames[0] ?? 'any'}/0`,
    origin: 'TLSRoute/shop/any@1',
    hostnames: [...hostnames],
    filters: {},
    backends: [{ upstream, weight: 1 }],
    ...more,
  }
}

function passthrough(more: Partial<StreamListener> = {}): StreamListener {
  return {
    name: 'tls',
    port: 443,
    protocol: 'tls',
    mode: 'passthrough',
    certificates: [],
    routes: [routeTo(['db.example'])],
    ...more,
  }
}

function tcp(more: Partial<StreamListener> = {}): StreamListener {
  return { name: 'tcp', port: 5432, protocol: 'tcp', certificates: [], routes: [routeTo([])], ...more }
}

function edgeConfig(streams: readonly StreamListener[], more: Partial<WorkloadConfig> = {}): WorkloadConfig {
  return workloadConfig([], {
    workload: 'shop/gateway',
    role: 'gateway',
    streams: [...streams],
    upstreams: { [DB]: plainUpstream('shop/db'), [OTHER]: plainUpstream('shop/other') },
    ...more,
  })
}

/** A gateway whose listeners share one address. */
async function startEdge(
  t: TestContext,
  endpoints: Readonly<Record<string, number>>,
  streams: readonly StreamListener[] = [passthrough()],
  more: Partial<TestPlaneOptions> & { readonly edge?: Partial<WorkloadConfig> } = {},
): Promise<TestPlane & { readonly at: (listener: string) => number }> {
  const isShared = streams.length > 1
  const bind = isShared ? { host: LOOPBACK.host, port: await freePort() } : LOOPBACK
  const plane = await startPlane(t, {
    identity: await mesh.identity('gateway'),
    config: edgeConfig(streams, more.edge),
    endpoints: Object.fromEntries(Object.entries(endpoints).map(([name, port]) => [name, [endpoint(port)]])),
    placement: {
      gateway: streams.map(({ name }) => ({ listener: name, bind })),
    },
    ...more,
  })
  return { ...plane, at: (listener) => (isShared ? bind.port : plane.port(listener)) }
}

interface TlsBackend {
  readonly port: number
  readonly sockets: readonly TLSSocket[]
  received(): string
}

/** An application that ends TLS itself, with a certificate of its own, and says what it is called. */
async function tlsBackend(t: TestContext, hostname: string): Promise<TlsBackend> {
  const { chain, privateKey } = await mesh.ca.issue({ uris: [], dnsNames: [hostname] })
  const sockets: TLSSocket[] = []
  let received = ''
  const server = createTlsServer({ key: privateKey, cert: chain, ALPNProtocols: ['secret/1'], allowHalfOpen: true })
  server.on('secureConnection', (socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString()
      socket.write(`${hostname} heard ${chunk}`)
    })
    socket.on('end', () => socket.end(`${hostname} says goodbye`))
  })
  server.on('tlsClientError', () => {})
  return { port: await listen(t, server, sockets), sockets, received: () => received }
}

async function dial(port: number, servername: string): Promise<TestClient & { readonly socket: TLSSocket }> {
  const client = await dialTls({
    host: '127.0.0.1',
    port,
    servername,
    ca: [mesh.ca.root],
    ALPNProtocols: ['secret/1'],
    allowHalfOpen: true,
  })
  return client as TestClient & { readonly socket: TLSSocket }
}

function hello(...names: readonly string[]): Buffer {
  return Buffer.from(inRecords(helloMessage(names.length === 0 ? {} : { extensions: [serverNames(...names)] })))
}

/** A fatal alert `unrecognized_name` (RFC 8446, 6; RFC 6066, 9), in a record of its own. */
const UNRECOGNIZED = Buffer.from([21, 3, 3, 0, 2, 2, 112])
const DECODE_ERROR = Buffer.from([21, 3, 3, 0, 2, 2, 50])

test('TLS is passed through by the name asked for, and the client sees the certificate of the backend', async (t) => {
  const [db, other] = [await tlsBackend(t, 'db.example'), await tlsBackend(t, 'any.shop.example')]
  const listener = passthrough({ routes: [routeTo(['db.example']), routeTo(['*.shop.example'], {}, OTHER)] })
  const edge = await startEdge(t, { [DB]: db.port, [OTHER]: other.port }, [listener])
  const client = await dial(edge.at('tls'), 'db.example')
  assert.equal(client.socket.getPeerCertificate().subjectaltname, 'DNS:db.example')
  assert.equal(client.socket.alpnProtocol, 'secret/1')
  client.send('hello')
  await client.text('db.example heard hello')
  // What the client has to say is over, what it has to hear is not.
  client.socket.end()
  await client.text('db.example says goodbye')
  await client.closed()
  const second = await dial(edge.at('tls'), 'any.shop.example')
  t.after(() => second.destroy())
  second.send('hi')
  await second.text('any.shop.example heard hi')
  await until(() => edge.connections.length === 1, 'the first connection is told of')
  const [record] = edge.connections
  assert.equal(record?.outcome, 'allowed')
  assert.equal(record?.listener, 'tls')
  assert.equal(record?.upstream, DB)
  assert.ok((record?.bytesIn ?? 0) > 'hello'.length, 'the hello of TLS is counted too')
})

test('TLS that is passed through goes over mutual TLS to a workload of the mesh', async (t) => {
  const app = await tlsBackend(t, 'db.example')
  const workload = await startPlane(t, {
    config: workloadConfig([
      inbound(8443, { protocol: 'tcp', routes: [], filters: gateSlots({ spiffeIds: [testId('gateway')] }) }),
    ]),
    placement: { inbound: [{ containerPort: 8443, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
    identity: await mesh.identity('db'),
  })
  const upstreams = { [DB]: meshUpstream('db', 'tcp', 443) }
  const edge = await startEdge(t, { [DB]: workload.port('8443') }, [passthrough()], { edge: { upstreams } })
  const client = await dial(edge.at('tls'), 'db.example')
  t.after(() => client.destroy())
  assert.equal(client.socket.getPeerCertificate().subjectaltname, 'DNS:db.example')
  client.send('select 1')
  await client.text('db.example heard select 1')
  client.destroy()
  await until(() => workload.connections.length === 1, 'the sidecar tells of it')
  assert.equal(workload.connections[0]?.spiffeId, testId('gateway'))
})

test('a hello in many records and segments is passed on as it came', async (t) => {
  const backend = await rawBackend(t)
  const edge = await startEdge(t, { [DB]: backend.port })
  const client = await dialPlain(edge.at('tls'))
  t.after(() => client.destroy())
  client.socket.setNoDelay(true)
  const bytes = Buffer.from(
    inRecords(helloMessage({ extensions: [[0x0a0a, new Uint8Array(3_000)], serverNames('DB.Example')] }), 700),
  )
  for (let at = 0; at < bytes.length; at += 500) {
    assert.equal(backend.sockets.length, 0, 'nobody is dialled before the name is known')
    await new Promise<void>((resolve) => client.socket.write(bytes.subarray(at, at + 500), () => resolve()))
  }
  await backend.waitFor(bytes.toString('latin1'))
  client.send('more')
  await backend.waitFor(`${bytes.toString('latin1')}more`)
})

test('T14: a name that nobody is served by, or none at all, is told so and leads nowhere', async (t) => {
  const backend = await rawBackend(t)
  const edge = await startEdge(t, { [DB]: backend.port }, [
    passthrough({ hostname: '*.example', routes: [routeTo(['db.example'])] }),
  ])
  const asked: readonly (readonly [Buffer, string, string])[] = [
    [hello('other.example'), 'tls', 'other.example'],
    [hello('db.test'), 'tls', 'db.test'],
    [hello(), 'tls', 'no server name'],
  ]
  for (const [i, [bytes, listener, detail]] of asked.entries()) {
    const client = await dialPlain(edge.at('tls'))
    client.send(bytes)
    await client.closed()
    assert.deepEqual(client.received, UNRECOGNIZED, detail)
    client.destroy()
    const record = edge.connections[i]
    assert.equal(record?.outcome, 'denied')
    assert.equal(record?.refusal?.denial, 'unrecognized-name')
    assert.equal(record?.refusal?.detail, detail)
    assert.equal(record?.listener, listener)
  }
  assert.equal(backend.sockets.length, 0)
  // A real client understands the alert.
  await assert.rejects(dial(edge.at('tls'), 'other.example'), /unrecognized name/i)
})

test('T14 T15: a hello that two readers could read differently leads nowhere', async (t) => {
  const backend = await rawBackend(t)
  const edge = await startEdge(t, { [DB]: backend.port }, [passthrough({ routes: [routeTo([])] })])
  const broken = Buffer.from(helloMessage({ extensions: [serverNames('db.example')] }))
  broken[4 + 2 + 32] = 255
  const asked: readonly (readonly [Buffer, string, Buffer])[] = [
    [hello('db.example', 'other.example'), 'two-names', UNRECOGNIZED],
    [hello('db.example\0.test'), 'malformed-name', UNRECOGNIZED],
    [hello('db.example.'), 'malformed-name', UNRECOGNIZED],
    [hello('127.0.0.1'), 'malformed-name', UNRECOGNIZED],
    [Buffer.from(inRecords(broken)), 'malformed', DECODE_ERROR],
    [Buffer.from([22, 3, 1, 64, 0, 1, 0, 64, 0]), 'too-long', DECODE_ERROR],
    [Buffer.from([22, 3, 1, 0, 1, 2]), 'not-a-client-hello', DECODE_ERROR],
    [Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'not-tls', Buffer.alloc(0)],
  ]
  for (const [i, [bytes, reason, answer]] of asked.entries()) {
    const client = await dialPlain(edge.at('tls'))
    client.send(bytes)
    await client.closed()
    assert.deepEqual(client.received, answer, reason)
    client.destroy()
    assert.equal(edge.connections[i]?.refusal?.denial, 'client-hello')
    assert.equal(edge.connections[i]?.refusal?.detail, reason)
  }
  assert.equal(backend.sockets.length, 0)
})

test('T20: a client that takes its time over a hello is closed when that of a head is over', async (t) => {
  const clock = createManualClock(Date.now())
  const backend = await rawBackend(t)
  const edge = await startEdge(t, { [DB]: backend.port }, [passthrough()], { clock })
  const client = await dialPlain(edge.at('tls'))
  t.after(() => client.destroy())
  client.send(hello('db.example').subarray(0, 20))
  await until(() => edge.plane.stats().connections === 1, 'it is accepted')
  await clock.advance(9_000)
  assert.equal(client.isClosed, false)
  await clock.advance(1_200)
  await client.closed()
  assert.equal(client.received.length, 0)
  assert.equal(edge.connections[0]?.refusal?.detail, 'timeout')
})

test('a client that goes in the middle of its hello leaves nothing behind', async (t) => {
  const edge = await startEdge(t, {})
  const client = await dialPlain(edge.at('tls'))
  client.send(hello('db.example').subarray(0, 20))
  await until(() => edge.plane.stats().connections === 1, 'it is accepted')
  client.socket.end()
  await client.closed()
  await until(() => edge.plane.stats().connections === 0, 'it is gone')
})

test('listeners of one port are told apart by name: one passes through, another ends TLS itself', async (t) => {
  const [db, app] = [
    await tlsBackend(t, 'db.example'),
    await rawBackend(t, (text, socket) => socket.write(`<${text}>`)),
  ]
  const { chain, privateKey } = await mesh.ca.issue({ uris: [], dnsNames: ['app.example'] })
  const certificate: ListenerCertificate = { source: 'secret', name: 'shop/app', certificate: chain, privateKey }
  const edge = await startEdge(t, { [DB]: db.port, [OTHER]: app.port }, [
    passthrough({ hostname: 'db.example' }),
    passthrough({
      name: 'ended',
      mode: 'terminate',
      hostname: 'app.example',
      certificates: [certificate],
      routes: [routeTo(['app.example'], {}, OTHER)],
    }),
  ])
  const through = await dial(edge.at('tls'), 'db.example')
  t.after(() => through.destroy())
  assert.equal(through.socket.getPeerCertificate().subjectaltname, 'DNS:db.example')
  const ended = await dial(edge.at('ended'), 'app.example')
  assert.equal(ended.socket.getPeerCertificate().subjectaltname, 'DNS:app.example')
  assert.equal(ended.socket.alpnProtocol, false)
  ended.send('plain')
  await app.waitFor('plain')
  await ended.text('<plain>')
  ended.socket.end()
  await until(() => app.sockets[0]?.readableEnded === true, 'the end of one direction comes through')
  app.sockets[0]?.end('the end')
  await ended.text('the end')
  await ended.closed()
  const record = edge.connections.find(({ listener }) => listener === 'ended')
  assert.equal(record?.bytesIn, 'plain'.length)
})

test('a port of TCP leads all its connections to one route, and the server may speak first', async (t) => {
  const backend = await rawBackend(t)
  const edge = await startEdge(t, { [DB]: backend.port }, [tcp()])
  const client = await dialPlain(edge.at('tcp'))
  await until(() => backend.sockets.length === 1, 'the backend is connected to before the client says a word')
  backend.sockets[0]?.write('220 ready')
  await client.text('220 ready')
  const ended = once(backend.sockets[0] as NonNullable<RawBackend['sockets'][number]>, 'end')
  client.send('quit')
  client.socket.end()
  await backend.waitFor('quit')
  await ended
  backend.sockets[0]?.end('bye')
  await client.text('bye')
  await client.closed()
})

test('connections go to backends by weight, and the share of one that does not resolve is closed', async (t) => {
  const [db, other] = [await rawBackend(t), await rawBackend(t)]
  const backends = [
    { upstream: DB, weight: 2 },
    { upstream: OTHER, weight: 1 },
    { upstream: '', weight: 1 },
    { upstream: 'shop/nobody:443', weight: 0 },
  ]
  const edge = await startEdge(t, { [DB]: db.port, [OTHER]: other.port }, [
    tcp({ routes: [routeTo([], { backends })] }),
  ])
  for (let i = 0; i < 8; i++) {
    const client = await dialPlain(edge.at('tcp'))
    t.after(() => client.destroy())
    await until(
      () => db.sockets.length + other.sockets.length + edge.connections.length === i + 1,
      'it is connected, or told of as refused',
    )
  }
  assert.deepEqual([db.sockets.length, other.sockets.length], [4, 2])
  assert.deepEqual(
    edge.connections.map(({ refusal, outcome }) => [refusal?.denial, outcome]),
    [
      ['backend-unresolved', 'failed'],
      ['backend-unresolved', 'failed'],
    ],
  )
})

test('where nobody has a weight, no endpoint is there, or no route is attached, connections are closed', async (t) => {
  const refused = async (edge: Awaited<ReturnType<typeof startEdge>>) => {
    const client = await dialPlain(edge.at('tcp'))
    await client.closed()
    client.destroy()
    return edge.connections.at(-1)?.refusal?.denial
  }
  const none = [tcp({ routes: [routeTo([], { backends: [{ upstream: DB, weight: 0 }] })] })]
  assert.equal(await refused(await startEdge(t, {}, none)), 'backend-unresolved')
  assert.equal(await refused(await startEdge(t, {}, [tcp()])), 'no-endpoints')
  assert.equal(await refused(await startEdge(t, {}, [tcp({ routes: [] })])), 'no-route')
  const gone = await freePort()
  assert.equal(await refused(await startEdge(t, { [DB]: gone }, [tcp()])), 'upstream-connect')
})

const SHUT: GateConfig = { spiffeIds: [testId('nobody')] }

test('T13: policies judge a connection by its address before anybody is dialled', async (t) => {
  const backend = await rawBackend(t)
  const seen: string[] = []
  const gated: GateConfig = { ...SHUT, later: true, seen: (_, clientIp) => seen.push(clientIp) }
  const edge = await startEdge(t, { [DB]: backend.port }, [
    passthrough({ routes: [routeTo(['db.example'], { filters: gateSlots(gated) })] }),
  ])
  const client = await dialPlain(edge.at('tls'))
  t.after(() => client.destroy())
  client.send(hello('db.example'))
  await client.closed()
  assert.deepEqual(seen, ['127.0.0.1'])
  assert.equal(backend.sockets.length, 0)
  const [record] = edge.connections
  assert.equal(record?.outcome, 'denied')
  assert.equal(record?.refusal?.denial, 'gate-shut')
  assert.deepEqual(record?.refusal?.origins, ['shop/gate@1'])
})

test('an open tunnel is cut when policy, its route or its listener turns against it, and by nothing else', async (t) => {
  const backend = await rawBackend(t)
  const listener = passthrough()
  const edge = await startEdge(t, { [DB]: backend.port }, [listener])
  const open = async (): Promise<TestClient> => {
    const client = await dialPlain(edge.at('tls'))
    t.after(() => client.destroy())
    const before = backend.sockets.length
    client.send(hello('db.example'))
    await until(() => backend.sockets.length === before + 1, 'the tunnel is open')
    return client
  }
  const stays: readonly (readonly StreamListener[])[] = [
    [passthrough({ routes: [routeTo(['*.example'])] })],
    [
      passthrough({
        routes: [
          routeTo(['db.example'], {
            backends: [
              { upstream: DB, weight: 0 },
              { upstream: OTHER, weight: 1 },
            ],
          }),
        ],
      }),
    ],
    [passthrough({ routes: [routeTo(['db.example'], { filters: gateSlots({ denyPath: '/x' }) })] })],
  ]
  const kept = await open()
  for (const [i, streams] of stays.entries()) {
    await edge.swap(edgeConfig(streams))
    kept.send(`still ${i}`)
    await backend.waitFor(`still ${i}`)
  }
  kept.destroy()
  backend.sockets[0]?.destroy()
  await until(() => edge.connections.length === 1, 'it is told of as over')
  const cuts: readonly (readonly [readonly StreamListener[], string])[] = [
    [[passthrough({ routes: [routeTo(['db.example'], { filters: gateSlots(SHUT) })] })], 'gate-shut'],
    [[passthrough({ routes: [routeTo(['db.example'], {}, OTHER)] })], 'not-serving'],
    [[passthrough({ routes: [routeTo(['other.example'])] })], 'unrecognized-name'],
    [[passthrough({ mode: 'terminate' })], 'not-serving'],
    [[], 'not-serving'],
  ]
  for (const [streams, denial] of cuts) {
    await edge.swap(edgeConfig([listener]))
    const client = await open()
    const before = edge.connections.length
    await edge.swap(edgeConfig(streams))
    await client.closed()
    await until(() => edge.connections.length > before, 'it is told of')
    assert.equal(edge.connections.at(-1)?.outcome, 'denied')
    assert.equal(edge.connections.at(-1)?.refusal?.denial, denial)
  }
})

test('F19: tunnels go on while a gateway drains, and new clients find nobody', async (t) => {
  const backend = await rawBackend(t)
  const edge = await startEdge(t, { [DB]: backend.port }, [tcp()])
  const port = edge.at('tcp')
  const client = await dialPlain(port)
  await until(() => backend.sockets.length === 1, 'the tunnel is open')
  const drained = edge.plane.drain(30_000)
  await assert.rejects(dialPlain(port), { code: 'ECONNREFUSED' })
  client.send('still here')
  await backend.waitFor('still here')
  client.socket.end()
  await until(() => backend.sockets[0]?.readableEnded === true, 'the end comes through')
  backend.sockets[0]?.end()
  await drained
})
