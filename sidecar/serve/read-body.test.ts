import assert from 'node:assert/strict'
import { before, type TestContext, test } from 'node:test'
import { httpBackend } from './testing/backend.ts'
import { dialPlain } from './testing/client.ts'
import { connectHttp2, exchange } from './testing/http2-client.ts'
import { until } from './testing/until.ts'
import {
  createTestMesh,
  forwardTo,
  type GateConfig,
  gateSlots,
  gateway,
  inbound,
  LOOPBACK,
  route,
  startGateway,
  startPlane,
  type TestMesh,
  workloadConfig,
} from './testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

/** A listener whose checks read bodies of 16 bytes at most, and a connection to it. */
async function start(t: TestContext, echo: Partial<GateConfig['echo']> = {}) {
  const app = await httpBackend(t, (_request, response) => response.end('the application'))
  const filters = gateSlots({ echo: { maxBytes: 16, ...echo } })
  const routes = [route(forwardTo('shop/orders:80'), { filters })]
  const plane = await startGateway(t, mesh, app.port, { listeners: [gateway({ routes })] })
  const client = await dialPlain(plane.port('http'))
  t.after(() => client.destroy())
  return { plane, client }
}

const head = (...lines: readonly string[]) => `POST / HTTP/1.1\r\nHost: a.example\r\n${lines.join('\r\n')}\r\n\r\n`

for (const late of [false, true]) {
  test(`a check that asks ${late ? 'later' : 'at once'} gets the whole body, however it comes`, async (t) => {
    const { client, plane } = await start(t, { late })
    assert.equal((await client.request(`${head('Content-Length: 5')}hello`)).body, 'hello')
    const chunks = '3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n'
    assert.equal((await client.request(`${head('Transfer-Encoding: chunked')}${chunks}`)).body, 'hello')
    assert.equal((await client.request(head('Content-Length: 0'))).body, '')
    const pending = client.request(`${head('Content-Length: 6')}a`)
    client.send('bc')
    client.send('def')
    assert.equal((await pending).body, 'abcdef')
    assert.equal((await client.request(`${head('Content-Length: 16')}${'x'.repeat(16)}`)).body, 'x'.repeat(16))
    await until(() => plane.requests.length === 5, 'all are told of')
    assert.deepEqual(new Set(plane.requests.map(({ outcome }) => outcome)), new Set(['answered']))
  })
}

test('one that is longer than asked for is none, and the connection goes on where its end can be found', async (t) => {
  const { client } = await start(t)
  assert.equal((await client.request(`${head('Content-Length: 17')}${'x'.repeat(17)}`)).body, 'none')
  assert.equal((await client.request(`${head('Content-Length: 2')}ok`)).body, 'ok')
})

test('a client that goes away in the middle is one that has gone', async (t) => {
  const { client, plane } = await start(t)
  client.send(`${head('Content-Length: 5')}he`)
  client.destroy()
  await until(() => plane.requests.length === 1, 'it is told of')
  assert.equal(plane.requests[0]?.outcome, 'aborted')
})

test('a request whose body a check has read is never passed on', async (t) => {
  const { client, plane } = await start(t, { passes: true })
  client.send(`${head('Content-Length: 5')}hello`)
  await until(() => plane.requests.length === 1, 'it is told of')
  assert.equal(plane.requests[0]?.outcome, 'failed')
})

for (const late of [false, true]) {
  test(`bodies of HTTP/2 are read ${late ? 'later' : 'at once'}, of many streams at a time, and none that is too long`, async (t) => {
    const app = await httpBackend(t, (_request, response) => response.end('the application'))
    const plane = await startPlane(t, {
      config: workloadConfig([
        inbound(8080, { mtls: 'Disabled', appProtocol: 'http2' }, { echo: { maxBytes: 20_000, late } }),
      ]),
      placement: {
        inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }],
      },
      identity: await mesh.identity('orders'),
    })
    const session = await connectHttp2(t, plane.port('8080'))
    const head = { ':method': 'POST', ':path': '/', ':authority': 'a.example' }
    const bodies = ['', ...Array.from({ length: 6 }, (_, i) => `${i}`.repeat(20_000))]
    const answers = await Promise.all(bodies.map((body) => exchange(session, head, body)))
    for (const [i, { status, body }] of answers.entries()) {
      assert.equal(status, 200)
      assert.ok(body === bodies[i], `the body of ${i}`)
    }
    assert.equal((await exchange(session, head, 'x'.repeat(20_001))).body, 'none')
    assert.equal((await exchange(session, head, 'and on')).body, 'and on')
  })
}
