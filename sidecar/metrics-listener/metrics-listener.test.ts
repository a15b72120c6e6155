import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { request as requestPlain } from 'node:http'
import { Agent, type RequestOptions, request } from 'node:https'
import type { Socket } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { createTestCa } from '../../model/x509/testing/test-ca.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { type Identity, withTrustBundle } from '../identity/identity.ts'
import { createIdentityStore } from '../identity/identity-store.ts'
import { impostor, testId, testIdentity } from '../identity/testing/test-identity.ts'
import { type MetricsListenerOptions, startMetricsListener } from './metrics-listener.ts'

const ca = await createTestCa()
const foreignCa = await createTestCa('foreign root')
const orders = await testIdentity(ca, 'orders')
const prometheus = await testIdentity(ca, 'prometheus')
const storefront = await testIdentity(ca, 'storefront')

async function listening(t: TestContext, change: Partial<MetricsListenerOptions> = {}) {
  const metrics = createMetrics()
  metrics.counter({ name: 'hauberk_example_total', help: 'An example.' }).handle().add()
  const identity = createIdentityStore(orders)
  const listener = await startMetricsListener({
    port: 0,
    host: '127.0.0.1',
    allow: [testId('prometheus')],
    plaintext: false,
    identity,
    metrics,
    clock: systemClock,
    log: silentLog,
    ...change,
  })
  t.after(() => listener?.close())
  return { port: listener?.port ?? 0, identity, listener }
}

/** What a scraper that shows this certificate hears, or the code of the error. */
function scrape(port: number, who: Identity | undefined, more: RequestOptions = {}) {
  return new Promise<{ readonly status: number | string; readonly text: string }>((resolve) => {
    const certificate = who === undefined ? {} : { key: who.privateKey, cert: who.chain }
    const options = { host: '127.0.0.1', port, path: '/metrics', agent: false, ...certificate, ...more }
    // A scraper of Prometheus knows host names only: it trusts the root, and skips the name.
    const call = request({ ...options, ca: [ca.root], checkServerIdentity: () => undefined })
    call.on('error', (error: NodeJS.ErrnoException) => resolve({ status: error.code ?? error.message, text: '' }))
    call.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('error', () => {})
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    call.end()
  })
}

describe('the metrics listener', () => {
  it('T32: tells the metrics to the scraper that is allowed', async (t) => {
    const { port } = await listening(t)
    const { status, text } = await scrape(port, prometheus)
    assert.equal(status, 200)
    assert.match(text, /^hauberk_example_total 1$/m)
  })

  it('T32: closes on every other, without an answer', async (t) => {
    const { port } = await listening(t)
    const strangers: readonly (readonly [string, Identity | undefined])[] = [
      ['a workload of the mesh', storefront],
      ['its own workload', orders],
      ['nobody', undefined],
      ['the scraper of another mesh', impostor(await foreignCa.issue({ uris: [testId('prometheus')] }), [ca.root])],
      [
        'a certificate with two names',
        impostor(await ca.issue({ uris: [testId('prometheus'), testId('orders')] }), [ca.root]),
      ],
      [
        'an expired one',
        impostor(await ca.issue({ uris: [testId('prometheus')], notAfterMs: Date.now() - 1_000 }), [ca.root]),
      ],
    ]
    for (const [what, who] of strangers) assert.equal(typeof (await scrape(port, who)).status, 'string', what)
    assert.equal((await scrape(port, prometheus)).status, 200)
  })

  it('T32: serves nothing but the metrics', async (t) => {
    const { port } = await listening(t)
    for (const path of ['/', '/config', '/metrics?x', '/metrics/', '/quitquitquit', '/decision', '/healthz']) {
      assert.equal((await scrape(port, prometheus, { path })).status, 404, path)
    }
    assert.equal((await scrape(port, prometheus, { method: 'POST' })).status, 404)
  })

  it('T32: takes no plaintext, and speaks TLS 1.3 only', async (t) => {
    const { port } = await listening(t)
    const outcome = await new Promise((resolve) => {
      requestPlain({ host: '127.0.0.1', port, path: '/metrics', agent: false })
        .on('error', (error: NodeJS.ErrnoException) => resolve(error.code))
        .on('response', ({ statusCode }) => resolve(statusCode))
        .end()
    })
    assert.ok(outcome === 'ECONNRESET' || outcome === 'EPIPE', String(outcome))
    assert.equal(typeof (await scrape(port, prometheus, { maxVersion: 'TLSv1.2' })).status, 'string')
  })

  it('T32: is not there when nobody is allowed', async (t) => {
    const { listener } = await listening(t, { allow: [] })
    assert.equal(listener, undefined)
  })

  it('is open to everybody by the explicit value only', async (t) => {
    const { port } = await listening(t, { plaintext: true, allow: [] })
    const get = (path: string) =>
      new Promise((resolve, reject) => {
        requestPlain({ host: '127.0.0.1', port, path, agent: false })
          .on('error', reject)
          .on('response', (response) => {
            response.resume()
            resolve(response.statusCode)
          })
          .end()
      })
    assert.equal(await get('/metrics'), 200)
    assert.equal(await get('/config'), 404)
  })

  it('T06: closes an open connection of a scraper whose certificate has expired', async (t) => {
    let skewMs = 0
    const clock = { ...systemClock, now: () => Date.now() + skewMs }
    const { port } = await listening(t, { clock })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    t.after(() => agent.destroy())
    assert.equal((await scrape(port, prometheus, { agent })).status, 200)
    skewMs = 2 * 3_600_000
    assert.equal(typeof (await scrape(port, prometheus, { agent })).status, 'string')
  })

  it('F06: cuts the open connection of a scraper whose root is distrusted', async (t) => {
    const both = withTrustBundle(orders, [ca.root, foreignCa.root])
    assert.ok(both.ok)
    const store = createIdentityStore(both.value)
    const { port } = await listening(t, { identity: store })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    t.after(() => agent.destroy())
    const foreign = await testIdentity(foreignCa, 'prometheus')
    const freed = once(agent, 'free')
    assert.equal((await scrape(port, foreign, { agent })).status, 200)
    const socket = (await freed)[0] as Socket
    const closed = once(socket, 'close')
    const without = withTrustBundle(both.value, [ca.root], [both.value.trustedRoots[1] ?? ''])
    assert.ok(without.ok)
    store.replace(without.value)
    await closed
  })

  it('goes on with a renewed certificate', async (t) => {
    const { port, identity } = await listening(t)
    const renewed = await testIdentity(ca, 'orders')
    identity.replace(renewed)
    let serial: string | undefined
    await new Promise<void>((resolve) => {
      const call = request({
        host: '127.0.0.1',
        port,
        path: '/metrics',
        agent: false,
        key: prometheus.privateKey,
        cert: prometheus.chain,
        ca: [ca.root],
        checkServerIdentity: (_host, certificate) => {
          serial = certificate.serialNumber
          return undefined
        },
      })
      call.on('response', (response) => response.resume().on('end', resolve))
      call.end()
    })
    assert.equal(serial, new X509Certificate(renewed.chain).serialNumber)
  })
})
