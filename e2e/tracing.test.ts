import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type LocalMesh, startLocalMesh } from '../cli/dev/local-mesh.ts'
import type { LocalWorld } from './local/local-world.ts'
import { openLocalWorld } from './local/local-world.ts'
import { followLogs } from './local/log-tail.ts'
import { readMeshState } from './local/mesh-state.ts'
import { copyShop } from './local/shop-copy.ts'
import { findLeaks, outputsOf } from './secrecy.ts'
import { until } from './world/until.ts'
import { createVisitor } from './world/visitor.ts'

/** The line of the sample's README. */
const TELEMETRY = '  telemetry: {tracing: {endpoint: "http://collector.observability:4318", samplingRatio: 1}}'

let directory: string
let mesh: LocalMesh
let world: LocalWorld
let logs: { stop(): Promise<void> }
/** What the collector prints. */
const printed: string[] = []

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hauberk-tracing-'))
  const shop = await copyShop(join(directory, 'shop'))
  const meshYaml = await readFile(shop.pathOf('mesh'), 'utf8')
  const at = meshYaml.indexOf('\nspec:\n') + '\nspec:\n'.length
  await shop.save('mesh', `${meshYaml.slice(0, at)}${TELEMETRY}\n${meshYaml.slice(at)}`)
  mesh = await startLocalMesh({
    files: [join(directory, 'shop'), join(import.meta.dirname, '../samples/tracing')],
    stateDirectory: join(directory, 'state'),
    httpsPort: 0,
    httpPort: 0,
    readyMs: 150_000,
  })
  world = await openLocalWorld(await readMeshState(mesh.stateDirectory))
  logs = followLogs(
    join(mesh.stateDirectory, 'logs'),
    (line, file) => {
      if (file.includes('collector')) printed.push(line)
    },
    { fromStart: true },
  )
})

after(async () => {
  await logs?.stop()
  await world?.close()
  await mesh?.stop()
  await rm(directory, { recursive: true, force: true })
})

test('an order is one unbroken trace through the gateway, storefront, orders and payments', async () => {
  assert.deepEqual(mesh.issues, [])
  const { gateway } = world
  const visitor = createVisitor(gateway)
  const password = await world.secret('identity', 'auth-users', 'password-alice')
  const login = await visitor.open('/login?return=/')
  await visitor.submit(login, '/auth/interaction/', { user: 'alice', password, do: 'login' })
  const catalog = await visitor.open('/')
  const product = /href="(\/products\/[^"]+)"/.exec(catalog.body)?.[1] ?? ''
  const page = await visitor.open(product)
  const placed = await visitor.submit(page, '/orders', {
    quantity: '1',
    shippingAddress: '1 Trace Lane',
    cardNumber: '4242424242424242',
  })
  assert.equal(placed.status, 200, placed.body.slice(0, 300))
  assert.match(placed.url.search, /placed=/)

  // A line is two spaces deeper than the span that has caused it.
  const wanted = [
    'gateway-shop-shop server POST HTTPRoute/shop/shop/',
    'storefront server POST Service/shop/storefront:80',
    'storefront client POST Service/shop/orders:80',
    'orders server POST Service/shop/orders:80',
    'orders client POST Service/shop/payments:80',
    'payments server POST Service/shop/payments:80',
  ]
  await until('the trace of the order is printed', () => traceWith(wanted), { withinMs: 60_000 })
  for (const [name, value] of visitor.cookies) {
    if (name !== 'auth-interaction') world.vault.keep(`cookie ${name}`, value)
  }
})

test('T31: no span holds anything secret of the order, nor does anything else that the mesh says', async () => {
  for (const typed of ['1 Trace Lane', '4242424242424242']) world.vault.keep('what a person typed', typed)
  const outputs = new Map([...(await outputsOf(world)), ['spans', printed.join('\n')]])
  assert(world.vault.needles().size > 20)
  assert.deepEqual(await findLeaks(world, outputs), [])
})

/** The trace in which each of these spans stands below the one before it. */
function traceWith(wanted: readonly string[]): string | undefined {
  const traces = printed.join('\n').split(/^(?=trace )/m)
  return traces.find((trace) => {
    const lines = trace.split('\n')
    return wanted.every((start, depth) => lines.some((line) => line.startsWith(`${'  '.repeat(depth + 1)}${start}`)))
  })
}
