import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { rawBackend } from './testing/backend.ts'
import { dialPlain, get } from './testing/client.ts'
import { until } from './testing/until.ts'
import { createTestMesh, endpoint, gateway, plaintextUpstream, workloadConfig } from './testing/world.ts'

/** Of the process under test. Node itself has about twenty open. */
const DESCRIPTORS = 64

test('F17: without descriptors what is too much is closed at once, nobody dies, and service is back within 2 seconds', {
  skip: process.platform === 'win32',
}, async (t) => {
  const mesh = await createTestMesh()
  const backend = await rawBackend(t, (_text, socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
  const script = fileURLToPath(new URL('./testing/few-descriptors.ts', import.meta.url))
  const child = spawn('sh', ['-c', `ulimit -n ${DESCRIPTORS} && exec "$0" "$1"`, process.execPath, script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  child.stdin.end(
    JSON.stringify({
      config: workloadConfig([gateway()], { role: 'gateway', upstreams: { 'shop/orders:80': plaintextUpstream() } }),
      endpoints: { contract: 1, version: '1', endpoints: { 'shop/orders:80': [endpoint(backend.port)] } },
      identity: await mesh.identity('gateway'),
    }),
  )
  const [printed] = await once(child.stdout, 'data')
  const port = Number(String(printed).trim())

  const served = await dialPlain(port)
  assert.equal((await served.request(get('/'))).status, 200)
  const crowd: Socket[] = []
  for (let i = 0; i < DESCRIPTORS * 2; i++)
    crowd.push(
      connect(port, '127.0.0.1')
        .on('error', () => {})
        .resume(),
    )
  t.after(() => {
    for (const socket of crowd) socket.destroy()
  })
  const isGone = (socket: Socket) => socket.readableEnded || socket.destroyed
  await until(() => crowd.filter(isGone).length > DESCRIPTORS, 'what is too much is closed')
  // Who was there is still served.
  assert.equal((await served.request(get('/'))).status, 200)
  assert.equal(child.exitCode, null)
  for (const socket of crowd) socket.destroy()
  const freedAt = performance.now()
  let status = 0
  while (status !== 200 && performance.now() - freedAt < 30_000) {
    const client = await dialPlain(port)
    status = await client.request(get('/')).then(
      (response) => response.status,
      () => 0,
    )
    client.destroy()
  }
  assert.equal(status, 200)
  served.destroy()
})
