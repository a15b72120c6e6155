import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect as connectPlain } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { type ConnectionOptions, connect, createServer, type Server, type TLSSocket } from 'node:tls'
import { MESH_ALPN } from '../../contract/alpn.ts'
import { EXTENDED_KEY_USAGE } from '../../model/x509/certificate.ts'
import type { SvidVerdict } from '../../model/x509/svid.ts'
import { createTestCa, KeyUsageFlags, type TestLeaf } from '../../model/x509/testing/test-ca.ts'
import type { Identity } from './identity.ts'
import { createIdentityStore } from './identity-store.ts'
import { msUntilClose, msUntilRetire } from './lifetime.ts'
import { impostor, testId, testIdentity } from './testing/test-identity.ts'
import {
  clientTlsOptions,
  followIdentity,
  gatewayTlsOptions,
  PeerIdentityError,
  serverTlsOptions,
} from './tls-options.ts'
import { peerSpiffeId } from './trust.ts'

const ca = await createTestCa()
const foreignCa = await createTestCa('foreign root')
const orders = await testIdentity(ca, 'orders')
const storefront = await testIdentity(ca, 'storefront')
const { digitalSignature, keyCertSign, keyEncipherment } = KeyUsageFlags
const ordersOnly = new Set([testId('orders')])

interface Listener {
  readonly port: number
  readonly server: Server
  /** Of each connection that finished its handshake, in order. */
  readonly verdicts: SvidVerdict[]
  /** Bytes that any peer got through to the handler behind the check. */
  readonly received: string[]
}

/** A listener as the sidecar has it: OpenSSL first, then the identity, then the handler, which echoes. */
async function listen(t: TestContext, identity: Identity): Promise<Listener> {
  const verdicts: SvidVerdict[] = []
  const received: string[] = []
  const open = new Set<TLSSocket>()
  const server = createServer(serverTlsOptions(identity), (socket) => {
    open.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => open.delete(socket))
    const verdict = peerSpiffeId(socket, { trustDomain: identity.trustDomain, role: 'client', nowMs: Date.now() })
    verdicts.push(verdict)
    if (!verdict.ok) return socket.destroy()
    return socket.setEncoding('utf8').on('data', (text: string) => {
      received.push(text)
      socket.write(text)
    })
  })
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    for (const socket of open) socket.destroy()
  })
  return { port: (server.address() as AddressInfo).port, server, verdicts, received }
}

/** Dials, sends a line, and says what came back before the end; an error is its code. */
async function exchange(options: ConnectionOptions): Promise<string> {
  const socket = connect({ host: '127.0.0.1', ...options })
  try {
    await once(socket, 'secureConnect')
    socket.write('hello')
    const [text] = await Promise.race([
      once(socket.setEncoding('utf8'), 'data'),
      once(socket, 'close').then(() => ['closed']),
    ])
    return String(text)
  } catch (error) {
    if (error instanceof PeerIdentityError) return error.reason
    return (error as NodeJS.ErrnoException).code ?? 'closed'
  } finally {
    socket.destroy()
  }
}

function dial(identity: Identity, port: number, ids = ordersOnly): ConnectionOptions {
  return { ...clientTlsOptions(identity, ids, { alpn: MESH_ALPN.http, now: Date.now }), port }
}

const unsound: readonly (readonly [what: string, leaf: TestLeaf])[] = [
  ['two URI SANs', { uris: ['spiffe://cluster.local/ns/shop/sa/orders', 'spiffe://cluster.local/ns/shop/sa/b'] }],
  ['no URI SAN', { uris: [], dnsNames: ['orders.shop'] }],
  ['the CA bit', { isCa: true }],
  ['keyCertSign', { keyUsage: digitalSignature | keyCertSign }],
  ['no digitalSignature', { keyUsage: keyEncipherment }],
  ['no path', { uris: ['spiffe://cluster.local'] }],
  ['a foreign trust domain', { uris: ['spiffe://evil.local/ns/shop/sa/orders'] }],
  ['dot segments', { uris: ['spiffe://cluster.local/ns/shop/sa/x/../orders'] }],
  ['percent-encoding', { uris: ['spiffe://cluster.local/ns/shop/sa/%6frders'] }],
  ['an upper-case scheme', { uris: ['SPIFFE://cluster.local/ns/shop/sa/orders'] }],
  ['no extended key usage', { extendedKeyUsage: undefined }],
  ['an expired certificate', { notBeforeMs: Date.now() - 120_000, notAfterMs: Date.now() - 1_000 }],
  ['a certificate of tomorrow', { notBeforeMs: Date.now() + 86_400_000, notAfterMs: Date.now() + 90_000_000 }],
]

describe('mutual TLS between sidecars', () => {
  it('is TLS 1.3 on a named group, and each side knows the other', async (t) => {
    const { port, verdicts } = await listen(t, orders)
    const socket = connect({ host: '127.0.0.1', ...dial(storefront, port) })
    await once(socket, 'secureConnect')
    const peer = peerSpiffeId(socket, { trustDomain: orders.trustDomain, role: 'server', nowMs: Date.now() })
    assert.equal(peer.ok && peer.spiffeId, testId('orders'))
    assert.equal(socket.getProtocol(), 'TLSv1.3')
    assert.equal(socket.alpnProtocol, 'hauberk/http1')
    assert.deepEqual(socket.getEphemeralKeyInfo(), { type: 'ECDH', name: 'X25519', size: 253 })
    socket.write('hello')
    await once(socket, 'data')
    const [verdict] = verdicts
    assert.equal(verdict?.ok && verdict.spiffeId, testId('storefront'))
    socket.destroy()
  })

  for (const [what, leaf] of unsound) {
    it(`T05: a client with ${what} gets no byte through`, async (t) => {
      const { port, received, verdicts } = await listen(t, orders)
      const client = impostor(await ca.issue(leaf), [ca.root])
      assert.notEqual(await exchange(dial(client, port)), 'hello')
      assert.equal(await exchange(dial(storefront, port)), 'hello')
      assert.deepEqual(received, ['hello'])
      assert.equal(verdicts.filter(({ ok }) => ok).length, 1)
    })

    it(`T05: a server with ${what} is sent nothing`, async (t) => {
      const sent: string[] = []
      const { server, port } = await listen(t, impostor(await ca.issue(leaf), [ca.root]))
      server.prependListener('secureConnection', (socket: TLSSocket) =>
        socket.on('data', (text) => sent.push(String(text))),
      )
      const outcome = await exchange(dial(storefront, port))
      assert.notEqual(outcome, 'hello')
      assert.deepEqual(sent, [])
    })
  }

  it('T05: a certificate for servers only is no client’s, and the other way round', async (t) => {
    const { serverAuth, clientAuth } = EXTENDED_KEY_USAGE
    const { port, received } = await listen(t, orders)
    const serverOnly = impostor(await ca.issue({ extendedKeyUsage: [serverAuth] }), [ca.root])
    assert.notEqual(await exchange(dial(serverOnly, port)), 'hello')
    assert.deepEqual(received, [])
    const clientOnly = await listen(t, impostor(await ca.issue({ extendedKeyUsage: [clientAuth] }), [ca.root]))
    assert.notEqual(await exchange(dial(storefront, clientOnly.port)), 'hello')
  })

  it('T05: a certificate of a foreign CA is nobody’s, on either side', async (t) => {
    const { port, received } = await listen(t, orders)
    const stranger = impostor(await foreignCa.issue(), [ca.root])
    assert.notEqual(await exchange(dial(stranger, port)), 'hello')
    assert.deepEqual(received, [])
    const strange = await listen(t, stranger)
    assert.equal(await exchange(dial(storefront, strange.port)), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE')
  })

  it('T05: a client without a certificate, or in plaintext, gets no byte through', async (t) => {
    const { port, received, verdicts } = await listen(t, orders)
    const { secureContext: _, ...options } = dial(storefront, port)
    assert.notEqual(await exchange({ ...options, ca: [ca.root], checkServerIdentity: () => undefined }), 'hello')
    const plain = connectPlain({ host: '127.0.0.1', port })
    plain.on('error', () => {})
    plain.write('GET / HTTP/1.1\r\nhost: orders\r\n\r\n')
    await once(plain.resume(), 'close')
    assert.deepEqual(received, [])
    assert.deepEqual(verdicts, [])
  })

  it('T33: a server that is not who serves the Service is sent nothing', async (t) => {
    const { port, received } = await listen(t, orders)
    assert.equal(await exchange(dial(storefront, port, new Set([testId('payments')]))), 'unexpected-identity')
    assert.deepEqual(received, [])
  })

  it('refuses TLS 1.2 and protocols that are not the mesh’s', async (t) => {
    const { port, received } = await listen(t, orders)
    const plain = {
      key: storefront.privateKey,
      cert: storefront.chain,
      ca: [ca.root],
      checkServerIdentity: () => undefined,
    }
    assert.match(await exchange({ port, ...plain, maxVersion: 'TLSv1.2' }), /PROTOCOL_VERSION|ECONNRESET/)
    assert.match(await exchange({ port, ...plain, ALPNProtocols: ['http/1.1'] }), /NO_APPLICATION_PROTOCOL|ECONNRESET/)
    assert.deepEqual(received, [])
  })

  it('T06: resumes nothing: not the same session, not under another name, not for an expired client', async (t) => {
    const { port, verdicts } = await listen(t, orders)
    /** The sessions that a client was given, none of which was resumed; it is good until `soon`. */
    const tryWhileGood = async (shortLived: Identity): Promise<readonly Buffer[]> => {
      const sessions: Buffer[] = []
      const first = connect({ host: '127.0.0.1', ...dial(shortLived, port) })
      first.on('session', (session: Buffer) => sessions.push(session))
      await greeted(first)
      for (const session of [...sessions]) {
        for (const servername of ['', 'other.example']) {
          const again = connect({ host: '127.0.0.1', ...dial(shortLived, port), session, servername })
          assert.equal(await greeted(again), false)
        }
      }
      return sessions
    }
    let sessions: readonly Buffer[] = []
    let shortLived = storefront
    let soon: number
    // A busy machine may take longer for it than the certificate lives: then it is tried with one that lives longer.
    for (let livesMs = 1_000; ; livesMs *= 4) {
      soon = Math.ceil(Date.now() / 1000) * 1000 + livesMs
      try {
        shortLived = await testIdentity(ca, 'short-lived', soon)
        sessions = await tryWhileGood(shortLived)
        break
      } catch (error) {
        if (Date.now() < soon || livesMs > 60_000) throw error
      }
    }
    const before = verdicts.filter(({ ok }) => ok).length
    await until(() => Date.now() > soon)
    for (const session of sessions) assert.notEqual(await exchange({ ...dial(shortLived, port), session }), 'hello')
    assert.equal(verdicts.filter(({ ok }) => ok).length, before)
    assert.ok(sessions.length > 0, 'there was a session to try with')
  })

  it('T06: a connection ends within 60 s of its peer’s certificate, and takes nothing new after it', () => {
    assert.equal(msUntilRetire(5_000, 9_000, 1_000), 4_000)
    assert.equal(msUntilRetire(9_000, 5_000, 1_000), 4_000)
    assert.equal(msUntilRetire(9_000, 5_000, 6_000), 0)
    const graceMs = msUntilClose(5_000, 5_000)
    assert.ok(graceMs > 0 && graceMs <= 55_000)
    assert.equal(msUntilClose(5_000, 1_000), 4_000 + graceMs)
    assert.equal(msUntilClose(5_000, 5_000 + graceMs), 0)
  })

  it('F05: with both roots in the bundle, leaves of the old and of the new are believed', async (t) => {
    const both = [ca.root, foreignCa.root]
    const { port } = await listen(t, { ...orders, trustBundle: both })
    const newcomer = await testIdentity(foreignCa, 'storefront')
    assert.equal(await exchange(dial({ ...newcomer, trustBundle: both }, port)), 'hello')
    assert.equal(await exchange(dial({ ...storefront, trustBundle: both }, port)), 'hello')
  })

  it('goes on over a renewal: open connections stay, new ones show the new certificate', async (t) => {
    const { port, server } = await listen(t, orders)
    const store = createIdentityStore(orders)
    const stop = followIdentity(server, store)
    const open = connect({ host: '127.0.0.1', ...dial(storefront, port) })
    await once(open, 'secureConnect')
    const serial = open.getPeerX509Certificate()?.serialNumber

    store.replace(await testIdentity(ca, 'orders'))
    const next = connect({ host: '127.0.0.1', ...dial(storefront, port) })
    await once(next, 'secureConnect')
    assert.notEqual(next.getPeerX509Certificate()?.serialNumber, serial)
    open.setEncoding('utf8').write('still here')
    assert.deepEqual(await once(open, 'data'), ['still here'])
    open.destroy()
    next.destroy()

    stop()
    store.replace(orders)
    const last = connect({ host: '127.0.0.1', ...dial(storefront, port) })
    await once(last, 'secureConnect')
    assert.notEqual(last.getPeerX509Certificate()?.serialNumber, serial)
    last.destroy()
  })

  it('F06: a renewed bundle without a root closes the door to its leaves', async (t) => {
    const { port, server, received } = await listen(t, { ...orders, trustBundle: [ca.root, foreignCa.root] })
    const store = createIdentityStore(orders)
    followIdentity(server, store)
    const stranger = impostor(await foreignCa.issue(), [ca.root])
    assert.equal(await exchange(dial(stranger, port)), 'hello')
    store.replace(orders)
    assert.notEqual(await exchange(dial(stranger, port)), 'hello')
    assert.deepEqual(received, ['hello'])
  })
})

describe('a gateway listener', () => {
  it('T06: asks no certificate of the world, speaks TLS 1.2 and 1.3, and resumes nothing', async (t) => {
    const serving = await ca.issue({ uris: [], dnsNames: ['shop.localhost'] })
    const server = createServer(gatewayTlsOptions(serving), (socket) => {
      socket.on('error', () => {})
      socket.pipe(socket)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    const { port } = server.address() as AddressInfo
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const options = {
        host: '127.0.0.1',
        port,
        ca: [ca.root],
        servername: 'shop.localhost',
        maxVersion: version,
        minVersion: version,
      }
      const first = connect(options)
      const sessions: Buffer[] = []
      first.on('session', (session: Buffer) => sessions.push(session))
      await once(first, 'secureConnect')
      first.write('hello')
      await once(first, 'data')
      first.destroy()
      for (const session of sessions) {
        const again = connect({ ...options, session })
        await once(again, 'secureConnect')
        assert.equal(again.isSessionReused(), false, version)
        again.destroy()
      }
    }
  })
})

/** Says hello, and hangs up when it has come back. Whether that was in a session of before. */
async function greeted(socket: TLSSocket): Promise<boolean> {
  const gone = once(socket, 'close').then(() => Promise.reject(new Error('it hung up')))
  gone.catch(() => {})
  try {
    await Promise.race([once(socket, 'secureConnect'), gone])
    socket.write('hello')
    await Promise.race([once(socket, 'data'), gone])
    return socket.isSessionReused()
  } finally {
    socket.destroy()
  }
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!condition()) {
    assert.ok(Date.now() < deadline, 'deadline')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
