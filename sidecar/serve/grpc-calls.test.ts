import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { before, type TestContext, test } from 'node:test'
import { createServer } from 'node:tls'
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js'
import { MESH_ALPN } from '../../contract/alpn.ts'
import { testId } from '../identity/testing/test-identity.ts'
import { serverTlsOptions } from '../identity/tls-options.ts'
import { listen } from './testing/backend.ts'
import { until } from './testing/until.ts'
import {
  createTestMesh,
  endpoint,
  type GateConfig,
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

const text = { serialize: (value: string) => Buffer.from(value), deserialize: (bytes: Buffer) => bytes.toString() }

function method(path: string, requestStream: boolean, responseStream: boolean) {
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: text.serialize,
    requestDeserialize: text.deserialize,
    responseSerialize: text.serialize,
    responseDeserialize: text.deserialize,
  }
}

const SERVICE = {
  Unary: method('/shop.Orders/Unary', false, false),
  Upload: method('/shop.Orders/Upload', true, false),
  Download: method('/shop.Orders/Download', false, true),
  Converse: method('/shop.Orders/Converse', true, true),
}

/** An application of gRPC, as Google's own stack for Node serves it. */
async function startApp(t: TestContext): Promise<{ readonly port: number; readonly seen: Metadata[] }> {
  const seen: Metadata[] = []
  const server = new Server()
  server.addService(SERVICE, {
    Unary(call: ServerUnaryCall<string, string>, done: sendUnaryData<string>) {
      seen.push(call.metadata)
      if (call.request === 'fail') {
        const metadata = new Metadata()
        metadata.set('x-reason', 'because')
        return done({ code: status.FAILED_PRECONDITION, details: 'not now: 100%', metadata })
      }
      if (call.request === 'never') return
      const trailer = new Metadata()
      trailer.set('x-cost', '3')
      done(null, `hello ${call.request}`, trailer)
    },
    Upload(call: ServerReadableStream<string, string>, done: sendUnaryData<string>) {
      let received = ''
      call.on('data', (piece: string) => {
        received += piece
      })
      call.on('end', () => done(null, String(received.length)))
    },
    Download(call: ServerWritableStream<string, string>) {
      for (let i = 0; i < 3; i++) call.write(`${call.request} ${i}`)
      call.end()
    },
    Converse(call: ServerDuplexStream<string, string>) {
      call.on('data', (said: string) => call.write(said.toUpperCase()))
      call.on('end', () => call.end())
    },
  })
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  )
  t.after(() => server.forceShutdown())
  return { port, seen }
}

/** The application behind its sidecar, and a caller behind another. */
async function startCaller(
  t: TestContext,
  appPort: number,
  gated: GateConfig = {},
): Promise<{ readonly client: Client; readonly workload: TestPlane; readonly caller: TestPlane }> {
  const workload = await startPlane(t, {
    config: workloadConfig([inbound(8080, { appProtocol: 'http2' }, gated)]),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: appPort } }] },
    identity: await mesh.identity('orders'),
  })
  const credential = { username: 'shop/storefront', password: 'secret' }
  const caller = await startPlane(t, {
    config: workloadConfig([], {
      workload: 'shop/storefront',
      upstreams: { 'shop/orders:80': { ...meshUpstream('orders'), appProtocol: 'http2' } },
      outbound: {
        services: [
          {
            service: 'shop/orders',
            hosts: ['orders'],
            port: 80,
            protocol: 'http',
            appProtocol: 'http2',
            upstream: 'shop/orders:80',
            requestTimeoutMs: 60_000,
          },
        ],
        egress: [],
      },
    }),
    endpoints: { 'shop/orders:80': [endpoint(workload.port('8080'))] },
    placement: { proxy: { bind: LOOPBACK, credential } },
    identity: await mesh.identity('storefront'),
  })
  // As an unchanged application does it: by the environment's proxy.
  const proxy = `http://${encodeURIComponent(credential.username)}:${credential.password}@127.0.0.1:${caller.port('proxy')}`
  const before = process.env['grpc_proxy']
  process.env['grpc_proxy'] = proxy
  const client = new Client('orders:80', credentials.createInsecure())
  if (before === undefined) delete process.env['grpc_proxy']
  else process.env['grpc_proxy'] = before
  t.after(() => client.close())
  return { client, workload, caller }
}

interface Answered {
  readonly value: string | undefined
  readonly error: ServiceError | null
  readonly trailers: Metadata | undefined
}

function unary(client: Client, request: string, deadline?: number, metadata = new Metadata()): Promise<Answered> {
  return new Promise((resolve) => {
    const options = deadline === undefined ? {} : { deadline: Date.now() + deadline }
    const { path, requestSerialize, responseDeserialize } = SERVICE.Unary
    let answered: Omit<Answered, 'trailers'> | undefined
    let trailers: Metadata | undefined
    const settle = () => {
      if (answered !== undefined && trailers !== undefined) resolve({ ...answered, trailers })
    }
    const call = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadata,
      options,
      (error, value) => {
        answered = { error, value }
        settle()
      },
    )
    call.on('status', (said) => {
      trailers = said.metadata
      settle()
    })
  })
}

test('a unary call passes two sidecars with its metadata, and the status of the application is the one that arrives', async (t) => {
  const app = await startApp(t)
  const { client, workload, caller } = await startCaller(t, app.port)
  const metadata = new Metadata()
  metadata.set('x-mine', 'a')
  metadata.set('blob-bin', Buffer.from([0, 1, 255]))
  const { error, value, trailers } = await unary(client, 'world', 60_000, metadata)
  assert.equal(error, null)
  assert.equal(value, 'hello world')
  assert.deepEqual(trailers?.get('x-cost'), ['3'])
  assert.deepEqual(app.seen[0]?.get('x-mine'), ['a'])
  assert.deepEqual(app.seen[0]?.get('blob-bin'), [Buffer.from([0, 1, 255])])
  assert.match(String(app.seen[0]?.get('x-forwarded-client-cert')), /sa\/storefront$/)

  const failed = await unary(client, 'fail')
  assert.equal(failed.error?.code, status.FAILED_PRECONDITION)
  assert.equal(failed.error?.details, 'not now: 100%')
  assert.deepEqual(failed.trailers?.get('x-reason'), ['because'])
  for (const plane of [workload, caller]) {
    await until(() => plane.requests.filter(({ method }) => method === 'POST').length === 2, 'both are told of')
    for (const record of plane.requests.filter(({ method }) => method === 'POST')) {
      assert.equal(record.outcome, 'allowed')
      assert.equal(record.path, '/shop.Orders/Unary')
    }
  }
  assert.equal(workload.requests[0]?.spiffeId, testId('storefront'))
})

test('all three kinds of streaming pass, message by message', async (t) => {
  const app = await startApp(t)
  const { client } = await startCaller(t, app.port)

  const uploaded = await new Promise<string | undefined>((resolve, reject) => {
    const { path, requestSerialize, responseDeserialize } = SERVICE.Upload
    const call = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, (error, value) =>
      error === null ? resolve(value) : reject(error),
    )
    for (let i = 0; i < 50; i++) call.write('x'.repeat(20_000))
    call.end()
  })
  assert.equal(uploaded, '1000000')

  const { path, requestSerialize, responseDeserialize } = SERVICE.Download
  const download: ClientReadableStream<string> = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    'piece',
  )
  const pieces: string[] = []
  for await (const piece of download) pieces.push(piece as string)
  assert.deepEqual(pieces, ['piece 0', 'piece 1', 'piece 2'])

  const both = SERVICE.Converse
  const talk: ClientDuplexStream<string, string> = client.makeBidiStreamRequest(
    both.path,
    both.requestSerialize,
    both.responseDeserialize,
  )
  const replies = talk[Symbol.asyncIterator]()
  for (const said of ['one', 'two', 'three']) {
    talk.write(said)
    assert.equal((await replies.next()).value, said.toUpperCase())
  }
  talk.end()
  assert.equal((await replies.next()).done, true)
})

test('a call that policy refuses has the status that gRPC has for it, and says by which denial', async (t) => {
  const app = await startApp(t)
  const { client, workload } = await startCaller(t, app.port, { denyPath: '/shop.Orders/Unary' })
  const { error } = await unary(client, 'world')
  assert.equal(error?.code, status.PERMISSION_DENIED)
  assert.match(error?.details ?? '', /^gate-shut: The gate is shut\. \(/)
  assert.equal(workload.requests[0]?.status, 403)
  assert.equal(app.seen.length, 0)
})

test('a call to a service without endpoints is unavailable', async (t) => {
  const app = await startApp(t)
  const { client, caller } = await startCaller(t, app.port)
  caller.setEndpoints({})
  const { error } = await unary(client, 'world')
  assert.equal(error?.code, status.UNAVAILABLE)
  assert.match(error?.details ?? '', /^no-endpoints/)
})

test('F13: the deadline of a call ends it in the sidecars too', async (t) => {
  const app = await startApp(t)
  const { client, workload, caller } = await startCaller(t, app.port)
  assert.equal((await unary(client, 'world')).value, 'hello world')
  const { error } = await unary(client, 'never', 2_000)
  assert.equal(error?.code, status.DEADLINE_EXCEEDED)
  const calls = ({ requests }: TestPlane) => requests.filter(({ path }) => path !== '')
  for (const plane of [workload, caller]) await until(() => calls(plane).length === 2, 'it is told of')
  // The application keeps the deadline too. Whoever is first has the others told by his answer, or by taking the call back.
  const { refusal, outcome } = calls(workload)[1]!
  assert.ok(refusal?.denial === 'deadline-exceeded' || outcome === 'aborted' || outcome === 'allowed', outcome)
})

test('F20: a sidecar that carries gRPC as opaque bytes is spoken to through them', async (t) => {
  const app = await startApp(t)
  const alpns: (string | false | null)[] = []
  const before = createServer(
    serverTlsOptions(await mesh.identity('orders'), [MESH_ALPN.http, MESH_ALPN.tcp]),
    (socket) => {
      alpns.push(socket.alpnProtocol)
      const toApp = connect(app.port, '127.0.0.1')
      toApp.on('error', () => socket.destroy())
      socket.on('error', () => toApp.destroy())
      socket.pipe(toApp).pipe(socket)
    },
  )
  const port = await listen(t, before)
  const { client, caller } = await startCaller(t, app.port)
  caller.setEndpoints({ 'shop/orders:80': [endpoint(port)] })
  const { value } = await unary(client, 'world')
  assert.equal(value, 'hello world')
  assert.deepEqual(alpns, ['hauberk/tcp'])
  client.close()
  await caller.plane.drain(0)
})

test('a call to a service that is not said to speak HTTP/2 is unavailable, and says what is missing', async (t) => {
  const app = await startApp(t)
  const { client, workload } = await startCaller(t, app.port)
  await workload.swap(workloadConfig([inbound(8080)]))
  const { error } = await unary(client, 'world')
  assert.equal(error?.code, status.UNAVAILABLE)
  assert.match(error?.details ?? '', /^grpc-needs-http2/)
  assert.equal(app.seen.length, 0)
})
