import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { before, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import type { GatewayListener } from '../../contract/workload-config.ts'
import { httpBackend } from './testing/backend.ts'
import { dialTls, get, type TestClient } from './testing/client.ts'
import { until } from './testing/until.ts'
import {
  createTestMesh,
  gateway,
  LOOPBACK,
  plaintextUpstream,
  startGateway,
  type TestMesh,
  workloadConfig,
} from './testing/world.ts'

const HOST = 'shop.example'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

/** A listener as it is after its Secret was rotated: the same but for the certificate. */
async function listenerWithNewSecret(): Promise<{ readonly listener: GatewayListener; readonly chain: string }> {
  const { chain, privateKey } = await mesh.ca.issue({ uris: [], dnsNames: [HOST] })
  const listener = gateway({
    name: 'https',
    port: 443,
    protocol: 'https',
    hostname: HOST,
    certificates: [{ source: 'secret', name: 'shop/edge', certificate: chain, privateKey }],
  })
  return { listener, chain }
}

function serialOf(client: TestClient): string {
  return (client.socket as TLSSocket).getPeerX509Certificate()?.serialNumber ?? ''
}

test('a rotated Secret is shown to whoever connects next, and no connection and no request is lost', async (t) => {
  const held: ServerResponse[] = []
  const app = await httpBackend(t, (request, response) => {
    if (request.url === '/held') held.push(response)
    else response.end('ok')
  })
  const first = await listenerWithNewSecret()
  const plane = await startGateway(t, mesh, app.port, {
    listeners: [first.listener],
    placement: { gateway: [{ listener: 'https', bind: LOOPBACK }] },
  })
  const port = plane.port('https')
  const dial = async (servername: string) => {
    const client = await dialTls({
      host: '127.0.0.1',
      port,
      servername,
      ca: mesh.ca.root,
      checkServerIdentity: () => undefined,
    })
    t.after(() => client.destroy())
    return client
  }
  const idle = await dial(HOST)
  const busy = await dial(HOST)
  const old = serialOf(idle)
  busy.send(get('/held', [], HOST))
  await until(() => held.length === 1, 'a request is in flight')

  // Clients that come and go all the time, each with one request.
  let isOver = false
  const serials: string[] = []
  const load = async () => {
    while (!isOver) {
      const client = await dial(HOST)
      assert.equal((await client.request(get('/', [], HOST))).status, 200)
      serials.push(serialOf(client))
      client.destroy()
    }
  }
  const clients = [load(), load(), load()]
  await until(() => serials.length >= 3, 'clients are served')
  const next = await listenerWithNewSecret()
  await plane.swap(
    workloadConfig([next.listener], { role: 'gateway', upstreams: { 'shop/orders:80': plaintextUpstream() } }),
  )
  const before = serials.length
  await until(() => serials.length >= before + 6, 'clients are served after the swap')
  isOver = true
  await Promise.all(clients)

  const [shown, ...others] = new Set(serials)
  assert.equal(shown, old)
  assert.equal(others.length, 1)
  assert.equal(serials.at(-1), others[0])
  assert.equal(serialOf(await dial('')), others[0], 'a client that names nobody')
  assert.equal((await idle.request(get('/', [], HOST))).status, 200, 'a connection that was idle')
  held[0]?.end('late')
  assert.equal((await busy.response()).body, 'late', 'a request that was in flight')
  assert.equal((await busy.request(get('/', [], HOST))).status, 200, 'its connection')
})
