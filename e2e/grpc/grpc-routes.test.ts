import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type ChannelOptions, Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { type LocalMesh, startLocalMesh } from '../../cli/dev/local-mesh.ts'

/** From YAML to sockets: GRPCRoutes at a Service and at a Gateway, with a client and servers of grpc-js. */

let state: string
let mesh: LocalMesh
let inside: Client
let outside: Client

before(async () => {
  state = await mkdtemp(join(tmpdir(), 'hauberk-grpc-'))
  mesh = await startLocalMesh({
    files: [import.meta.dirname],
    stateDirectory: join(state, 'state'),
    httpsPort: 0,
    httpPort: 0,
    readyMs: 150_000,
  })
  inside = clientOf('calls/caller')
  const name = 'grpc.localhost'
  outside = new Client(`127.0.0.1:${mesh.httpsPort}`, credentials.createSsl(await readFile(mesh.caFile)), {
    'grpc.ssl_target_name_override': name,
    'grpc.default_authority': name,
  })
})

after(async () => {
  inside?.close()
  outside?.close()
  await mesh?.stop()
  await rm(state, { recursive: true, force: true })
})

/** A client that calls `prices` as this workload does: through its sidecar. grpc-js reads the variable as it makes the channel. */
function clientOf(workload: string, options: ChannelOptions = {}): Client {
  const before = process.env['grpc_proxy']
  process.env['grpc_proxy'] = mesh.outboundProxyOf(workload).href
  try {
    return new Client('prices:50051', credentials.createInsecure(), options)
  } finally {
    if (before === undefined) delete process.env['grpc_proxy']
    else process.env['grpc_proxy'] = before
  }
}

const text = { serialize: (value: string) => Buffer.from(value), deserialize: (bytes: Buffer) => bytes.toString() }

interface Answer {
  readonly value: string | undefined
  readonly code: number
  readonly servedBy: string
}

function call(client: Client, path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value)
  return new Promise((resolve) => {
    let value: string | undefined
    const done = (_error: ServiceError | null, answer: string | undefined) => {
      value = answer
    }
    client
      .makeUnaryRequest(path, text.serialize, text.deserialize, 'hi', metadata, { deadline: Date.now() + 20_000 }, done)
      .on('status', ({ code, metadata: trailers }) =>
        setImmediate(() => resolve({ value, code, servedBy: String(trailers.get('x-served-by')) })),
      )
  })
}

test('a call to a Service goes where its GRPCRoute leads: by service, by method alone, by header', async () => {
  assert.deepEqual(mesh.issues, [])
  const plain = await call(inside, '/shop.Prices/Ask')
  assert.deepEqual(plain, { value: 'prices: hi', code: status.OK, servedBy: 'prices' })
  const canary = await call(inside, '/shop.Prices/Ask', { 'x-canary': 'yes' })
  assert.deepEqual(canary, { value: 'stock: hi next', code: status.OK, servedBy: 'stock' })
  // The service was said of this one too, and is the narrower match.
  assert.equal((await call(inside, '/shop.Prices/Watch')).servedBy, 'prices')
  assert.equal((await call(inside, '/shop.Stock/Watch')).servedBy, 'stock')
})

test('a call that no GRPCRoute of the Service is for is told so as calls are', async () => {
  assert.equal((await call(inside, '/shop.Stock/Ask')).code, status.UNIMPLEMENTED)
})

test('a conversation keeps to the route that it began on', async () => {
  const stream = inside.makeBidiStreamRequest('/shop.Prices/Chat', text.serialize, text.deserialize, new Metadata(), {
    deadline: Date.now() + 20_000,
  })
  const said: string[] = []
  const ended = new Promise<number>((resolve) => stream.on('status', ({ code }) => resolve(code)))
  stream.on('error', () => {})
  for await (const answer of conversation(stream)) said.push(answer)
  assert.equal(await ended, status.OK)
  assert.deepEqual(said, ['prices: one', 'prices: two', 'prices: three'])
})

async function* conversation(stream: ReturnType<typeof inside.makeBidiStreamRequest<string, string>>) {
  const words = ['one', 'two', 'three']
  stream.write(words.shift() as string)
  for await (const answer of stream as AsyncIterable<string>) {
    yield answer
    const next = words.shift()
    if (next === undefined) stream.end()
    else stream.write(next)
  }
}

test('the same calls at a Gateway go where its own GRPCRoute leads', async () => {
  assert.equal((await call(outside, '/shop.Prices/Ask', { 'x-canary': 'yes' })).servedBy, 'prices')
  assert.equal((await call(outside, '/shop.Stock/Ask')).servedBy, 'stock')
  assert.equal((await call(outside, '/shop.Stock/Watch')).servedBy, 'stock')
  assert.equal((await call(outside, '/shop.Prices/Watch')).code, status.UNIMPLEMENTED)
})
