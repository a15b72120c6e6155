import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import { connect, type TLSSocket } from 'node:tls'
import { parseSpiffeId, parseTrustDomain } from '../../model/spiffe-id.ts'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { openAuthority } from '../identity/authority.ts'
import type { CaStore } from '../identity/ca-store.ts'
import { issueServerIdentity, keepServerIdentity } from '../identity/server-identity.ts'
import type { Push } from '../push/push.ts'
import { type PeerSessions, startMeshServer } from './mesh-server.ts'

function value<T>(result: { readonly ok: true; readonly value: T } | { readonly ok: false }): T {
  assert.ok(result.ok)
  return result.value
}

const trustDomain = value(parseTrustDomain('cluster.local'))
const operatorId = value(parseSpiffeId('spiffe://cluster.local/ns/hauberk-system/sa/hauberk-operator'))
const ordersId = value(parseSpiffeId('spiffe://cluster.local/ns/shop/sa/orders'))

function memoryStore(): CaStore {
  const entries = new Map<string, string>()
  return {
    read: async (name) => entries.get(name),
    async create(name, content) {
      if (!entries.has(name)) entries.set(name, content)
      return entries.get(name) ?? content
    },
  }
}

/** A server whose sessions stay open and say nothing, and the roots that vouched for their peers. */
async function newWorld(t: TestContext, listen: { readonly maxConnectionsOfAddress?: number } = {}) {
  const clock = createManualClock(Date.now())
  const authority = await openAuthority({ store: memoryStore(), trustDomain, clock, log: silentLog })
  const accepted: (string | undefined)[] = []
  const open: Duplex[] = []
  const sessions: Pick<Push, 'accept' | 'close'> & PeerSessions = {
    accept(_request, socket: Duplex, _head, _peer, _notAfterMs, root) {
      accepted.push(root)
      open.push(socket)
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
    },
    close() {
      for (const socket of open) socket.destroy()
    },
  }
  const identity = await issueServerIdentity(authority, operatorId)
  const server = await startMeshServer({
    host: '127.0.0.1',
    port: 0,
    ...listen,
    identity,
    trustDomain,
    authority,
    certificates: async () => {},
    push: sessions,
    clock,
    log: silentLog,
  })
  const ending = new AbortController()
  const renewed: string[] = []
  const keeping = keepServerIdentity(server.server, {
    authority,
    spiffeId: operatorId,
    first: identity,
    onRenewed: ({ root }) => renewed.push(root),
    clock,
    log: silentLog,
    signal: ending.signal,
  })
  t.after(async () => {
    ending.abort()
    await keeping
    await server.close()
  })
  const dial = async (localAddress = '127.0.0.1'): Promise<TLSSocket> => {
    const { privateKey, chain, trustBundle } = await issueServerIdentity(authority, ordersId)
    const options = {
      host: '127.0.0.1',
      localAddress,
      port: server.port,
      key: privateKey,
      cert: chain,
      ca: [...trustBundle],
      servername: '',
      checkServerIdentity: () => undefined,
    }
    const socket = connect(options)
    t.after(() => socket.destroy())
    socket.on('error', () => {})
    await new Promise((resolve) => socket.once('secureConnect', resolve).once('close', resolve))
    if (socket.destroyed) return socket
    socket.write('GET /v1/session HTTP/1.1\r\nHost: operator\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    await once(socket, 'data')
    return socket
  }
  const first = await authority.roots.made(1)
  const second = await authority.roots.made(2)
  return { clock, authority, accepted, renewed, dial, first, second }
}

describe('the mesh server', () => {
  it('F05: tells which root vouches for the peer of each session, whichever signs by now', async (t) => {
    const { authority, accepted, renewed, dial, first, second } = await newWorld(t)
    await dial()
    await authority.use({ trusted: [second, first], distrusted: [] })
    await untilTrue(() => renewed.length === 1)
    await dial()
    assert.deepEqual(accepted, [first.fingerprint, second.fingerprint])
    assert.deepEqual(renewed, [second.fingerprint])
  })

  it('F06: ends sessions by a root that is out, ten seconds after, and leaves the others', async (t) => {
    const { clock, authority, renewed, dial, first, second } = await newWorld(t)
    const old = await dial()
    await authority.use({ trusted: [second, first], distrusted: [] })
    await untilTrue(() => renewed.length === 1)
    const next = await dial()
    await authority.use({ trusted: [second], distrusted: [first.fingerprint] })
    await clock.advance(9_000)
    assert.equal(old.destroyed, false)
    const closed = once(old, 'close')
    await clock.advance(1_100)
    await closed
    assert.equal(next.destroyed, false)
  })
})

describe('a limit on connections of one address', () => {
  it('T04: leaves the others theirs, and takes a new one for each that ends', async (t) => {
    const { dial } = await newWorld(t, { maxConnectionsOfAddress: 2 })
    const [first, second] = [await dial(), await dial()]
    assert.equal((await dial()).destroyed, true)
    assert.equal((await dial('127.0.0.2')).destroyed, false)
    first.destroy()
    await untilTrue(async () => !(await dial()).destroyed)
    assert.equal(second.destroyed, false)
  })
})

async function untilTrue(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!(await condition())) {
    assert.ok(Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
