import assert from 'node:assert/strict'
import { request as requestPlain } from 'node:http'
import { request } from 'node:https'
import { type TestContext, test } from 'node:test'
import { parseSpiffeId, type SpiffeId } from '../../model/spiffe-id.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { openMemoryAuthority } from '../admission/testing/webhook-world.ts'
import { operatorSpiffeId } from '../core.ts'
import { issueServerIdentity, type ServerIdentity } from '../identity/server-identity.ts'
import { type MetricsServerOptions, startMetricsServer } from './metrics-server.ts'

function id(text: string): SpiffeId {
  const parsed = parseSpiffeId(text)
  assert.ok(parsed.ok)
  return parsed.value
}

const PROMETHEUS = id('spiffe://cluster.local/ns/monitoring/sa/prometheus')
const ORDERS = id('spiffe://cluster.local/ns/shop/sa/orders')

async function start(t: TestContext, change: Partial<MetricsServerOptions> = {}) {
  const authority = await openMemoryAuthority(systemClock)
  const metrics = createMetrics()
  metrics.counter({ name: 'hauberk_example_total', help: 'An example.' }).handle().add()
  const identity = await issueServerIdentity(authority, operatorSpiffeId(authority.trustDomain))
  const server = await startMetricsServer({
    host: '127.0.0.1',
    port: 0,
    allow: [PROMETHEUS],
    plaintext: false,
    identity,
    trustDomain: authority.trustDomain,
    metrics,
    clock: systemClock,
    log: silentLog,
    ...change,
  })
  t.after(() => server?.close())
  const port = server?.port ?? 0
  const scrape = (who: ServerIdentity | undefined, path = '/metrics', method = 'GET') =>
    new Promise<readonly [status: number | string, text: string]>((resolve) => {
      const asked = request({
        host: '127.0.0.1',
        port,
        path,
        method,
        agent: false,
        ca: [...identity.trustBundle],
        checkServerIdentity: () => undefined,
        ...(who && { key: who.privateKey, cert: who.chain }),
      })
      asked.on('error', (error: NodeJS.ErrnoException) => resolve([error.code ?? error.message, '']))
      asked.on('response', (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk
        })
        response.on('end', () => resolve([response.statusCode ?? 0, text]))
      })
      asked.end()
    })
  return {
    authority,
    identity,
    server,
    port,
    scrape,
    become: (spiffeId: SpiffeId) => issueServerIdentity(authority, spiffeId),
  }
}

test('T32: the metrics are told to the scraper that is allowed, and nothing else is', async (t) => {
  const { scrape, become } = await start(t)
  const prometheus = await become(PROMETHEUS)
  const [status, text] = await scrape(prometheus)
  assert.equal(status, 200)
  assert.match(text, /^hauberk_example_total 1$/m)
  for (const path of ['/', '/status', '/metrics?x', '/readyz'])
    assert.equal((await scrape(prometheus, path))[0], 404, path)
  assert.equal((await scrape(prometheus, '/metrics', 'POST'))[0], 404)
})

test('the server knows when its metrics were read, and what was refused was no reading', async (t) => {
  const { scrape, become, server } = await start(t)
  await scrape(await become(ORDERS))
  await scrape(await become(PROMETHEUS), '/status')
  assert.equal(server?.readAt(), undefined)
  const before = Date.now()
  await scrape(await become(PROMETHEUS))
  assert.ok((server?.readAt() ?? 0) >= before)
})

test('T32: the connection of anybody else is closed without an answer', async (t) => {
  const { scrape, become, identity } = await start(t)
  const foreign = await issueServerIdentity(await openMemoryAuthority(systemClock), PROMETHEUS)
  for (const [what, who] of [
    ['nobody', undefined],
    ['a workload', await become(ORDERS)],
    ['the operator itself', identity],
    ['the scraper of another mesh', foreign],
  ] as const) {
    assert.equal(typeof (await scrape(who))[0], 'string', what)
  }
})

test('T32: there is no port when nobody is allowed, and no TLS only when a person says so', async (t) => {
  assert.equal((await start(t, { allow: [] })).server, undefined)
  const { port } = await start(t, { allow: [], plaintext: true })
  const status = await new Promise((resolve, reject) => {
    requestPlain({ host: '127.0.0.1', port, path: '/metrics', agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
      .on('error', reject)
      .end()
  })
  assert.equal(status, 200)
})

test('it goes on with a renewed certificate', async (t) => {
  const { server, scrape, become, authority } = await start(t)
  server?.renew(await become(operatorSpiffeId(authority.trustDomain)))
  assert.equal((await scrape(await become(PROMETHEUS)))[0], 200)
})
