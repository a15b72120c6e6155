import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceError,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js'
import type { RouteMatch } from '../../contract/workload-config.ts'
import { testId } from '../identity/testing/test-identity.ts'
import { until } from './testing/until.ts'
import {
  createTestMesh,
  forwardTo,
  gateway,
  inbound,
  LOOPBACK,
  meshUpstream,
  route,
  startGateway,
  startPlane,
  workloadConfig,
} from './testing/world.ts'

const text = { serialize: (value: string) => Buffer.from(value), deserialize: (bytes: Buffer) => bytes.toString() }

/** What a rule of a GRPCRoute comes to. */
function calls(path: RouteMatch['path']): { readonly match: RouteMatch } {
  return { match: { hostnames: [], path, method: 'POST', headers: [], query: [] } }
}

test('a call passes a gateway with TLS and a sidecar to the application, by its service and method', async (t) => {
  const seen: Metadata[] = []
  const app = new Server()
  const answer = (call: ServerUnaryCall<string, string>, done: sendUnaryData<string>) => {
    seen.push(call.metadata)
    const trailer = new Metadata()
    trailer.set('x-cost', '3')
    if (call.request === 'fail') return done({ code: status.FAILED_PRECONDITION, details: 'not now' })
    done(null, `hello ${call.request}`, trailer)
  }
  const method = (path: string) => ({
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: text.serialize,
    requestDeserialize: text.deserialize,
    responseSerialize: text.serialize,
    responseDeserialize: text.deserialize,
  })
  app.addService(
    { List: method('/shop.Orders/List'), Drop: method('/shop.Orders/Drop') },
    { List: answer, Drop: answer },
  )
  const appPort = await new Promise<number>((resolve, reject) =>
    app.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  )
  t.after(() => app.forceShutdown())

  const mesh = await createTestMesh()
  const workload = await startPlane(t, {
    config: workloadConfig([inbound(8080, { appProtocol: 'http2' }, { spiffeIds: [testId('gateway')] })]),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: appPort } }] },
    identity: await mesh.identity('orders'),
  })
  const { chain, privateKey } = await mesh.ca.issue({ uris: [], dnsNames: ['grpc.example'] })
  const edge = await startGateway(t, mesh, workload.port('8080'), {
    config: { upstreams: { 'shop/orders:80': { ...meshUpstream('orders'), appProtocol: 'http2' } } },
    listeners: [
      gateway({
        name: 'https',
        port: 443,
        protocol: 'https',
        hostname: 'grpc.example',
        certificates: [{ source: 'secret', name: 'grpc', certificate: chain, privateKey }],
        routes: [
          route(forwardTo('shop/orders:80'), {
            ...calls({ type: 'exact', value: '/shop.Orders/List' }),
            requestHeaders: { set: [['x-edge', '1']], add: [], remove: [] },
          }),
          route({ kind: 'respond', status: 503 }, calls({ type: 'prefix', value: '/shop.Gone' })),
          route(forwardTo(''), calls({ type: 'prefix', value: '/shop.Lost' })),
        ],
      }),
    ],
  })
  const client = new Client(`127.0.0.1:${edge.port('https')}`, credentials.createSsl(Buffer.from(mesh.ca.root)), {
    'grpc.ssl_target_name_override': 'grpc.example',
    'grpc.default_authority': 'grpc.example',
  })
  t.after(() => client.close())
  const unary = (path: string, request: string) =>
    new Promise<{ error: ServiceError | null; value?: string | undefined; trailers?: Metadata }>((resolve) => {
      const answered: { error: ServiceError | null; value?: string | undefined; trailers?: Metadata } = { error: null }
      client
        .makeUnaryRequest(
          path,
          text.serialize,
          text.deserialize,
          request,
          new Metadata(),
          { deadline: Date.now() + 60_000 },
          (error, value) => Object.assign(answered, { error, value }),
        )
        .on('status', ({ metadata }) => resolve({ ...answered, trailers: metadata }))
    })

  const { error, value, trailers } = await unary('/shop.Orders/List', 'world')
  assert.equal(error, null)
  assert.equal(value, 'hello world')
  assert.deepEqual(trailers?.get('x-cost'), ['3'])
  assert.deepEqual(seen[0]?.get('x-edge'), ['1'])
  assert.match(String(seen[0]?.get('x-forwarded-client-cert')), /sa\/gateway$/)
  assert.equal((await unary('/shop.Orders/List', 'fail')).error?.code, status.FAILED_PRECONDITION)

  assert.equal((await unary('/shop.Orders/Drop', 'x')).error?.code, status.UNIMPLEMENTED)
  assert.equal((await unary('/shop.Gone/Any', 'x')).error?.code, status.UNAVAILABLE)
  const lost = await unary('/shop.Lost/Any', 'x')
  assert.equal(lost.error?.code, status.UNAVAILABLE)
  assert.match(lost.error.details, /^backend-unresolved: /)
  assert.equal(seen.length, 2)
  await until(() => edge.requests.length === 5, 'every call is told of')
  assert.deepEqual(
    workload.requests.map(({ path, method: verb }) => `${verb} ${path}`),
    ['POST /shop.Orders/List', 'POST /shop.Orders/List'],
  )
})
