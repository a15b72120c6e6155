import assert from 'node:assert/strict'
import { createServer as createHttpsServer } from 'node:https'
import { before, describe, type TestContext, test } from 'node:test'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import type { Upstream } from '../../contract/workload-config.ts'
import type { BackendRequest } from '../../model/backend-calls.ts'
import { SubjectAlternativeNameExtension } from '../../model/x509/testing/test-ca.ts'
import { testId } from '../identity/testing/test-identity.ts'
import { type Backend, http2Backend, httpBackend, listen, rawBackend } from '../serve/testing/backend.ts'
import { until } from '../serve/testing/until.ts'
import {
  createTestMesh,
  endpoint,
  inbound,
  LOOPBACK,
  meshUpstream,
  plaintextUpstream,
  startPlane,
  type TestMesh,
  type TestPlane,
  workloadConfig,
} from '../serve/testing/world.ts'
import { MAX_CALLS, MAX_CALLS_OF_UPSTREAM } from './backend-calls.ts'
import { NO_UPSTREAM_EVENTS } from './upstream-events.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

const NAME = 'shop/authorizer:80'
/** Longer than any test: what ends earlier ends by something else. */
const LONG_MS = 60_000

function asking(words: Partial<BackendRequest> = {}): BackendRequest {
  return { method: 'GET', path: '/check', headers: [], timeoutMs: LONG_MS, maxResponseBytes: 1_024, ...words }
}

interface Caller extends TestPlane {
  /** `upstream outcome` of each call that is over. */
  readonly called: readonly string[]
}

/** The data plane of a workload that asks others. */
async function startCaller(
  t: TestContext,
  upstreams: Readonly<Record<string, Upstream>>,
  ports: Readonly<Record<string, readonly number[]>> = {},
): Promise<Caller> {
  const called: string[] = []
  const plane = await startPlane(t, {
    identity: await mesh.identity('storefront'),
    config: workloadConfig([], { upstreams }),
    endpoints: Object.fromEntries(Object.entries(ports).map(([name, list]) => [name, list.map(endpoint)])),
    placement: {},
    options: {
      upstreamEvents: { ...NO_UPSTREAM_EVENTS, called: (upstream, outcome) => called.push(`${upstream} ${outcome}`) },
    },
  })
  return { ...plane, called }
}

/** One that asks a backend without a sidecar. */
function startPlainCaller(
  t: TestContext,
  { port }: Pick<Backend, 'port'>,
  more: Partial<Upstream> = {},
): Promise<Caller> {
  return startCaller(t, { [NAME]: { ...plaintextUpstream('shop/authorizer'), ...more } }, { [NAME]: [port] })
}

describe('a call of a filter', () => {
  test('reaches a workload of the mesh by mutual TLS, as the workload that asks', async (t) => {
    const app = await httpBackend(t, (request, response) => {
      let body = ''
      request.on('data', (chunk) => {
        body += chunk
      })
      request.on('end', () => {
        response.setHeader('x-decision', 'yes')
        response.end(`${request.method} ${request.url} ${request.headers.host} ${request.headers['x-user']} ${body}`)
      })
    })
    const authorizer = await startPlane(t, {
      identity: await mesh.identity('authorizer'),
      config: workloadConfig([inbound(8080)]),
      placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
    })
    const caller = await startCaller(t, { [NAME]: meshUpstream('authorizer') }, { [NAME]: [authorizer.port('8080')] })
    const said = await caller.plane.calls.call(
      NAME,
      asking({
        method: 'POST',
        authority: 'authorizer.shop.svc',
        headers: [['x-user', 'ann']],
        body: Buffer.from('hello'),
      }),
    )
    assert.ok(said.kind === 'response', JSON.stringify(said))
    assert.equal(said.status, 200)
    assert.equal(Buffer.from(said.body).toString(), 'POST /check authorizer.shop.svc ann hello')
    assert.ok(said.headers.some(([name, value]) => name === 'x-decision' && value === 'yes'))
    await until(() => authorizer.requests.length === 1, 'the authorizer records the request')
    assert.equal(authorizer.requests[0]?.spiffeId, testId('storefront'))
    assert.deepEqual(caller.called, [`${NAME} answered`])
  })

  test('T33: goes to nobody who cannot prove to be the service', async (t) => {
    const other = await startPlane(t, {
      identity: await mesh.identity('other'),
      config: workloadConfig([inbound(8080)]),
      placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: 1 } }] },
    })
    const caller = await startCaller(t, { [NAME]: meshUpstream('authorizer') }, { [NAME]: [other.port('8080')] })
    const said = await caller.plane.calls.call(NAME, asking())
    assert.ok(said.kind === 'failure' && said.reason === 'unreachable', JSON.stringify(said))
    assert.deepEqual(other.requests, [])
  })

  test('is made in HTTP/2 where the service takes nothing else, and hears what comes behind the body', async (t) => {
    const app = await http2Backend(t, (request, response) => {
      request.resume()
      request.on('end', () => {
        response.writeHead(200, { 'content-type': 'application/grpc' })
        response.write('abc')
        response.addTrailers({ 'grpc-status': '0' })
        response.end()
      })
    })
    const caller = await startPlainCaller(t, app, { appProtocol: 'http2' })
    const said = await caller.plane.calls.call(NAME, asking({ method: 'POST', body: Buffer.from('x') }))
    assert.ok(said.kind === 'response', JSON.stringify(said))
    assert.equal(Buffer.from(said.body).toString(), 'abc')
    assert.deepEqual(said.trailers, [['grpc-status', '0']])
  })

  test('keeps its connection for the next one, and makes it again where that was closed meanwhile', async (t) => {
    let answered = 0
    const app = await rawBackend(t, (_text, socket) => {
      answered += 1
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n${answered}`)
    })
    const caller = await startPlainCaller(t, app)
    const bodyOf = async () => {
      const said = await caller.plane.calls.call(NAME, asking())
      assert.ok(said.kind === 'response', JSON.stringify(said))
      return Buffer.from(said.body).toString()
    }
    assert.equal(await bodyOf(), '1')
    assert.equal(await bodyOf(), '2')
    assert.equal(app.sockets.length, 1)
    app.sockets[0]?.destroy()
    assert.equal(await bodyOf(), '3')
    assert.equal(app.sockets.length, 2)
  })

  test('F13: ends when its time is over, and lets the connection go', async (t) => {
    const app = await rawBackend(t)
    const caller = await startPlainCaller(t, app)
    const said = await caller.plane.calls.call(NAME, asking({ timeoutMs: 1 }))
    assert.ok(said.kind === 'failure' && said.reason === 'timeout', JSON.stringify(said))
    await until(() => caller.plane.stats().upstreamConnections === 0, 'the connection is closed')
    assert.deepEqual(caller.called, [`${NAME} timeout`])
  })

  test('ends with whoever asked: the service sees the connection close', async (t) => {
    const app = await rawBackend(t)
    const caller = await startPlainCaller(t, app)
    const asker = new AbortController()
    const said = caller.plane.calls.call(NAME, asking(), asker.signal)
    await app.waitFor('GET /check')
    const closed = new Promise((resolve) =>
      app.sockets[0]
        ?.once('close', resolve)
        .resume()
        .once('end', () => app.sockets[0]?.end()),
    )
    asker.abort()
    assert.deepEqual({ ...(await said), detail: '' }, { kind: 'failure', reason: 'abandoned', detail: '' })
    await closed
    const later = await caller.plane.calls.call(NAME, asking(), asker.signal)
    assert.ok(later.kind === 'failure' && later.reason === 'abandoned')
  })

  test('F14: takes no answer that is longer than was allowed, broken off, or none', async (t) => {
    const answers = {
      'too-large': `HTTP/1.1 200 OK\r\ncontent-length: 1025\r\n\r\n${'x'.repeat(1_025)}`,
      protocol: 'HTTP/1.1 two hundred\r\n\r\n',
    }
    for (const [reason, bytes] of Object.entries(answers)) {
      const app = await rawBackend(t, (_text, socket) => void socket.write(bytes))
      const caller = await startPlainCaller(t, app)
      const said = await caller.plane.calls.call(NAME, asking())
      assert.ok(said.kind === 'failure' && said.reason === reason, JSON.stringify(said))
    }
    const short = await rawBackend(t, (_text, socket) => {
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort')
    })
    const caller = await startPlainCaller(t, short)
    const said = await caller.plane.calls.call(NAME, asking())
    assert.ok(said.kind === 'failure' && said.reason === 'reset', JSON.stringify(said))
  })

  test('asks another endpoint where one is not there', async (t) => {
    const app = await httpBackend(t, (_request, response) => response.end('here'))
    // Nobody listens on port 1.
    const caller = await startCaller(t, { [NAME]: plaintextUpstream('shop/authorizer') }, { [NAME]: [1, app.port] })
    for (let i = 0; i < 4; i++) {
      const said = await caller.plane.calls.call(NAME, asking())
      assert.ok(said.kind === 'response', JSON.stringify(said))
    }
  })

  test('says so where there is no such upstream, or nobody is behind it', async (t) => {
    const caller = await startCaller(t, { [NAME]: plaintextUpstream('shop/authorizer') })
    for (const name of [NAME, 'shop/nobody:80']) {
      const said = await caller.plane.calls.call(name, asking())
      assert.ok(said.kind === 'failure' && said.reason === 'no-upstream', JSON.stringify(said))
    }
  })

  test('F18: is one of so many: what is one too many is refused, and one slow service leaves room for the others', async (t) => {
    const slow = await rawBackend(t)
    const quick = await httpBackend(t, (_request, response) => response.end('quick'))
    const OTHER = 'shop/quick:80'
    const upstreams = { [NAME]: plaintextUpstream('shop/authorizer'), [OTHER]: plaintextUpstream('shop/quick') }
    const caller = await startCaller(t, upstreams, { [NAME]: [slow.port], [OTHER]: [quick.port] })
    const asker = new AbortController()
    const { calls } = caller.plane
    const waiting = Array.from({ length: MAX_CALLS_OF_UPSTREAM }, () => calls.call(NAME, asking(), asker.signal))
    const oneMore = await calls.call(NAME, asking())
    assert.ok(oneMore.kind === 'failure' && oneMore.reason === 'overloaded', JSON.stringify(oneMore))
    const elsewhere = await calls.call(OTHER, asking())
    assert.equal(elsewhere.kind, 'response', JSON.stringify(elsewhere))
    asker.abort()
    const said = await Promise.all(waiting)
    assert.ok(said.every((each) => each.kind === 'failure'))
    // There is room again.
    const after = new AbortController()
    const again = calls.call(NAME, asking(), after.signal)
    after.abort()
    assert.ok(MAX_CALLS > MAX_CALLS_OF_UPSTREAM)
    const last = await again
    assert.ok(last.kind === 'failure' && last.reason === 'abandoned', JSON.stringify(last))
  })
})

describe('a call to the outside', () => {
  const outside = (port: number): Upstream => ({
    ...{ service: '127.0.0.1', host: '127.0.0.1', port, protocol: 'http', tls: 'https', spiffeIds: [] },
  })

  /** A server of the web with a certificate for `san`. */
  async function webServer(
    t: TestContext,
    san: { readonly type: 'ip' | 'dns'; readonly value: string },
  ): Promise<number> {
    const { chain, privateKey } = await mesh.ca.issue({
      uris: [],
      extensions: [new SubjectAlternativeNameExtension([san])],
    })
    const server = createHttpsServer({ cert: chain, key: privateKey }, (request, response) => {
      response.end(`${request.headers.host}`)
    })
    return await listen(t, server, [])
  }

  test('is HTTPS, and made only to who proves the name', async (t) => {
    const before = getCACertificates('default')
    t.after(() => setDefaultCACertificates(before))
    const right = await webServer(t, { type: 'ip', value: '127.0.0.1' })
    const wrong = await webServer(t, { type: 'dns', value: 'elsewhere.example' })
    const caller = await startCaller(t, { right: outside(right), wrong: outside(wrong) })
    const ask = (name: string) => caller.plane.calls.call(name, asking({ authority: 'authz.example' }))

    const untrusted = await ask('right')
    assert.ok(untrusted.kind === 'failure' && untrusted.reason === 'unreachable', JSON.stringify(untrusted))

    setDefaultCACertificates([...before, mesh.ca.root])
    const said = await ask('right')
    assert.ok(said.kind === 'response', JSON.stringify(said))
    assert.equal(Buffer.from(said.body).toString(), 'authz.example')
    const other = await ask('wrong')
    assert.ok(other.kind === 'failure' && other.reason === 'unreachable', JSON.stringify(other))
  })

  test('T33: never leads to this machine by a name, or to where clouds keep secrets', async (t) => {
    const caller = await startCaller(t, {
      name: { ...outside(443), host: 'localhost' },
      metadata: { ...outside(443), host: '169.254.169.254' },
    })
    for (const name of ['name', 'metadata']) {
      const said = await caller.plane.calls.call(name, asking())
      assert.ok(said.kind === 'failure' && said.reason === 'unreachable', JSON.stringify(said))
      assert.match(said.detail, /may not be called/)
    }
  })
})
