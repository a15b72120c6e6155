import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { testId } from '../identity/testing/test-identity.ts'
import { httpBackend } from './testing/backend.ts'
import { dialMesh, get } from './testing/client.ts'
import { createTestMesh, inbound, LOOPBACK, startPlane, type TestMesh, workloadConfig } from './testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

test('a request from a peer reaches the application and its response comes back, on one connection each', async (t) => {
  const app = await httpBackend(t, (request, response) => {
    response.setHeader('content-type', 'text/plain')
    response.end(`${request.method} ${request.url}`)
  })
  const plane = await startPlane(t, {
    config: workloadConfig([inbound(8080, {}, { spiffeIds: [testId('storefront')] })]),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
    identity: await mesh.identity('orders'),
  })
  const client = await dialMesh(plane.port('8080'), await mesh.identity('storefront'), testId('orders'))
  t.after(() => client.destroy())
  for (let i = 0; i < 5; i++) {
    const response = await client.request(get(`/orders/${i}?x=1`))
    assert.equal(response.status, 200)
    assert.equal(response.body, `GET /orders/${i}?x=1`)
  }
  assert.equal(app.sockets.length, 1)
  assert.equal(plane.requests.length, 5)
  const [record] = plane.requests
  assert.equal(record?.outcome, 'allowed')
  assert.equal(record?.spiffeId, testId('storefront'))
  assert.equal(record?.path, '/orders/0')
})

test('another caller is refused with a problem that names the denial and nothing of the policy', async (t) => {
  const app = await httpBackend(t, (_request, response) => response.end())
  const plane = await startPlane(t, {
    config: workloadConfig([inbound(8080, {}, { spiffeIds: [testId('storefront')] })]),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
    identity: await mesh.identity('orders'),
  })
  const client = await dialMesh(plane.port('8080'), await mesh.identity('catalog'), testId('orders'))
  t.after(() => client.destroy())
  for (let i = 0; i < 2; i++) {
    const response = await client.request(get('/orders'))
    assert.equal(response.status, 403)
    assert.equal(response.headers.get('content-type'), 'application/problem+json')
    const problem = JSON.parse(response.body)
    assert.equal(problem.denial, 'gate-shut')
    assert.equal(problem.decisionId, plane.requests[i]?.decisionId)
    assert.ok(!response.body.includes('callers') && !response.body.includes('shop/gate'))
  }
  assert.equal(app.sockets.length, 0)
  assert.deepEqual(plane.requests[0]?.refusal, {
    denial: 'gate-shut',
    filter: 'gate',
    rule: 'callers',
    origins: ['shop/gate@1'],
    detail: undefined,
  })
})
