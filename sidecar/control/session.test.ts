import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { WebSocketServer } from 'ws'
import { createTestCa } from '../../model/x509/testing/test-ca.ts'
import { createBackoff } from '../../runtime/backoff.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { testId, testIdentity } from '../identity/testing/test-identity.ts'
import { clientTlsOptions, serverTlsOptions } from '../identity/tls-options.ts'
import { startSession } from './session.ts'

const ca = await createTestCa()
const operator = await testIdentity(ca, 'operator')
const orders = await testIdentity(ca, 'orders')

test('an operator that takes the connection and hangs up is asked ever less often', async (t) => {
  const server = createServer({ ...serverTlsOptions(operator), ALPNProtocols: ['http/1.1'] })
  const sockets = new WebSocketServer({ server })
  let connections = 0
  sockets.on('connection', (socket) => {
    connections += 1
    socket.close(1008, 'unknown workload')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const waits: number[] = []
  const backoff = createBackoff({ baseMs: 1, maxMs: 10_000, random: () => 0.999 })
  const enough = Promise.withResolvers<void>()
  const session = startSession({
    operator: () => ({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }),
    tls: () => clientTlsOptions(orders, new Set([testId('operator')]), { alpn: 'http/1.1' as never, now: Date.now }),
    hello: () => ({
      type: 'hello',
      contract: 1,
      release: '0',
      workload: 'shop/orders',
      pod: 'shop/orders-0',
      have: {},
    }),
    onMessage: () => {},
    backoff: {
      ...backoff,
      next() {
        const waitMs = backoff.next()
        waits.push(waitMs)
        if (waits.length === 6) enough.resolve()
        return waitMs
      },
    },
    clock: systemClock,
    log: silentLog,
  })
  t.after(() => {
    session.close()
    sockets.close()
    server.close()
    server.closeAllConnections()
  })
  await enough.promise
  assert.ok(connections >= 6, 'each attempt was taken')
  assert.deepEqual(
    waits,
    waits.toSorted((a, b) => a - b),
  )
  assert.ok((waits[5] ?? 0) > 20, `waits of ${waits.join(', ')} ms`)
})

test('F05: a session is opened anew at once, with the certificate of now, when it is told to', async (t) => {
  const server = createServer({ ...serverTlsOptions(operator), ALPNProtocols: ['http/1.1'] })
  const sockets = new WebSocketServer({ server })
  const serials: string[] = []
  sockets.on('connection', (_socket, request) => {
    serials.push((request.socket as TLSSocket).getPeerX509Certificate()?.serialNumber ?? '')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  let identity = orders
  let lost = 0
  const session = startSession({
    operator: () => ({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }),
    tls: () => clientTlsOptions(identity, new Set([testId('operator')]), { alpn: 'http/1.1' as never, now: Date.now }),
    hello: () => ({
      type: 'hello',
      contract: 1,
      release: '0',
      workload: 'shop/orders',
      pod: 'shop/orders-0',
      have: {},
    }),
    onMessage: () => {},
    onLost: () => {
      lost += 1
    },
    backoff: createBackoff({ baseMs: 60_000, maxMs: 60_000, random: () => 0.999 }),
    clock: systemClock,
    log: silentLog,
  })
  t.after(() => {
    session.close()
    sockets.close()
    server.close()
    server.closeAllConnections()
  })
  const untilConnected = async (times: number) => {
    const deadline = Date.now() + 30_000
    while (serials.length < times || !session.connected) {
      assert.ok(Date.now() < deadline, `connected ${serials.length} times`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  await untilConnected(1)
  identity = await testIdentity(ca, 'orders')
  session.reconnect()
  await untilConnected(2)
  assert.notEqual(serials[0], serials[1])
  assert.equal(lost, 0)

  for (const socket of sockets.clients) socket.terminate()
  while (session.connected) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.equal(lost, 1)
  session.reconnect()
  await untilConnected(3)
})
