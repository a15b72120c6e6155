import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { createServer, type TLSSocket, connect as tlsConnect } from 'node:tls'
import { parseSpiffeId, parseTrustDomain } from '../../model/spiffe-id.ts'
import { type LogFields, silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { openAuthority } from '../identity/authority.ts'
import { issueServerIdentity, operatorTlsOptions } from '../identity/server-identity.ts'
import { limitHandshakes } from './handshake-limit.ts'

async function startWorld(t: TestContext, limits: { readonly max?: number; readonly maxOfAddress?: number }) {
  const trustDomain = parseTrustDomain('cluster.local')
  const spiffeId = parseSpiffeId('spiffe://cluster.local/ns/hauberk-system/sa/hauberk-operator')
  assert.ok(trustDomain.ok && spiffeId.ok)
  const entries = new Map<string, string>()
  const store = {
    read: async (name: string) => entries.get(name),
    async create(name: string, content: string) {
      entries.set(name, content)
      return content
    },
  }
  const clock = createManualClock(Date.now())
  const authority = await openAuthority({ store, trustDomain: trustDomain.value, clock, log: silentLog })
  const server = createServer(operatorTlsOptions(await issueServerIdentity(authority, spiffeId.value)))
  const warnings: (LogFields | undefined)[] = []
  const log = { ...silentLog, warn: (_message: string, fields?: LogFields) => void warnings.push(fields) }
  const endHandshakes = limitHandshakes(server, { ...limits, clock, log })
  const shown: TLSSocket[] = []
  server.on('secureConnection', (socket) => shown.push(socket))
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const clients: (Socket | TLSSocket)[] = []
  t.after(async () => {
    for (const socket of [...clients, ...shown]) socket.destroy()
    endHandshakes()
    await new Promise((resolve) => server.close(resolve))
  })
  return {
    clock,
    warnings,
    endHandshakes,
    /** Connects and says nothing; from another address of loopback where that is asked. */
    async idle(localAddress = '127.0.0.1'): Promise<Socket> {
      const socket = connect({ port, host: '127.0.0.1', localAddress })
      clients.push(socket)
      socket.on('error', () => {})
      await once(socket, 'connect')
      return socket
    },
    /** Whether the handshake came to its end. */
    async shake(localAddress = '127.0.0.1'): Promise<boolean> {
      const options = { port, host: '127.0.0.1', localAddress, rejectUnauthorized: false, servername: '' }
      const socket = tlsConnect(options)
      clients.push(socket)
      return new Promise((resolve) => {
        socket.once('secureConnect', () => resolve(true))
        socket.once('error', () => resolve(false))
        socket.once('close', () => resolve(false))
      })
    },
  }
}

async function untilTrue(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!(await condition())) assert.ok(Date.now() < deadline)
}

describe('a limit on handshakes', () => {
  it('hangs up on whoever comes while so many are being served, and takes them again afterwards', async (t) => {
    const { idle, shake } = await startWorld(t, { max: 3 })
    const waiting = [await idle(), await idle(), await idle()]
    assert.equal(await shake(), false)
    waiting[0]?.destroy()
    await untilTrue(shake)
  })

  it('does not count connections whose handshake is over, however many', async (t) => {
    const { shake } = await startWorld(t, { max: 2 })
    for (let i = 0; i < 10; i += 1) await untilTrue(shake)
  })

  it('leaves room for others when one address has more than its share', async (t) => {
    const { idle, shake } = await startWorld(t, { max: 4, maxOfAddress: 2 })
    await idle('127.0.0.2')
    await idle('127.0.0.2')
    const third = await idle('127.0.0.2')
    if (!third.closed) await once(third, 'close')
    assert.equal(await shake('127.0.0.2'), false)
    assert.equal(await shake('127.0.0.3'), true)
  })

  it('ends handshakes that are under way when it is told to', async (t) => {
    const { idle, endHandshakes } = await startWorld(t, {})
    const socket = await idle()
    // The server may not have taken it from the kernel yet.
    const closed = once(socket, 'close')
    const again = setInterval(endHandshakes, 5)
    await closed
    clearInterval(again)
  })

  it('says once in a while how many it refused', async (t) => {
    const { clock, warnings, idle, shake } = await startWorld(t, { max: 1 })
    await idle()
    assert.equal(await shake(), false)
    assert.equal(await shake(), false)
    assert.deepEqual(warnings, [])
    await clock.advance(10_000)
    assert.deepEqual(warnings, [{ 'hauberk.connections': 2 }])
  })
})
