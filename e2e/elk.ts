/**
 * `npm run e2e:elk`: the records of a mesh on this machine go into a real OpenSearch by the chart's template and pipeline, and the
 * questions that they are kept for are answered by the chart's queries. Ends with 3 where there is no Java 21 or no Maven, or where Maven
 * cannot fetch.
 */
import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { attacksOn, gatherLoot } from './alerts/attacks.ts'
import { findTools, NotFetchedError, type OpenSearch, startOpenSearch, type Tools } from './elk/opensearch.ts'
import { startOwnWorld } from './local/own-world.ts'
import { until } from './world/until.ts'

const FILES = resolve(import.meta.dirname, '../charts/hauberk/files/elk')

const INDEX = 'hauberk-logs'

const tools = findTools()
if (typeof tools === 'string') {
  process.stderr.write(`${tools}\n`)
  process.exitCode = 3
} else {
  process.exitCode = await main(tools)
}

async function main(found: Tools): Promise<number> {
  const began = performance.now()
  const say = (text: string) => process.stdout.write(`${seconds(performance.now() - began).padStart(7)}  ${text}\n`)
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-elk-'))
  let engine: OpenSearch | undefined
  let passed = 0
  const check = async (what: string, run: () => Promise<string>) => {
    say(`✔ ${what}: ${await run()}`)
    passed += 1
  }
  try {
    const lines = await recordsOfARun()
    say(`a run of the shop, attacks included, has left ${lines.length} records`)
    const opensearch = await startOpenSearch(found, directory)
    engine = opensearch
    const { ask } = opensearch
    const { version } = (await ask('GET', '/')) as { readonly version: { readonly number: string } }
    say(`OpenSearch ${version.number} runs`)

    await check('templates and pipeline are taken', async () => {
      await ask('PUT', '/_component_template/hauberk-ecs', await file('component-ecs.json'))
      await ask('PUT', '/_ingest/pipeline/hauberk', await file('ingest-pipeline.json'))
      const template = (await file('index-template.json')) as { readonly composed_of: readonly string[] }
      // The other one has the setting of index lifecycle management, which is Elasticsearch's own.
      await ask('PUT', '/_index_template/hauberk', {
        ...template,
        composed_of: template.composed_of.filter((name) => name !== 'hauberk-ilm'),
      })
      await ask('PUT', `/_data_stream/${INDEX}`)
      return `component template, index template, data stream ${INDEX}`
    })

    await check('every record is indexed, without a mapping error', async () => {
      const body = lines.map((line) => `{"create":{}}\n${line}\n`).join('')
      const { errors, items } = (await ask('POST', `/${INDEX}/_bulk?refresh=true`, body)) as BulkAnswer
      const first = items.find(({ create }) => create.error !== undefined)
      assert.equal(errors, false, JSON.stringify(first))
      const failed = await count(opensearch, { exists: { field: 'error.message' } })
      const inSource = lines.filter((line) => 'error' in (JSON.parse(line) as object)).length
      assert.equal(failed, inSource, 'the pipeline has failed for some')
      assert.equal(await count(opensearch, { exists: { field: '_ignored' } }), 0)
      assert.equal(await count(opensearch, { match_all: {} }), lines.length)
      return `${lines.length} of ${lines.length}, no field ignored`
    })

    await check('who failed to log in?', async () => {
      const { aggregations } = await answer(opensearch, 'failed-logins.json')
      const sources = bucketsOf(aggregations['sources'])
      const local = sources.find(({ key }) => key === '127.0.0.1')
      const bots = sources.filter(({ key }) => key !== '127.0.0.1')
      assert.ok(local !== undefined && local['refused'].value >= 12, JSON.stringify(sources))
      assert.ok(bots.length >= 1, 'the other networks are told apart')
      const why = bucketsOf(local['why']).map(({ key }) => key)
      assert.ok(why.length > 1)
      return `${local.key} ${local['refused'].value} times (${why.slice(0, 2).join('; ')}), and ${bots.length} others`
    })

    await check('who uses which API how much?', async () => {
      const { aggregations } = await answer(opensearch, 'api-usage.json')
      const routes = bucketsOf(aggregations['routes'])
      const orders = routes.find(({ key }) => key === 'Service/shop/orders:80')
      assert.ok(orders, JSON.stringify(routes.map(({ key }) => key)))
      const [caller] = bucketsOf(orders['callers'])
      const [user] = bucketsOf(orders['users'])
      assert.equal(caller?.key, 'hauberk-system/gateway-shop-shop')
      assert.match(user?.key ?? '', /^[0-9a-f]{16}$/)
      assert.ok(orders['bytes'].value > 0)
      return `${routes.length} routes; ${orders.key}: ${orders.doc_count} requests by ${caller?.key}, user ${user?.key}`
    })

    await check('what attacked us?', async () => {
      const { aggregations } = await answer(opensearch, 'attacks.json')
      const actions = bucketsOf(aggregations['actions'])
      const names = new Set(actions.map(({ key }) => key))
      for (const action of ['token-invalid', 'token-expired', 'plaintext-refused', 'te-and-cl', 'not-allowed']) {
        assert.ok(names.has(action), `${action}: ${[...names].join(', ')}`)
      }
      const prober = actions.find(({ key }) => key === 'not-allowed')
      const callers = bucketsOf(prober?.['callers']).map(({ key }) => key)
      assert.ok(callers.includes('shop/catalog'), callers.join(', '))
      return `${[...names].join(', ')}; not-allowed: ${callers.join(', ')}`
    })

    await check('users without names', async () => {
      const pipeline = JSON.stringify(await file('ingest-pipeline.json')).replace('"names":"keep"', '"names":"hash"')
      const line = lines.find((one) => one.includes('"user.name"'))
      assert.ok(line)
      const { docs } = (await ask('POST', '/_ingest/pipeline/_simulate', {
        pipeline: JSON.parse(pipeline) as unknown,
        docs: [{ _source: JSON.parse(line) as unknown }],
      })) as { readonly docs: readonly { readonly doc: { readonly _source: { readonly user: unknown } } }[] }
      const user = docs[0]?.doc._source.user
      assert.deepEqual(Object.keys(user as object), ['hash'])
      return JSON.stringify(user)
    })
    process.stdout.write(`\n${passed} passed, 0 failed\n`)
    return 0
  } catch (error) {
    if (error instanceof NotFetchedError) {
      process.stderr.write(`${error.message}\n`)
      return 3
    }
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
    process.stdout.write(`\n${passed} passed, 1 failed\n`)
    return 1
  } finally {
    await engine?.stop()
    await rm(directory, { recursive: true, force: true })
  }
}

/** Every line that the operator, sidecars and the gateway wrote while people shopped and others attacked. */
async function recordsOfARun(): Promise<readonly string[]> {
  const world = await startOwnWorld()
  try {
    const loot = await gatherLoot(world)
    for (let i = 0; i < 10; i++) {
      await world.gateway.ask({ path: '/api/catalog/products' })
      await world.gateway.ask({ path: '/api/orders/users/bob/orders', token: loot.bob })
    }
    for (const { round } of attacksOn(world, loot)) await Promise.allSettled([round()])
    // What is refused again and again is written a second later.
    const seen = new Set<string>()
    await until('every kind of refusal is in the log', async () => {
      for (const line of await linesOf(world.stateDirectory)) {
        const { 'event.action': action } = JSON.parse(line) as { readonly 'event.action'?: string }
        if (action !== undefined) seen.add(action)
      }
      return ['plaintext-refused', 'te-and-cl', 'outbound-unknown-host'].every((action) => seen.has(action))
    })
    return await linesOf(world.stateDirectory)
  } finally {
    await world.stop()
  }
}

/** Of the mesh, not of the apps: what a log agent would be told to read. */
async function linesOf(stateDirectory: string): Promise<readonly string[]> {
  const files = globSync(join(stateDirectory, 'logs', '**/*.log'))
  const texts = await Promise.all(files.map((path) => readFile(path, 'utf8')))
  return texts.flatMap((text) => text.split('\n').filter((line) => line.startsWith('{') && isOurs(line)))
}

function isOurs(line: string): boolean {
  try {
    const fields = JSON.parse(line) as Readonly<Record<string, unknown>>
    const service = String(fields['service.name'] ?? '')
    return '@timestamp' in fields && (service.startsWith('hauberk-') || fields['event.dataset'] === 'hauberk.decision')
  } catch {
    return false
  }
}

async function file(name: string): Promise<unknown> {
  return JSON.parse(await readFile(join(FILES, name), 'utf8')) as unknown
}

interface BulkAnswer {
  readonly errors: boolean
  readonly items: readonly { readonly create: { readonly error?: unknown } }[]
}

interface Bucket {
  readonly key: string
  readonly doc_count: number
  // biome-ignore lint/suspicious/noExplicitAny: an aggregation below, by its name
  readonly [aggregation: string]: any
}

async function answer(engine: OpenSearch, query: string) {
  const body = await file(`queries/${query}`)
  return (await engine.ask('POST', `/${INDEX}/_search`, body)) as {
    readonly aggregations: Readonly<Record<string, unknown>>
  }
}

async function count(engine: OpenSearch, query: unknown): Promise<number> {
  return ((await engine.ask('POST', `/${INDEX}/_count`, { query })) as { readonly count: number }).count
}

function bucketsOf(aggregation: unknown): readonly Bucket[] {
  return (aggregation as { readonly buckets?: readonly Bucket[] } | undefined)?.buckets ?? []
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}
