/**
 * `npm run e2e:spring`: the sample spring in the shop's mesh on this machine. Builds it by Maven, starts everything, and asks for what
 * docs/spring.md promises. Ends with 3 where there is no Java 17, no Maven, or no way to Maven's repository.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type LocalMesh, startLocalMesh } from '../cli/dev/local-mesh.ts'
import { prepare } from '../samples/spring/prepare.mjs'
import { type LocalWorld, openLocalWorld } from './local/local-world.ts'
import { readMeshState } from './local/mesh-state.ts'
import { copyShop } from './local/shop-copy.ts'
import { findLeaks, outputsOf } from './secrecy.ts'
import { jsonOf, problemOf } from './world/answer.ts'
import { until } from './world/until.ts'

const ROOT = resolve(import.meta.dirname, '..')

/** The line of samples/tracing/README.md. */
const TELEMETRY = '  telemetry: {tracing: {endpoint: "http://collector.observability:4318", samplingRatio: 1}}'

/** A machine that does much else starts a JVM in minutes. */
const READY_MS = 900_000

async function main(): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-spring-'))
  let mesh: LocalMesh | undefined
  try {
    const shop = await copyShop(join(directory, 'shop'))
    const meshYaml = await readFile(shop.pathOf('mesh'), 'utf8')
    await shop.save(
      'mesh',
      meshYaml.replace('\nspec:\n', (spec) => `${spec}${TELEMETRY}\n`),
    )
    const started = await startLocalMesh({
      files: [join(directory, 'shop'), join(ROOT, 'samples/spring'), join(ROOT, 'samples/tracing')],
      stateDirectory: join(directory, 'state'),
      httpsPort: 0,
      httpPort: 0,
      readyMs: READY_MS,
    })
    mesh = started
    const world = await openLocalWorld(await readMeshState(started.stateDirectory))
    try {
      for (const [what, run] of CHECKS) {
        await run(world, started)
        process.stdout.write(`✔ ${what}\n`)
      }
    } finally {
      await world.close()
    }
    process.stdout.write(`${CHECKS.length} passed\n`)
    return 0
  } catch (error) {
    process.stderr.write(`✖ ${(error as Error).stack}\n`)
    return 1
  } finally {
    await mesh?.stop()
    await rm(directory, { recursive: true, force: true })
  }
}

type Check = (world: LocalWorld, mesh: LocalMesh) => Promise<void>

const WISHES = '/api/wishlist/wishes'

function bearer(token: string): Readonly<Record<string, string>> {
  return { authorization: `Bearer ${token}` }
}

const CHECKS: readonly (readonly [string, Check])[] = [
  [
    'without a token the sidecar answers 401, and the app is not asked',
    async ({ gateway }) => {
      const answer = await gateway.ask({ path: WISHES })
      assert.equal(answer.status, 401)
      assert.equal(problemOf(answer)?.denial, 'token-missing')
    },
  ],
  [
    'a person sees their own wishes, kept in a database that only this workload reaches',
    async ({ gateway, login }) => {
      const alice = bearer((await login('alice')).accessToken)
      const bob = bearer((await login('bob')).accessToken)
      const products = jsonOf(await gateway.ask({ path: '/api/catalog/products' })) as {
        readonly products: readonly { readonly id: string; readonly name: string }[]
      }
      const [product] = products.products
      assert(product !== undefined)
      const added = await gateway.ask({ method: 'PUT', path: `${WISHES}/${product.id}`, headers: alice })
      assert.equal(added.status, 204, added.body)
      const list = jsonOf(await gateway.ask({ path: WISHES, headers: alice })) as {
        readonly person: string
        readonly products: readonly unknown[]
      }
      assert.equal(list.person, 'alice')
      assert.deepEqual(list.products, [product])
      assert.deepEqual(jsonOf(await gateway.ask({ path: WISHES, headers: bob })), { person: 'bob', products: [] })
    },
  ],
  [
    'a client that says by header who it is stays who its token says',
    async ({ gateway, login }) => {
      const bob = bearer((await login('bob')).accessToken)
      const list = jsonOf(await gateway.ask({ path: WISHES, headers: { ...bob, 'x-user': 'alice' } }))
      assert.deepEqual(list, { person: 'bob', products: [] })
    },
  ],
  [
    'what the catalog does not have is 404, by its answer',
    async ({ gateway, login }) => {
      const bob = bearer((await login('bob')).accessToken)
      const answer = await gateway.ask({ method: 'PUT', path: `${WISHES}/no-such-thing`, headers: bob })
      assert.equal(answer.status, 404, answer.body)
    },
  ],
  [
    'the call of the catalog is in the trace that the gateway began',
    async ({ gateway, login }, { stateDirectory }) => {
      const alice = bearer((await login('alice')).accessToken)
      assert.equal((await gateway.ask({ path: WISHES, headers: alice })).status, 200)
      // The app's own spans stand between those of its sidecar, and it exports none: the second two hang from one that nobody printed.
      const wanted = [
        '  gateway-shop-shop server GET HTTPRoute/shop/wishlist/',
        '    wishlist server GET Service/shop/wishlist:80',
        '  wishlist client GET Service/shop/catalog:80',
        '    catalog server GET Service/shop/catalog:80',
      ]
      const log = join(stateDirectory, 'logs', 'observability.collector.app.log')
      const isPrinted = async () => {
        const traces = (await readFile(log, 'utf8')).split(/^(?=trace )/m)
        return traces.some((trace) => wanted.every((start) => trace.includes(`\n${start}`)))
      }
      await until('the trace is printed', isPrinted, { withinMs: 120_000 })
    },
  ],
  [
    'nothing that is said of all this holds a secret, the log of the app included',
    async (world) => {
      const outputs = await outputsOf(world)
      assert(outputs.has('logs/shop.wishlist.app.log'))
      assert.deepEqual(await findLeaks(world, outputs), [])
    },
  ],
]

const problem = prepare()
if (problem === undefined) process.exitCode = await main()
else {
  process.stderr.write(`SKIPPED: ${problem}\n`)
  process.exitCode = 3
}
