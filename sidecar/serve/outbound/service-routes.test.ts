import assert from 'node:assert/strict'
import { before, type TestContext, test } from 'node:test'
import type { RouteConfig, RouteMatch, WorkloadConfig } from '../../../contract/workload-config.ts'
import { testId } from '../../identity/testing/test-identity.ts'
import { httpBackend } from '../testing/backend.ts'
import { dialPlain } from '../testing/client.ts'
import { until } from '../testing/until.ts'
import {
  createTestMesh,
  endpoint,
  forwardTo,
  inbound,
  LOOPBACK,
  meshUpstream,
  route,
  startPlane,
  type TestMesh,
  type TestPlane,
  workloadConfig,
} from '../testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

const CREDENTIAL = { username: 'shop/storefront', password: 'c0ffee' }
const AUTHORIZATION = `Proxy-Authorization: Basic ${Buffer.from('shop/storefront:c0ffee').toString('base64')}`

/** A sidecar of a workload whose application says its name, the host that was asked for, and a header. */
async function startCallee(t: TestContext, name: string, admits = 'storefront'): Promise<TestPlane> {
  const app = await httpBackend(t, ({ url, headers }, response) => {
    response.end(`${name} ${headers.host} ${url} ${headers['x-version'] ?? '-'}`)
  })
  return startPlane(t, {
    config: workloadConfig([inbound(8080, {}, { spiffeIds: [testId(admits)] })], { workload: `shop/${name}` }),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
    identity: await mesh.identity(name),
  })
}

interface World {
  readonly config: WorkloadConfig
  readonly caller: TestPlane
  /** Asks through the port that `HTTP_PROXY` names. */
  ask(target: string, lines?: readonly string[]): ReturnType<Awaited<ReturnType<typeof dialPlain>>['request']>
}

/** `storefront`, which calls Service `orders`; `orders-next` is led to by routes alone. */
async function startWorld(
  t: TestContext,
  routes: readonly RouteConfig[],
  next: { readonly port: number },
): Promise<World> {
  const orders = await startCallee(t, 'orders')
  const config = workloadConfig([], {
    workload: 'shop/storefront',
    upstreams: { 'shop/orders:80': meshUpstream('orders'), 'shop/orders-next:80': meshUpstream('orders-next') },
    outbound: {
      services: [
        {
          service: 'shop/orders',
          hosts: ['orders', 'orders.shop'],
          port: 80,
          protocol: 'http',
          upstream: 'shop/orders:80',
          requestTimeoutMs: 60_000,
          routing: { origins: ['HTTPRoute/shop/orders@1'], routes: [...routes] },
        },
      ],
      egress: [],
    },
  })
  const caller = await startPlane(t, {
    config,
    placement: { proxy: { bind: LOOPBACK, credential: CREDENTIAL } },
    identity: await mesh.identity('storefront'),
    endpoints: {
      'shop/orders:80': [endpoint(orders.port('8080'))],
      'shop/orders-next:80': [endpoint(next.port)],
    },
  })
  return {
    config,
    caller,
    async ask(target, lines = []) {
      const client = await dialPlain(caller.port('proxy'))
      t.after(() => client.destroy())
      const all = [AUTHORIZATION, ...lines].map((line) => `${line}\r\n`).join('')
      return client.request(`GET ${target} HTTP/1.1\r\nHost: ${new URL(target).host}\r\n${all}\r\n`)
    },
  }
}

const ANY: RouteMatch = { hostnames: [], path: { type: 'prefix', value: '/' }, headers: [], query: [] }

function named(id: string, action: RouteConfig['action'], more: Partial<RouteConfig> = {}): RouteConfig {
  return route(action, { ...more, id: `HTTPRoute/shop/orders/${id}` })
}

test('a call to a Service goes where its routes lead, under the name that the caller said', async (t) => {
  const next = await startCallee(t, 'orders-next')
  const { ask, caller } = await startWorld(
    t,
    [
      named('1/0', forwardTo('shop/orders-next:80'), {
        match: { ...ANY, headers: [{ type: 'exact', name: 'x-canary', value: 'yes' }] },
        requestHeaders: { set: [['x-version', 'next']], add: [], remove: [] },
        responseHeaders: { set: [['x-route', 'canary']], add: [], remove: [] },
      }),
      named('0/0', {
        kind: 'forward',
        backends: [
          { upstream: 'shop/orders:80', weight: 9 },
          { upstream: 'shop/orders-next:80', weight: 1 },
        ],
        requestTimeoutMs: 60_000,
      }),
    ],
    { port: next.port('8080') },
  )
  const canary = await ask('http://orders/a?b=1', ['X-Canary: yes'])
  assert.equal(canary.body, 'orders-next orders /a?b=1 next')
  assert.equal(canary.headers.get('x-route'), 'canary')

  const bodies = []
  for (let i = 0; i < 10; i++) bodies.push((await ask('http://orders.shop:80/')).body)
  assert.equal(bodies.filter((body) => body === 'orders orders.shop:80 / -').length, 9)
  assert.equal(bodies.filter((body) => body === 'orders-next orders.shop:80 / -').length, 1)

  await until(() => caller.requests.length === 11, 'every request is told of')
  assert.equal(caller.requests[0]?.route, 'HTTPRoute/shop/orders/1/0')
  assert.equal(caller.requests[0]?.upstream, 'shop/orders-next:80')
  assert.deepEqual(new Set(next.requests.map(({ spiffeId }) => spiffeId)), new Set([testId('storefront')]))
})

test('a route that leads to its own Service is asked once: there is no loop', async (t) => {
  const { ask, caller } = await startWorld(t, [named('0/0', forwardTo('shop/orders:80'))], { port: 1 })
  assert.equal((await ask('http://orders/self')).body, 'orders orders /self -')
  assert.equal(caller.requests.length, 1)
})

test('a call that no route is for is answered 404, the share of a backend that is not there 500', async (t) => {
  const { ask } = await startWorld(
    t,
    [
      named('0/0', forwardTo('', 'shop/orders:80'), { match: { ...ANY, path: { type: 'prefix', value: '/half' } } }),
      named('1/0', { kind: 'respond', status: 500 }, { match: { ...ANY, path: { type: 'exact', value: '/none' } } }),
    ],
    { port: 1 },
  )
  const unrouted = await ask('http://orders/elsewhere')
  assert.equal(unrouted.status, 404)
  assert.equal(JSON.parse(unrouted.body).denial, 'no-route')
  const shares = [(await ask('http://orders/half')).status, (await ask('http://orders/half/more')).status]
  assert.deepEqual(shares.sort(), [200, 500])
  assert.equal((await ask('http://orders/none')).status, 500)
})

test('T33: a backend of a route must prove that it is that Service, and its own policy decides who may ask', async (t) => {
  const routes = [named('0/0', forwardTo('shop/orders-next:80'))]
  const impostor = await startCallee(t, 'payments')
  const stolen = await startWorld(t, routes, { port: impostor.port('8080') })
  const refused = await stolen.ask('http://orders/')
  assert.equal(refused.status, 502)
  assert.equal(impostor.requests.length, 0)

  const closed = await startCallee(t, 'orders-next', 'somebody-else')
  const { ask } = await startWorld(t, routes, { port: closed.port('8080') })
  assert.equal((await ask('http://orders/')).status, 403)
})

test('a redirect and a rewrite are made before anybody is asked', async (t) => {
  const next = await startCallee(t, 'orders-next')
  const { ask } = await startWorld(
    t,
    [
      named(
        '0/0',
        { kind: 'redirect', status: 301, rewritePath: { kind: 'full', path: '/new' } },
        { match: { ...ANY, path: { type: 'exact', value: '/old' } } },
      ),
      named(
        '1/0',
        {
          ...forwardTo('shop/orders-next:80'),
          rewritePath: { kind: 'prefix', path: '/v2' },
          rewriteHost: 'next.example',
        },
        { match: { ...ANY, path: { type: 'prefix', value: '/v1' } } },
      ),
    ],
    { port: next.port('8080') },
  )
  const moved = await ask('http://orders/old?a')
  assert.equal(moved.status, 301)
  assert.equal(moved.headers.get('location'), 'http://orders/new?a')
  assert.equal((await ask('http://orders/v1/x')).body, 'orders-next next.example /v2/x -')
})

test('copies, tries and sessions are what the route says, as at a gateway', async (t) => {
  const next = await startCallee(t, 'orders-next')
  const retry = {
    attempts: 1,
    on: [],
    statuses: [403],
    methods: ['GET'],
    backoffMs: 0,
    maxBackoffMs: 0,
    maxBodyBytes: 0,
  }
  const closed = await startCallee(t, 'orders-closed', 'nobody')
  const { ask, caller, config } = await startWorld(
    t,
    [
      named(
        '0/0',
        { ...forwardTo('shop/closed:80'), delivery: { retry } },
        { match: { ...ANY, path: { type: 'prefix', value: '/again' } } },
      ),
      named('1/0', {
        ...forwardTo('shop/orders:80'),
        mirrors: [{ upstream: 'shop/orders-next:80', numerator: 1, denominator: 1 }],
        session: { by: 'header', name: 'x-session', isPermanent: false },
      }),
    ],
    { port: next.port('8080') },
  )
  const answered = await ask('http://orders/copied')
  assert.equal(answered.body, 'orders orders /copied -')
  assert.ok(answered.headers.get('x-session'))
  await until(() => next.requests.length === 1, 'the copy arrives')
  assert.equal(next.requests[0]?.path, '/copied')

  const upstreams = { ...config.upstreams, 'shop/closed:80': meshUpstream('orders-closed') }
  await caller.swap({ ...config, version: 'with', upstreams })
  caller.setEndpoints({ 'shop/closed:80': [endpoint(closed.port('8080'))] })
  assert.equal((await ask('http://orders/again')).status, 403)
  await until(() => closed.requests.length === 2, 'it was asked again')
})

test('inside a CONNECT the routes of the Service hold too', async (t) => {
  const next = await startCallee(t, 'orders-next')
  const { caller } = await startWorld(t, [named('0/0', forwardTo('shop/orders-next:80'))], { port: next.port('8080') })
  const client = await dialPlain(caller.port('proxy'))
  t.after(() => client.destroy())
  const opened = await client.request(`CONNECT orders:80 HTTP/1.1\r\nHost: orders:80\r\n${AUTHORIZATION}\r\n\r\n`, {
    toHead: true,
  })
  assert.equal(opened.status, 200)
  const response = await client.request('GET /inside HTTP/1.1\r\nHost: orders\r\n\r\n')
  assert.equal(response.body, 'orders-next orders /inside -')
})

test('routes that come and go with a push count from the next request on', async (t) => {
  const next = await startCallee(t, 'orders-next')
  const { ask, caller, config } = await startWorld(t, [named('0/0', forwardTo('shop/orders-next:80'))], {
    port: next.port('8080'),
  })
  assert.match((await ask('http://orders/')).body, /^orders-next /)
  const services = config.outbound.services.map(({ routing: _, ...service }) => service)
  await caller.swap({ ...config, version: 'without', outbound: { ...config.outbound, services } })
  assert.match((await ask('http://orders/')).body, /^orders orders /)
})
