import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { MESH_ALPN } from '../../contract/alpn.ts'
import { createTestCa, type TestCa } from '../../model/x509/testing/test-ca.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { type Identity, withTrustBundle } from '../identity/identity.ts'
import { createIdentityStore } from '../identity/identity-store.ts'
import { MeshConnections } from '../identity/mesh-connections.ts'
import { testId, testIdentity } from '../identity/testing/test-identity.ts'
import { rawBackend } from './testing/backend.ts'
import { dialMesh, dialPlain } from './testing/client.ts'
import { until } from './testing/until.ts'
import { endpoint, inbound, LOOPBACK, meshUpstream, startPlane, workloadConfig } from './testing/world.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const GET = 'GET / HTTP/1.1\r\nHost: orders\r\n\r\n'

let old: TestCa
let next: TestCa
before(async () => {
  old = await createTestCa('old root')
  next = await createTestCa('next root')
})

/** In the middle of a rotation: both roots are trusted. */
async function identityOf(ca: TestCa, name: string): Promise<Identity> {
  const both = withTrustBundle(await testIdentity(ca, name), [next.root, old.root])
  assert.ok(both.ok)
  return both.value
}

function withoutOld(identity: Identity): Identity {
  const { root } = identity
  const [, fingerprint] = identity.trustedRoots
  const changed = withTrustBundle(identity, [next.root], [fingerprint!])
  assert.ok(changed.ok)
  assert.equal(changed.value.root, root)
  return changed.value
}

for (const protocol of ['http', 'tcp'] as const) {
  test(`F06: ${protocol} connections of peers with a distrusted root are cut at once, others stay`, async (t) => {
    const app = await rawBackend(t, (_text, socket) => socket.write(protocol === 'http' ? OK : '.'))
    const plane = await startPlane(t, {
      config: workloadConfig([inbound(8080, { protocol, ...(protocol === 'tcp' && { routes: [] }) })]),
      placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
      identity: await identityOf(next, 'orders'),
    })
    const dial = async (ca: TestCa) =>
      dialMesh(plane.port('8080'), await identityOf(ca, 'storefront'), testId('orders'), MESH_ALPN[protocol])
    const [good, bad] = [await dial(next), await dial(old)]
    t.after(() => good.destroy())
    t.after(() => bad.destroy())
    for (const client of [good, bad]) client.send(GET)
    await until(() => good.received.length > 0 && bad.received.length > 0, 'both are answered')

    plane.identity.replace(withoutOld(plane.identity.current()))
    await bad.closed()
    assert.equal(good.isClosed, false)
    good.received = Buffer.alloc(0)
    good.send(GET)
    await until(() => good.received.length > 0, 'the other goes on')
    const again = await dial(old).catch((error: Error) => error)
    if (!(again instanceof Error)) await again.closed()
  })
}

test('F05: a root that is only retired cuts nothing', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const plane = await startPlane(t, {
    config: workloadConfig([inbound(8080)]),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
    identity: await identityOf(next, 'orders'),
  })
  const client = await dialMesh(plane.port('8080'), await identityOf(old, 'storefront'), testId('orders'))
  t.after(() => client.destroy())
  client.send(GET)
  assert.equal((await client.response()).status, 200)
  const retired = withTrustBundle(plane.identity.current(), [next.root])
  assert.ok(retired.ok)
  plane.identity.replace(retired.value)
  client.send(GET)
  assert.equal((await client.response()).status, 200)
})

test('F06: everybody is cut by a sidecar whose own certificate has no root any more', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const plane = await startPlane(t, {
    config: workloadConfig([inbound(8080)]),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
    identity: await identityOf(old, 'orders'),
  })
  const client = await dialMesh(plane.port('8080'), await identityOf(old, 'storefront'), testId('orders'))
  t.after(() => client.destroy())
  client.send(GET)
  assert.equal((await client.response()).status, 200)
  plane.identity.replace(withoutOld(plane.identity.current()))
  await client.closed()
})

test('F06: tunnels to others are cut too', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write('.'))
  const orders = await startPlane(t, {
    config: workloadConfig([inbound(5432, { protocol: 'tcp', routes: [] })]),
    placement: { inbound: [{ containerPort: 5432, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
    identity: await identityOf(old, 'orders'),
  })
  const upstream = 'shop/orders:5432'
  const service = { service: 'shop/orders', hosts: ['orders'], port: 5432, protocol: 'tcp' as const, upstream }
  const caller = await startPlane(t, {
    config: workloadConfig([], {
      upstreams: { [upstream]: meshUpstream('orders', 'tcp', 5432) },
      outbound: { services: [{ ...service, requestTimeoutMs: 0 }], egress: [] },
    }),
    placement: { tcp: [{ upstream, bind: LOOPBACK }] },
    identity: await identityOf(next, 'storefront'),
    endpoints: { [upstream]: [endpoint(orders.port('5432'))] },
  })
  const client = await dialPlain(caller.port(upstream))
  t.after(() => client.destroy())
  client.send('a')
  await client.text('.')
  caller.identity.replace(withoutOld(caller.identity.current()))
  await client.closed()
})

test('F06: a connection whose handshake was begun before is cut when it ends; later ones are not looked at', async (t) => {
  const app = await rawBackend(t, (_text, socket) => socket.write(OK))
  const startOrders = async (ca: TestCa) =>
    startPlane(t, {
      config: workloadConfig([inbound(8080)]),
      placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }] },
      identity: await identityOf(ca, 'orders'),
    })
  const ports = { old: (await startOrders(old)).port('8080'), next: (await startOrders(next)).port('8080') }
  const both = await identityOf(next, 'storefront')
  const clock = createManualClock()
  const identity = createIdentityStore(both)
  const connections = new MeshConnections(identity, clock)
  identity.replace(withoutOld(both))
  const add = async (port: number) => {
    const client = await dialMesh(port, both, testId('orders'))
    t.after(() => client.destroy())
    connections.add(client.socket as TLSSocket)
    return client.socket
  }
  assert.equal((await add(ports.old)).destroyed, true)
  assert.equal((await add(ports.next)).destroyed, false)
  await clock.advance(15_000)
  assert.equal((await add(ports.old)).destroyed, false)
  await until(() => connections.size === 2, 'what is closed is forgotten')
})
