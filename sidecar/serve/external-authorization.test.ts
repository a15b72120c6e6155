import assert from 'node:assert/strict'
import { request } from 'node:http'
import { before, describe, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type ServiceError,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { FilterSlots, WorkloadConfig } from '../../contract/workload-config.ts'
import type { AuthorizerConfig } from '../../policies/external-authorization/config.ts'
import { externalAuthorization } from '../../policies/external-authorization/filter.ts'
import { response } from '../../policies/response/filter.ts'
import { type Clock, systemClock } from '../../runtime/clock.ts'
import { openssl } from '../../runtime/crypto/openssl.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { compile } from '../compile/compile.ts'
import { callsOf } from '../upstream/backend-calls.ts'
import type { DataPlane } from './data-plane.ts'
import { httpBackend, rawBackend } from './testing/backend.ts'
import { until } from './testing/until.ts'
import {
  createTestMesh,
  endpoint,
  forwardTo,
  gateway,
  LOOPBACK,
  plaintextUpstream,
  route,
  startPlane,
  type TestMesh,
  type TestPlane,
  workloadConfig,
} from './testing/world.ts'

/** Authorizers as people have them, asked by a real gateway over the network. */

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

const AUTHORIZER = 'shop/authorizer:9000'

const CONFIG: AuthorizerConfig = {
  upstream: AUTHORIZER,
  authority: 'authorizer.shop.svc:9000',
  protocol: 'http',
  timeoutMs: 5_000,
  failOpen: false,
  requestHeaders: ['authorization'],
  context: [],
}

/** A gateway whose requests `authorizer` is asked about before the application on `appPort` gets them. */
async function startAsking(
  t: TestContext,
  appPort: number,
  authorizerPort: number | undefined,
  words: Partial<AuthorizerConfig>,
  hidesExistence = false,
  // No time passes: an authorizer that answers may take its time.
  clock: Clock = createManualClock(Date.now()),
): Promise<TestPlane> {
  const config: WorkloadConfig = workloadConfig(
    [
      gateway({
        routes: [route(forwardTo('shop/orders:80'), { filters: slotsOf({ ...CONFIG, ...words }, hidesExistence) })],
      }),
    ],
    {
      workload: 'shop/gateway',
      role: 'gateway',
      upstreams: {
        'shop/orders:80': plaintextUpstream(),
        [AUTHORIZER]: {
          ...plaintextUpstream('shop/authorizer', 9000),
          ...(words.protocol === 'grpc' && { appProtocol: 'http2' as const }),
        },
      },
    },
  )
  let plane: DataPlane | undefined
  const deps = {
    clock,
    crypto: openssl,
    keys: { generation: 0, keysOf: () => undefined, refresh: async () => {} },
    calls: callsOf(() => plane),
    count() {},
  }
  const compiled = compile(config, undefined, deps, [response, externalAuthorization])
  assert.ok(compiled.ok, JSON.stringify(compiled))
  const started = await startPlane(t, {
    identity: await mesh.identity('gateway'),
    endpoints: {
      'shop/orders:80': [endpoint(appPort)],
      ...(authorizerPort !== undefined && { [AUTHORIZER]: [endpoint(authorizerPort)] }),
    },
    placement: { gateway: [{ listener: 'http', bind: LOOPBACK }] },
    options: { pipeline: () => compiled.value },
    clock,
  })
  plane = started.plane
  return started
}

function slotsOf(authorizer: AuthorizerConfig, hidesExistence: boolean): FilterSlots {
  const config = { authorizers: [authorizer], workload: 'shop/orders', exempt: [], exemptWithin: [] }
  const form = { deniedStatus: 403, format: 'problem-json', hidesExistence, headers: [] }
  return {
    response: [{ state: 'resolved', mode: 'enforce', origins: ['shop/asks@1'], config: form }],
    'external-authorization': [{ state: 'resolved', mode: 'enforce', origins: ['shop/asks@1'], config }],
  }
}

interface Got {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

function get(plane: TestPlane, path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Got> {
  return new Promise((resolve, reject) => {
    const asked = request(
      { host: '127.0.0.1', port: plane.port('http'), method, path, headers, agent: false },
      (response) => {
        let body = ''
        response.setEncoding('utf8')
        response.on('data', (chunk) => {
          body += chunk
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
      },
    )
    asked.on('error', reject)
    asked.end()
  })
}

/** An application that says which headers it got. */
const echo = (t: TestContext) =>
  httpBackend(t, (asked, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(asked.headers))
  })

const header = (key: string, value: string, more: Readonly<Record<string, unknown>> = {}) => ({
  header: { key, value },
  append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
  ...more,
})

type CheckRequest = Readonly<Record<string, unknown>> & { readonly attributes: Readonly<Record<string, unknown>> }

/** A server of gRPC's own library that answers as the test says. */
async function grpcAuthorizer(
  t: TestContext,
  check: (request: CheckRequest) => unknown,
): Promise<{ readonly port: number; readonly asked: readonly CheckRequest[] }> {
  const definition = loadSync(fileURLToPath(new URL('./testing/external-auth.proto', import.meta.url)), {
    keepCase: true,
    enums: String,
    longs: Number,
    oneofs: true,
  })
  const loaded = loadPackageDefinition(definition) as unknown as {
    envoy: { service: { auth: { v3: { Authorization: { service: ServiceDefinition } } } } }
  }
  const asked: CheckRequest[] = []
  const server = new Server()
  server.addService(loaded.envoy.service.auth.v3.Authorization.service, {
    Check(call: ServerUnaryCall<CheckRequest, unknown>, done: sendUnaryData<unknown>) {
      asked.push(call.request)
      const answer = check(call.request)
      if (answer instanceof Error) done(answer as ServiceError)
      else done(null, answer)
    },
  })
  t.after(() => server.forceShutdown())
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  )
  return { port, asked }
}

describe("an authorizer that speaks Envoy's gRPC contract", () => {
  test('is told who asks for what, and has the application told who it is', async (t) => {
    const app = await echo(t)
    const authorizer = await grpcAuthorizer(t, () => ({
      status: { code: status.OK },
      ok_response: {
        headers: [
          header('X-User', 'ann'),
          header('x-roles', 'b', { append: { value: true }, append_action: undefined }),
        ],
        headers_to_remove: ['authorization'],
        response_headers_to_add: [header('x-checked', 'yes')],
      },
    }))
    const plane = await startAsking(t, app.port, authorizer.port, {
      protocol: 'grpc',
      context: [['tenant', 'shop']],
      requestHeaders: ['authorization', 'x-roles'],
    })
    const sent = {
      host: 'shop.example',
      authorization: 'Bearer t',
      'x-roles': 'a',
      'x-user': 'forged',
      cookie: 'sid=1',
    }
    const got = await get(plane, '/orders?a=1', sent)
    assert.equal(got.status, 200, got.body)
    const told = JSON.parse(got.body) as Record<string, string>
    assert.equal(told['x-user'], 'ann')
    assert.equal(told['x-roles'], 'a, b')
    assert.equal(told['authorization'], undefined)
    assert.equal(got.headers['x-checked'], 'yes')

    const {
      source,
      destination,
      request: about,
      context_extensions,
    } = authorizer.asked[0]!.attributes as unknown as {
      readonly source: { readonly address: { readonly socket_address: Readonly<Record<string, unknown>> } }
      readonly destination: Readonly<Record<string, unknown>>
      readonly request: {
        readonly time: Readonly<Record<string, number>>
        readonly http: Readonly<Record<string, unknown>>
      }
      readonly context_extensions: Readonly<Record<string, string>>
    }
    assert.equal(source.address.socket_address['address'], '127.0.0.1')
    assert.equal(destination['service'], 'shop/orders')
    assert.deepEqual({ ...context_extensions }, { tenant: 'shop' })
    assert.ok(Math.abs((about.time['seconds'] ?? 0) - Date.now() / 1_000) < 600)
    const { method, path, host, scheme, headers } = about.http
    assert.deepEqual(
      { method, path, host, scheme },
      { method: 'GET', path: '/orders?a=1', host: 'shop.example', scheme: 'http' },
    )
    assert.deepEqual(
      { ...(headers as object) },
      {
        ':authority': 'shop.example',
        ':method': 'GET',
        ':path': '/orders?a=1',
        ':scheme': 'http',
        authorization: 'Bearer t',
        'x-roles': 'a',
      },
    )
  })

  test('denies with its own status, headers and body', async (t) => {
    const app = await echo(t)
    const authorizer = await grpcAuthorizer(t, () => ({
      status: { code: status.PERMISSION_DENIED },
      denied_response: { status: { code: 402 }, headers: [header('x-reason', 'unpaid')], body: 'pay first' },
    }))
    const plane = await startAsking(t, app.port, authorizer.port, { protocol: 'grpc' })
    const got = await get(plane, '/')
    assert.deepEqual([got.status, got.headers['x-reason'], got.body], [402, 'unpaid', 'pay first'])
    await until(() => plane.requests.length === 1, 'the refusal is recorded')
    assert.equal(plane.requests[0]?.refusal?.denial, 'external-authorization-denied')
    assert.deepEqual(plane.requests[0]?.refusal?.origins, ['shop/asks@1'])
  })

  test('denies with 403 where it says no more than no', async (t) => {
    const app = await echo(t)
    const authorizer = await grpcAuthorizer(t, () => ({ status: { code: status.UNAUTHENTICATED } }))
    const plane = await startAsking(t, app.port, authorizer.port, { protocol: 'grpc' })
    assert.equal((await get(plane, '/')).status, 403)
  })

  test('has requests refused where it fails, or asks for what is not done', async (t) => {
    const app = await echo(t)
    const answers: readonly unknown[] = [
      Object.assign(new Error('down'), { code: status.UNAVAILABLE }),
      { status: { code: 0 }, ok_response: { query_parameters_to_remove: ['admin'] } },
      { status: { code: 0 }, ok_response: { headers: [header('host', 'elsewhere')] } },
      { status: { code: 0 }, ok_response: { headers: [header('x-forwarded-for', '10.0.0.1')] } },
      { status: { code: 0 }, ok_response: { headers_to_remove: ['host'] } },
      { status: { code: 0 }, denied_response: { status: { code: 403 } } },
    ]
    let next = 0
    const authorizer = await grpcAuthorizer(t, () => answers[next++])
    const plane = await startAsking(t, app.port, authorizer.port, { protocol: 'grpc' })
    for (const answer of answers) {
      const got = await get(plane, '/')
      assert.equal(got.status, 503, JSON.stringify(answer))
      assert.match(got.body, /external-authorization-unavailable/)
    }
  })
})

describe('an authorizer that speaks HTTP', () => {
  test('has the application told what it says, in place of what the client claims', async (t) => {
    const app = await echo(t)
    const authorizer = await httpBackend(t, (asked, response) => {
      const isAnn = asked.headers.authorization === 'Bearer ann'
      response.writeHead(isAnn ? 200 : 401, isAnn ? { 'x-user': 'ann' } : { 'www-authenticate': 'Bearer' })
      response.end(isAnn ? '' : `${asked.headers['x-asked-method']} ${asked.headers['x-asked-uri']}`)
    })
    const plane = await startAsking(t, app.port, authorizer.port, { path: '/verify', upstreamHeaders: ['x-user'] })
    const allowed = await get(plane, '/a', { authorization: 'Bearer ann', 'x-user': 'root' })
    assert.equal((JSON.parse(allowed.body) as Record<string, string>)['x-user'], 'ann')
    const denied = await get(plane, '/a?b=c', { 'x-user': 'root' })
    assert.deepEqual([denied.status, denied.headers['www-authenticate'], denied.body], [401, 'Bearer', 'GET /a?b=c'])
  })

  test('denies in the form of gRPC to a call of gRPC, and not at all where existence is hidden', async (t) => {
    const app = await echo(t)
    const authorizer = await httpBackend(t, (_asked, response) => response.writeHead(401, { 'x-why': 'x' }).end('who?'))
    const plane = await startAsking(t, app.port, authorizer.port, { clientHeaders: ['x-why'] }, true)
    const hidden = await get(plane, '/')
    assert.deepEqual([hidden.status, hidden.headers['x-why']], [404, undefined])
    assert.doesNotMatch(hidden.body, /who\?|external/)
    const open = await startAsking(t, app.port, authorizer.port, { clientHeaders: ['x-why'] })
    const called = await get(open, '/shop.Orders/Get', { 'content-type': 'application/grpc', te: 'trailers' }, 'POST')
    assert.equal(called.status, 200)
    assert.equal(called.headers['grpc-status'], String(status.PERMISSION_DENIED))
  })

  test('F13: that answers nothing has requests refused in time, or passed where the policy fails open', async (t) => {
    const app = await echo(t)
    const silent = await rawBackend(t)
    const closed = await startAsking(t, app.port, silent.port, { timeoutMs: 1 }, false, systemClock)
    assert.equal((await get(closed, '/')).status, 503)
    const open = await startAsking(t, app.port, silent.port, { timeoutMs: 1, failOpen: true }, false, systemClock)
    assert.equal((await get(open, '/')).status, 200)
    const nobody = await startAsking(t, app.port, undefined, {})
    assert.equal((await get(nobody, '/')).status, 503)
  })

  test('is not waited for where the client has gone', async (t) => {
    const app = await echo(t)
    const silent = await rawBackend(t)
    const plane = await startAsking(t, app.port, silent.port, {})
    const asked = request({ host: '127.0.0.1', port: plane.port('http'), path: '/gone', agent: false })
    asked.on('error', () => {})
    asked.end()
    await silent.waitFor('GET /gone')
    const over = new Promise((resolve) =>
      silent.sockets[0]?.once('close', resolve).once('end', () => silent.sockets[0]?.end()),
    )
    const { socket } = asked
    assert.ok(socket !== null)
    socket.resetAndDestroy()
    await over
    await until(() => plane.requests.length === 1, 'the request is recorded')
    assert.equal(plane.requests[0]?.outcome, 'aborted')
  })
})
