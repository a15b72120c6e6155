import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, createReadStream, openSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { saveIdentity } from '../identity/identity-file.ts'
import { testId } from '../identity/testing/test-identity.ts'
import { freePort, httpBackend } from '../serve/testing/backend.ts'
import { dialMesh, get } from '../serve/testing/client.ts'
import { until } from '../serve/testing/until.ts'
import { createTestMesh, inbound, workloadConfig } from '../serve/testing/world.ts'

const CONNECTIONS = 16
const REQUESTS = 12
/** With a path this long a line is longer than what a pipe takes whole. */
const LONG_PATH = `/${'x'.repeat(6_000)}`

test('a program with two workers writes each line whole, whoever writes it, and ends in order', async (t) => {
  const mesh = await createTestMesh()
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-workers-'))
  t.after(() => rm(directory, { recursive: true, maxRetries: 3 }))
  const state = join(directory, 'state')
  const { port: appPort } = await httpBackend(t, (_, response) => response.end('ok'))
  const config = workloadConfig([inbound(8080)], { trustBundle: [mesh.ca.root] })
  const [listener] = config.listeners
  assert.ok(listener)
  const { routes } = listener
  const open = { ...config, listeners: [{ ...listener, routes: routes.map((route) => ({ ...route, filters: {} })) }] }
  await mkdir(join(state, 'identity'), { recursive: true, mode: 0o700 })
  await mkdir(join(state, 'last-good'), { recursive: true, mode: 0o700 })
  await saveIdentity(join(state, 'identity'), await mesh.identity('orders'))
  await writeFile(join(state, 'last-good', 'config.json'), JSON.stringify(open))
  await writeFile(join(directory, 'ca.crt'), mesh.ca.root)
  await writeFile(join(directory, 'admin-token'), 'admin-token-of-a-test-0123456789')
  const port = await freePort()
  const options = {
    ...{ workload: 'shop/orders', pod: 'shop/orders-0', spiffeId: testId('orders'), workers: 2, drainMs: 5_000 },
    operator: { host: '127.0.0.1', port: 1, spiffeId: testId('operator') },
    ...{ trustAnchorsFile: join(directory, 'ca.crt'), joinTokenFile: join(directory, 'none'), stateDirectory: state },
    admin: { port: 0, tokenFile: join(directory, 'admin-token') },
    placement: {
      inbound: [{ containerPort: 8080, bind: { host: '127.0.0.1', port }, app: { host: '127.0.0.1', port: appPort } }],
      ...{ gateway: [], tcp: [] },
    },
  }
  await writeFile(join(directory, 'options.json'), JSON.stringify(options))

  const program = join(import.meta.dirname, 'testing', 'run-sidecar.ts')
  // What Node makes for a child is a pair of sockets; a container's log is a pipe.
  const fifo = join(directory, 'log')
  execFileSync('mkfifo', [fifo])
  const log = openSync(fifo, constants.O_RDWR)
  const output = createReadStream(fifo)
  const child = spawn(process.execPath, [program, join(directory, 'options.json')], {
    stdio: ['ignore', log, 'inherit'],
  })
  closeSync(log)
  t.after(() => child.kill('SIGKILL'))
  const lines: Record<string, unknown>[] = []
  const reader = createInterface(output)
  reader.on('line', (line) => lines.push(JSON.parse(line) as Record<string, unknown>))
  const adminPort = () => lines.find((line) => line['hauberk.admin_port'] !== undefined)?.['hauberk.admin_port']
  await until(() => adminPort() !== undefined, 'it starts', 30_000)
  const metrics = async () => (await fetch(`http://127.0.0.1:${adminPort()}/metrics`)).text()
  const isReady = async () => (await fetch(`http://127.0.0.1:${adminPort()}/readyz`)).ok
  while (!(await isReady())) assert.equal(child.exitCode, null)

  const client = await mesh.identity('web')
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => dialMesh(port, client, testId('orders'))))
  // The pipe is full meanwhile, so that writes wait in the middle.
  reader.pause()
  await Promise.all(
    clients.map(async (one) => {
      for (let i = 0; i < REQUESTS; i++) assert.equal((await one.request(get(LONG_PATH))).status, 200)
    }),
  )
  reader.resume()
  assert.match(await metrics(), /^hauberk_log_lines_dropped 0$/m)
  child.kill('SIGTERM')
  const isRead = once(reader, 'close')
  const [code] = (await once(child, 'exit')) as [number | null]
  assert.equal(code, 0)
  await isRead
  const decisions = lines.filter((line) => line['event.dataset'] === 'hauberk.decision')
  assert.equal(decisions.length, CONNECTIONS * REQUESTS)
  assert.equal(new Set(decisions.map((line) => line['event.id'])).size, CONNECTIONS * REQUESTS)
})
