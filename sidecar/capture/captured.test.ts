import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { before, type TestContext, test } from 'node:test'
import { MESH_ALPN } from '../../contract/alpn.ts'
import type { EndpointsDocument } from '../../contract/endpoints.ts'
import type { OutboundService, WorkloadConfig } from '../../contract/workload-config.ts'
import type { Identity } from '../identity/identity.ts'
import { testId } from '../identity/testing/test-identity.ts'
import { freePort } from '../serve/testing/backend.ts'
import { dialMesh, dialPlain, get } from '../serve/testing/client.ts'
import { until } from '../serve/testing/until.ts'
import {
  createTestMesh,
  forwardTo,
  gateSlots,
  inbound,
  meshUpstream,
  route,
  startPlane,
  type TestMesh,
  type TestPlane,
  workloadConfig,
} from '../serve/testing/world.ts'
import { createCapture } from './capture.ts'
import type { Destination } from './destination.ts'

/** What is captured needs a kernel that redirects; here a test says where each connection was going. */

const POD_IP = '127.0.0.2'
const OTHER_POD_IP = '127.0.0.3'
const SELF = '127.0.0.4'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

interface Captured extends TestPlane {
  /** Where connections to the inbound and the outbound port were going, from now on. */
  readonly going: { inbound: Destination | undefined; outbound: Destination | undefined }
}

async function startCaptured(
  t: TestContext,
  given: {
    readonly config: WorkloadConfig
    readonly identity: Identity
    readonly endpoints?: EndpointsDocument['endpoints']
    readonly podIp?: string
  },
): Promise<Captured> {
  const { podIp = POD_IP } = given
  const going: Captured['going'] = { inbound: undefined, outbound: undefined }
  const outbound = await freePort()
  const plane = await startPlane(t, {
    config: given.config,
    identity: given.identity,
    ...(given.endpoints && { endpoints: given.endpoints }),
    placement: {},
    options: {
      capture: createCapture({
        podIps: [podIp],
        inbound: [{ host: '127.0.0.1', port: 0 }],
        outbound: [{ host: '127.0.0.1', port: outbound }],
        self: SELF,
        originalDestination: ({ localPort }) => (localPort === outbound ? going.outbound : going.inbound),
        lookup: () => Promise.reject(new Error('no DNS here')),
      }),
    },
  })
  return { ...plane, going }
}

async function listenAt(t: TestContext, server: Server, host: string, port = 0): Promise<number> {
  const sockets: Socket[] = []
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => {})
    sockets.push(socket)
  })
  server.listen(port, host)
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return address.port
}

function http(t: TestContext, host: string, handler: RequestListener, port = 0): Promise<number> {
  return listenAt(t, createHttpServer(handler), host, port)
}

function service(port: number, more: Partial<OutboundService> = {}): OutboundService {
  return {
    service: 'shop/orders',
    hosts: ['orders'],
    addresses: ['10.96.0.7'],
    port,
    protocol: 'http',
    upstream: 'shop/orders:80',
    requestTimeoutMs: 60_000,
    ...more,
  }
}

/** A sidecar of `orders` at `host`, which says its name. */
async function startOrders(t: TestContext, host: string, name: string): Promise<TestPlane> {
  const app = await http(t, '127.0.0.1', (request, response) => response.end(`${name} ${request.headers.host}`))
  return startPlane(t, {
    config: workloadConfig([inbound(8080, {}, { spiffeIds: [testId('storefront')] })]),
    identity: await mesh.identity('orders'),
    placement: {
      inbound: [{ containerPort: 8080, bind: { host, port: 0 }, app: { host: '127.0.0.1', port: app } }],
    },
  })
}

/** What a connection that is closed at once ends with; its closing may come before it was told that it is open. */
async function dialClosed(port: number): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' })
  let ended = 'end'
  socket.on('error', (error: NodeJS.ErrnoException) => {
    ended = error.code ?? error.message
  })
  socket.resume()
  await new Promise((resolve) => socket.once('close', resolve))
  return ended
}

function lastRefusal({ connections }: TestPlane) {
  return connections.at(-1)?.refusal
}

test('a captured connection is forwarded to the very address and port that it was for', async (t) => {
  const elsewhere = createServer()
  const port = await listenAt(t, elsewhere, '127.0.0.1', await freePort())
  await http(t, POD_IP, (_request, response) => response.end('at the pod'), port)
  elsewhere.on('connection', () => assert.fail('loopback was dialled'))
  const plane = await startCaptured(t, {
    config: workloadConfig([inbound(port, {}, { spiffeIds: [testId('storefront')] })]),
    identity: await mesh.identity('orders'),
  })
  plane.going.inbound = { address: POD_IP, port }
  const client = await dialMesh(plane.port('inbound'), await mesh.identity('storefront'), testId('orders'))
  t.after(() => client.destroy())
  const response = await client.request(get('/x'))
  assert.equal(response.body, 'at the pod')
  assert.equal(plane.requests[0]?.listener, String(port))
  assert.equal(plane.requests[0]?.spiffeId, testId('storefront'))
})

test('T07: plaintext to a captured port is closed without a byte while it is Strict, and taken while it is not', async (t) => {
  const port = await http(t, POD_IP, (_request, response) => response.end('hello'))
  const plane = await startCaptured(t, {
    config: workloadConfig([inbound(port)]),
    identity: await mesh.identity('orders'),
  })
  plane.going.inbound = { address: POD_IP, port }
  const refused = await dialPlain(plane.port('inbound'))
  refused.send(get('/'))
  await refused.closed()
  assert.equal(refused.received.length, 0)
  assert.equal(lastRefusal(plane)?.denial, 'plaintext-refused')

  await plane.swap(workloadConfig([inbound(port, { mtls: 'Permissive' })]))
  const taken = await dialPlain(plane.port('inbound'))
  t.after(() => taken.destroy())
  assert.equal((await taken.request(get('/'))).status, 200)
})

test('T10: what is for another port, another address, or nobody that the kernel knows of is closed, and counted', async (t) => {
  const plane = await startCaptured(t, {
    config: workloadConfig([inbound(8080)]),
    identity: await mesh.identity('orders'),
  })
  const own = plane.port('inbound')
  const cases: readonly (readonly [Destination | undefined, string])[] = [
    [{ address: POD_IP, port: 8081 }, 'undeclared-port'],
    [{ address: OTHER_POD_IP, port: 8080 }, 'not-captured'],
    [{ address: '127.0.0.1', port: 8080 }, 'not-captured'],
    [{ address: '127.0.0.1', port: own }, 'not-captured'],
    [undefined, 'not-captured'],
  ]
  for (const [destination, denial] of cases) {
    plane.going.inbound = destination
    const client = await dialPlain(own)
    await client.closed()
    await until(() => lastRefusal(plane)?.denial === denial, `${denial} of ${JSON.stringify(destination)}`)
    assert.equal(plane.connections.at(-1)?.listener, 'captured')
    assert.equal(plane.connections.at(-1)?.outcome, 'denied')
    plane.connections.length = 0
  }
})

test('a port that leaves the config is no longer served, and one that comes is', async (t) => {
  const port = await http(t, POD_IP, (_request, response) => response.end('hello'))
  const plane = await startCaptured(t, { config: workloadConfig([]), identity: await mesh.identity('orders') })
  plane.going.inbound = { address: POD_IP, port }
  const early = await dialPlain(plane.port('inbound'))
  await early.closed()
  assert.equal(lastRefusal(plane)?.denial, 'undeclared-port')
  await plane.swap(workloadConfig([inbound(port)]))
  const identity = await mesh.identity('storefront')
  const client = await dialMesh(plane.port('inbound'), identity, testId('orders'))
  t.after(() => client.destroy())
  assert.equal((await client.request(get('/'))).status, 200)
  await plane.swap(workloadConfig([]))
  assert.equal((await client.request(get('/'))).status, 503)
})

test('T33: the address that was dialled names the Service, and Host, whatever it says, is passed on', async (t) => {
  const orders = await startOrders(t, POD_IP, 'orders')
  const plane = await startCaptured(t, {
    config: workloadConfig([], {
      outbound: { services: [service(80)], egress: [] },
      upstreams: { 'shop/orders:80': meshUpstream('orders') },
    }),
    identity: await mesh.identity('storefront'),
    endpoints: { 'shop/orders:80': [{ address: POD_IP, port: orders.port('8080'), pod: 'shop/orders-0' }] },
    podIp: OTHER_POD_IP,
  })
  plane.going.outbound = { address: '10.96.0.7', port: 80 }
  const client = await dialPlain(plane.port('outbound'))
  t.after(() => client.destroy())
  for (const host of ['orders', 'payments.shop', '203.0.113.7:9999']) {
    assert.equal((await client.request(get('/', [], host))).body, `orders ${host}`)
  }
  assert.equal(plane.requests[0]?.upstream, 'shop/orders:80')
  assert.equal(plane.requests[0]?.route, 'Service/shop/orders:80')
  assert.equal(orders.requests[0]?.spiffeId, testId('storefront'))

  // The connection is still for that address, and the newest config says what is there.
  await plane.swap(workloadConfig([]))
  const refused = await client.request(get('/', [], 'orders'))
  assert.equal(refused.status, 403)
  assert.equal(JSON.parse(refused.body).denial, 'outbound-unknown-address')
  await client.closed()
})

test('routes are for calls to the address of a Service, and whoever dials a pod asks that pod', async (t) => {
  const [orders, next] = [await startOrders(t, OTHER_POD_IP, 'orders'), await startOrders(t, OTHER_POD_IP, 'next')]
  const plane = await startCaptured(t, {
    config: workloadConfig([], {
      workload: 'shop/storefront',
      upstreams: { 'shop/orders:80': meshUpstream('orders'), 'shop/next:80': meshUpstream('orders') },
      outbound: {
        services: [
          service(80, {
            routing: {
              origins: ['HTTPRoute/shop/orders@1'],
              routes: [
                route(forwardTo('shop/next:80'), {
                  match: { hostnames: [], path: { type: 'prefix', value: '/next' }, headers: [], query: [] },
                }),
              ],
            },
          }),
        ],
        egress: [],
      },
    }),
    identity: await mesh.identity('storefront'),
    endpoints: {
      'shop/orders:80': [{ address: OTHER_POD_IP, port: orders.port('8080'), pod: 'shop/orders-0' }],
      'shop/next:80': [{ address: OTHER_POD_IP, port: next.port('8080'), pod: 'shop/next-0' }],
    },
  })
  const ask = async (path: string) => {
    const client = await dialPlain(plane.port('outbound'))
    t.after(() => client.destroy())
    return client.request(get(path, [], 'whatever.example'))
  }
  plane.going.outbound = { address: '10.96.0.7', port: 80 }
  assert.equal((await ask('/next')).body, 'next whatever.example')
  assert.equal((await ask('/')).status, 404)
  plane.going.outbound = { address: OTHER_POD_IP, port: orders.port('8080') }
  assert.equal((await ask('/next')).body, 'orders whatever.example')
})

test('F19: a pod that was dialled by its own address answers, and none of its siblings; one that leaves, to the last request', async (t) => {
  const [a, b] = [await startOrders(t, POD_IP, 'a'), await startOrders(t, OTHER_POD_IP, 'b')]
  const endpoints = [
    { address: POD_IP, port: a.port('8080'), pod: 'shop/orders-a' },
    { address: OTHER_POD_IP, port: b.port('8080'), pod: 'shop/orders-b' },
  ]
  const plane = await startCaptured(t, {
    config: workloadConfig([], {
      outbound: { services: [service(80, { addresses: [] })], egress: [] },
      upstreams: { 'shop/orders:80': meshUpstream('orders') },
    }),
    identity: await mesh.identity('storefront'),
    endpoints: { 'shop/orders:80': endpoints },
    podIp: '127.0.0.9',
  })
  plane.going.outbound = { address: OTHER_POD_IP, port: b.port('8080') }
  const client = await dialPlain(plane.port('outbound'))
  t.after(() => client.destroy())
  for (let i = 0; i < 10; i++) assert.equal((await client.request(get('/', [], 'x'))).body, 'b x')
  plane.setEndpoints({ 'shop/orders:80': endpoints.slice(0, 1) })
  const last = await client.request(get('/', [], 'x'))
  assert.equal(last.body, 'b x')
  assert.equal(last.headers.get('connection'), 'close')
  await client.closed()
  assert.equal(await dialClosed(plane.port('outbound')), 'ECONNRESET')
})

test('opaque TCP passes from the first byte, whoever speaks first, and is cut when the Service is no longer known', async (t) => {
  const backend = createServer((socket) => socket.write('welcome\n'))
  const app = await listenAt(t, backend, '127.0.0.1')
  const tcp = inbound(6379, { protocol: 'tcp', routes: [], filters: gateSlots({}) })
  const cache = await startPlane(t, {
    config: workloadConfig([tcp]),
    identity: await mesh.identity('orders'),
    placement: {
      inbound: [{ containerPort: 6379, bind: { host: POD_IP, port: 0 }, app: { host: '127.0.0.1', port: app } }],
    },
  })
  const upstream = 'shop/orders:6379'
  const plane = await startCaptured(t, {
    config: workloadConfig([], {
      outbound: { services: [service(6379, { protocol: 'tcp', upstream })], egress: [] },
      upstreams: { [upstream]: meshUpstream('orders', 'tcp', 6379) },
    }),
    identity: await mesh.identity('storefront'),
    endpoints: { [upstream]: [{ address: POD_IP, port: cache.port('6379'), pod: 'shop/orders-0' }] },
    podIp: OTHER_POD_IP,
  })
  plane.going.outbound = { address: '10.96.0.7', port: 6379 }
  const client = await dialPlain(plane.port('outbound'))
  await client.text('welcome')
  await plane.swap(workloadConfig([]))
  await client.closed()
  await until(() => lastRefusal(plane)?.denial === 'outbound-unknown-address', 'the end is told')
})

test('T10: the outbound port is no relay: what was not redirected, or was going to itself, is closed', async (t) => {
  const plane = await startCaptured(t, {
    config: workloadConfig([], {
      outbound: { services: [], egress: [{ name: 'all', cidr: '0.0.0.0/0', ports: [80] }] },
    }),
    identity: await mesh.identity('storefront'),
  })
  const port = plane.port('outbound')
  for (const destination of [undefined, { address: '127.0.0.1', port }, { address: POD_IP, port }]) {
    plane.going.outbound = destination
    await dialClosed(port)
    await until(() => lastRefusal(plane)?.denial === 'not-captured', JSON.stringify(destination))
    plane.connections.length = 0
  }
})

test('T33: an address that nobody named is reset, and told with its port', async (t) => {
  const plane = await startCaptured(t, { config: workloadConfig([]), identity: await mesh.identity('storefront') })
  plane.going.outbound = { address: '203.0.113.7', port: 443 }
  assert.equal(await dialClosed(plane.port('outbound')), 'ECONNRESET')
  await until(() => lastRefusal(plane) !== undefined, 'told')
  assert.equal(lastRefusal(plane)?.denial, 'outbound-unknown-address')
  assert.equal(lastRefusal(plane)?.detail, '203.0.113.7:443')
})

test('a pod that calls its own Service passes its own inbound policy, and is itself the caller', async (t) => {
  const port = await http(t, POD_IP, (_request, response) => response.end('myself'), await freePort())
  const own = (spiffeIds: readonly string[]) =>
    workloadConfig([inbound(port, {}, { spiffeIds })], {
      outbound: { services: [service(80)], egress: [] },
      upstreams: { 'shop/orders:80': meshUpstream('orders') },
    })
  const plane = await startCaptured(t, {
    config: own([testId('orders')]),
    identity: await mesh.identity('orders'),
    endpoints: { 'shop/orders:80': [{ address: POD_IP, port, pod: 'shop/orders-0' }] },
  })
  // As the kernel would, for the sidecar alone.
  const redirect = createServer((socket) => socket.pipe(connect(plane.port('inbound'), '127.0.0.1')).pipe(socket))
  await listenAt(t, redirect, SELF, port)
  plane.going.inbound = { address: SELF, port }
  plane.going.outbound = { address: '10.96.0.7', port: 80 }
  const client = await dialPlain(plane.port('outbound'))
  t.after(() => client.destroy())
  assert.equal((await client.request(get('/'))).body, 'myself')
  const served = plane.requests.find(({ direction }) => direction === 'inbound')
  assert.equal(served?.spiffeId, testId('orders'))
  assert.equal(served?.clientIp, POD_IP)
  assert.equal(plane.requests.find(({ direction }) => direction === 'outbound')?.endpoint, `${POD_IP}:${port}`)

  await plane.swap(own([testId('storefront')]))
  assert.equal((await client.request(get('/'))).status, 403)
})

test('T33: who answers for a Service must prove that it is that Service', async (t) => {
  const orders = await startOrders(t, POD_IP, 'orders')
  const plane = await startCaptured(t, {
    config: workloadConfig([], {
      outbound: { services: [service(80)], egress: [] },
      upstreams: { 'shop/orders:80': meshUpstream('payments') },
    }),
    identity: await mesh.identity('storefront'),
    endpoints: { 'shop/orders:80': [{ address: POD_IP, port: orders.port('8080'), pod: 'shop/orders-0' }] },
    podIp: OTHER_POD_IP,
  })
  plane.going.outbound = { address: '10.96.0.7', port: 80 }
  const client = await dialPlain(plane.port('outbound'))
  t.after(() => client.destroy())
  assert.equal((await client.request(get('/'))).status, 502)
  assert.equal(orders.requests.length, 0)
})

test('a captured port of the mesh takes no other protocol than its own', async (t) => {
  const port = await http(t, POD_IP, (_request, response) => response.end('hello'))
  const plane = await startCaptured(t, {
    config: workloadConfig([inbound(port)]),
    identity: await mesh.identity('orders'),
  })
  plane.going.inbound = { address: POD_IP, port }
  const identity = await mesh.identity('storefront')
  const client = await dialMesh(plane.port('inbound'), identity, testId('orders'), MESH_ALPN.tcp)
  await client.closed()
  assert.equal(lastRefusal(plane)?.denial, 'wrong-alpn')
})
