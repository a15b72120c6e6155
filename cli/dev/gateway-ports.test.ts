import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { WorkloadId } from '../../model/workload-id.ts'
import { gatewayPorts, PortTakenError } from './gateway-ports.ts'

const A = 'hauberk-system/gateway-x-a' as WorkloadId
const B = 'hauberk-system/gateway-x-b' as WorkloadId

/** A port that nobody listens on, and that this test alone knows. */
async function freePort(t: TestContext, isTaken = false): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  if (isTaken) t.after(() => server.close())
  else await new Promise((closed) => server.close(closed))
  return port
}

function book() {
  const ports = new Map<string, number>()
  const take = async (purpose: string) => {
    const port = ports.get(purpose) ?? 100 + ports.size
    ports.set(purpose, port)
    return port
  }
  return { take, save: async () => {}, close: async () => {} }
}

test('443 and 80 of the first Gateway are where they were asked to be, the same ones each time', async (t) => {
  const https = await freePort(t)
  const http = await freePort(t)
  const take = gatewayPorts({ https, http }, book())
  assert.deepEqual([await take(A, 443), await take(A, 80), await take(A, 443)], [https, http, https])
})

test('0 is any free port, and so is what a second Gateway gets', async (t) => {
  const https = await freePort(t)
  const take = gatewayPorts({ https, http: 0 }, book())
  assert.deepEqual([await take(A, 443), await take(B, 443), await take(A, 80)], [https, 100, 101])
})

test('a port that is taken is named, with its flag', async (t) => {
  const https = await freePort(t, true)
  const take = gatewayPorts({ https, http: 0 }, book())
  await assert.rejects(take(A, 443), (error) => {
    assert.ok(error instanceof PortTakenError)
    assert.match(error.message, new RegExp(`port ${https} is taken by another program, .*--https-port`))
    return true
  })
})

test('any other port is published 8000 higher, or anywhere where that does not exist', async () => {
  const take = gatewayPorts({ https: 0, http: 0 }, book())
  assert.equal(await take(A, 60_000), 100)
  const published = await take(A, 23_456)
  assert.ok(published === 31_456 || published === 101)
})
