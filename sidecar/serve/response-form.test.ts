import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import type { FilterSlots } from '../../contract/workload-config.ts'
import { authorization } from '../../policies/authorization/filter.ts'
import { cors } from '../../policies/cors/filter.ts'
import { response } from '../../policies/response/filter.ts'
import { testId } from '../identity/testing/test-identity.ts'
import { httpBackend } from './testing/backend.ts'
import { dialMesh, get } from './testing/client.ts'
import { createTestMesh, inbound, LOOPBACK, route, startPlane, type TestMesh, workloadConfig } from './testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

const trustDomain = testId('x').split('/')[2]
const allow = [{ name: 'storefront', origin: 'shop/orders@1', from: { spiffeIds: [testId('storefront')] } }]
const configs = {
  response: {
    deniedStatus: 403,
    format: 'problem-json',
    hidesExistence: true,
    hsts: 'max-age=60',
    headers: [['x-frame-options', 'DENY']],
  },
  cors: {
    allowOrigins: ['https://shop.example'],
    allowMethods: ['GET'],
    allowHeaders: [],
    exposeHeaders: [],
    allowCredentials: false,
    maxAgeSeconds: 5,
  },
  authorization: { trustDomain, onlyFrom: [], deny: [], allow, otherwise: 'deny' },
}

function slots(): FilterSlots {
  const entries = Object.entries(configs).map(([name, config]) => [
    name,
    [{ state: 'resolved', mode: 'enforce', origins: ['shop/orders@1'], config }],
  ])
  return Object.fromEntries(entries)
}

test('responses get what policies set and add, and a hidden refusal looks like a path that nothing serves', async (t) => {
  const app = await httpBackend(t, (_request, reply) => {
    reply.setHeader('vary', 'Accept-Encoding')
    reply.setHeader('x-frame-options', 'ALLOWALL')
    reply.end('ok')
  })
  const routes = [route({ kind: 'app', port: 8080, requestTimeoutMs: 60_000 }, { filters: slots() })]
  const plane = await startPlane(t, {
    config: workloadConfig([inbound(8080, { routes })]),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
    identity: await mesh.identity('orders'),
    filters: [response, cors, authorization],
  })
  const dial = async (name: string) => {
    const client = await dialMesh(plane.port('8080'), await mesh.identity(name), testId('orders'))
    t.after(() => client.destroy())
    return client
  }

  const storefront = await dial('storefront')
  const allowed = await storefront.request(get('/orders', ['origin: https://shop.example']))
  assert.equal(allowed.status, 200)
  assert.deepEqual(allowed.head.match(/^vary: .*$/gim), ['vary: Accept-Encoding', 'vary: Origin'])
  assert.equal(allowed.headers.get('x-frame-options'), 'DENY')
  assert.equal(allowed.headers.get('strict-transport-security'), 'max-age=60')
  assert.equal(allowed.headers.get('access-control-allow-origin'), 'https://shop.example')

  const catalog = await dial('catalog')
  const hidden = await catalog.request(get('/orders'))
  assert.equal(hidden.status, 404)
  assert.equal(JSON.parse(hidden.body).denial, 'no-route')
  assert.equal(hidden.headers.get('x-frame-options'), 'DENY')
  const record = plane.requests.at(-1)
  assert.equal(record?.status, 404)
  assert.equal(record?.outcome, 'denied')
  assert.equal(record?.refusal?.denial, 'not-allowed')

  const preflight = await catalog.request(
    `OPTIONS /orders HTTP/1.1\r\nhost: orders\r\norigin: https://shop.example\r\naccess-control-request-method: GET\r\n\r\n`,
  )
  assert.equal(preflight.status, 204)
  assert.equal(preflight.headers.get('access-control-allow-methods'), 'GET')
})
