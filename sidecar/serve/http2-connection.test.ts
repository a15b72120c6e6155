import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import type { GatewayListener } from '../../contract/workload-config.ts'
import { httpBackend } from './testing/backend.ts'
import { connectHttp2Tls, exchange } from './testing/http2-client.ts'
import { createTestMesh, gateway, startGateway, type TestMesh } from './testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

async function https(hostname: string, more: Partial<GatewayListener> = {}): Promise<GatewayListener> {
  const { chain, privateKey } = await mesh.ca.issue({ uris: [], dnsNames: [hostname] })
  const certificate = { source: 'secret' as const, name: hostname, certificate: chain, privateKey }
  return gateway({ name: 'https', port: 443, protocol: 'https', hostname, certificates: [certificate], ...more })
}

test('a gateway speaks HTTP/2 to clients that offer it, and HTTP/1.1 to its upstream', async (t) => {
  const app = await httpBackend(t, (request, response) => {
    response.setHeader('x-seen', `${request.method} ${request.url} ${request.headers.host} ${request.httpVersion}`)
    request.pipe(response)
  })
  const plane = await startGateway(t, mesh, app.port, { listeners: [await https('shop.example')] })
  const session = await connectHttp2Tls(t, {
    host: '127.0.0.1',
    port: plane.port('https'),
    ca: mesh.ca.root,
    servername: 'shop.example',
  })
  const common = { ':authority': 'shop.example', ':path': '/a?b' }
  const responses = await Promise.all([
    exchange(session, common),
    exchange(session, { ...common, ':method': 'POST' }, 'x'.repeat(300_000)),
    exchange(session, { ...common, ':method': 'POST', 'content-length': '5' }, 'hello'),
    exchange(session, { ...common, ':method': 'HEAD' }),
  ])
  assert.deepEqual(
    responses.map(({ status, body }) => [status, body.length]),
    [
      [200, 0],
      [200, 300_000],
      [200, 5],
      [200, 0],
    ],
  )
  assert.equal(responses[0]?.headers['x-seen'], 'GET /a?b shop.example 1.1')
  assert.equal(plane.requests.length, 4)
  assert.deepEqual(plane.requests.map(({ outcome, bytesIn }) => `${outcome} ${bytesIn}`).sort(), [
    'allowed 0',
    'allowed 0',
    'allowed 300000',
    'allowed 5',
  ])
})
