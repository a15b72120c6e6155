import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import { before, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { testId } from '../identity/testing/test-identity.ts'
import { http2Backend, httpBackend } from './testing/backend.ts'
import { dialMesh, dialPlain } from './testing/client.ts'
import { connectHttp2Mesh } from './testing/http2-client.ts'
import {
  createTestMesh,
  endpoint,
  inbound,
  LOOPBACK,
  meshUpstream,
  startGateway,
  startPlane,
  type TestMesh,
  type TestPlane,
  workloadConfig,
} from './testing/world.ts'

/** More than sockets hold, so that writes on the way have to wait. */
const BODY_BYTES = 2 * 1024 * 1024

/** Clients at once, each with a body of its own: memory that two of them use at a time shows. */
const CLIENTS = 6

/** Bytes after which whoever reads slowly stops for a moment. */
const SLOW_BYTES = 256 * 1024

/** Awaits the end of a request that has a body as long as wanted, on a connection of its own. */
type Send = (body: Buffer, number: number) => Promise<Buffer>

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

/** Reads all of it; every other one slowly. */
async function readAll(stream: Readable, number: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let sinceRest = 0
  for await (const chunk of stream) {
    chunks.push(chunk as Buffer)
    sinceRest += (chunk as Buffer).length
    if (number % 2 === 1 || sinceRest < SLOW_BYTES) continue
    sinceRest = 0
    await sleep(1)
  }
  return Buffer.concat(chunks)
}

/** Writes it in pieces of many sizes. */
async function writeAll(stream: Writable, body: Buffer): Promise<void> {
  let at = 0
  for (let piece = 0; at < body.length; piece++) {
    const end = Math.min(body.length, at + PIECES[piece % PIECES.length]!)
    if (!stream.write(body.subarray(at, end))) await once(stream, 'drain')
    at = end
  }
  stream.end()
}

const PIECES = [100, 5_000, 16_384, 70_000, 1, 150_000, 4_096, 65_536, 20_000]

type Answer = Writable & { setHeader(name: string, value: number): unknown }

/** Sends what it got back, with a length and in chunks in turn. */
async function echo(request: Readable, response: Answer): Promise<void> {
  const { headers } = request as IncomingMessage
  const number = Number(headers['x-number'])
  const body = await readAll(request, number + 1)
  if (number % 3 === 0) response.setHeader('content-length', body.length)
  await writeAll(response, body)
}

function overHttp1(dial: () => Promise<Socket>): Send {
  return async (body, number) => {
    const socket = await dial()
    const headers = { 'x-number': number, ...(number % 2 === 0 ? { 'content-length': body.length } : {}) }
    const sent = httpRequest({ method: 'POST', host: 'orders.shop', headers, createConnection: () => socket })
    const [[response]] = await Promise.all([once(sent, 'response'), writeAll(sent, body)])
    assert.equal((response as IncomingMessage).statusCode, 200)
    const received = await readAll(response as IncomingMessage, number)
    socket.destroy()
    return received
  }
}

async function assertUnharmed(send: Send): Promise<void> {
  const bodies = Array.from({ length: CLIENTS }, () => randomBytes(BODY_BYTES))
  const received = await Promise.all(bodies.map(send))
  for (const [number, body] of bodies.entries()) {
    assert.equal(received[number]!.length, body.length)
    assert.ok(received[number]!.equals(body), `the body of client ${number} comes back as it was`)
  }
}

async function startInbound(t: TestContext, appPort: number, appProtocol?: 'http2'): Promise<TestPlane> {
  return startPlane(t, {
    config: workloadConfig([inbound(8080, appProtocol === undefined ? {} : { appProtocol })]),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: appPort } }] },
    identity: await mesh.identity('orders'),
  })
}

const dialInbound = async (plane: TestPlane): Promise<Socket> =>
  (await dialMesh(plane.port('8080'), await mesh.identity('storefront'), testId('orders'))).socket

/** The client's own reads are not what is tested: nothing but the request may listen to it. */
function quiet(socket: Socket): Socket {
  socket.removeAllListeners('data')
  return socket
}

test('bodies pass a plaintext listener unharmed while others are slow, both ways', async (t) => {
  const app = await httpBackend(t, (request, response) => void echo(request, response))
  const plane = await startGateway(t, mesh, app.port)
  await assertUnharmed(overHttp1(async () => quiet((await dialPlain(plane.port('http'))).socket)))
})

test('bodies pass mutual TLS unharmed while others are slow, both ways', async (t) => {
  const app = await httpBackend(t, (request, response) => void echo(request, response))
  const plane = await startInbound(t, app.port)
  await assertUnharmed(overHttp1(async () => quiet(await dialInbound(plane))))
})

test('bodies pass two sidecars unharmed while others are slow, both ways', async (t) => {
  const app = await httpBackend(t, (request, response) => void echo(request, response))
  const plane = await startInbound(t, app.port)
  const front = await startGateway(t, mesh, plane.port('8080'), {
    config: { upstreams: { 'shop/orders:80': meshUpstream('orders') } },
    endpoints: { 'shop/orders:80': [endpoint(plane.port('8080'))] },
  })
  await assertUnharmed(overHttp1(async () => quiet((await dialPlain(front.port('http'))).socket)))
})

test('bodies pass from HTTP/1.1 to HTTP/2 unharmed while others are slow, both ways', async (t) => {
  const app = await http2Backend(t, (request, response) => void echo(request, response))
  const plane = await startInbound(t, app.port, 'http2')
  await assertUnharmed(overHttp1(async () => quiet(await dialInbound(plane))))
})

test('bodies pass from HTTP/2 to HTTP/1.1 unharmed while others are slow, both ways', async (t) => {
  const app = await httpBackend(t, (request, response) => void echo(request, response))
  const plane = await startInbound(t, app.port)
  const session = await connectHttp2Mesh(t, plane.port('8080'), await mesh.identity('storefront'), testId('orders'))
  await assertUnharmed(async (body, number) => {
    const stream = session.request({ ':method': 'POST', ':path': '/', 'x-number': number }, { endStream: false })
    const [[headers]] = await Promise.all([once(stream, 'response'), writeAll(stream, body)])
    assert.equal((headers as Record<string, unknown>)[':status'], 200)
    return readAll(stream, number)
  })
})
