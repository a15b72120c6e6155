import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WorkloadConfig } from '../../contract/workload-config.ts'
import { createTestCa } from '../../model/x509/testing/test-ca.ts'
import type { AdminRequest, AdminRoute } from '../../runtime/admin-server.ts'
import { openssl } from '../../runtime/crypto/openssl.ts'
import { compile } from '../compile/compile.ts'
import { testId, testIdentity } from '../identity/testing/test-identity.ts'
import { createDecisionRing } from '../observe/decision-ring.ts'
import { adminRoutes } from './routes.ts'

async function ask(routes: readonly AdminRoute[], path: string, query = '') {
  const route = routes.find((one) => one.path === path)
  assert.ok(route, path)
  const request: AdminRequest = {
    method: 'GET',
    path,
    query: new URLSearchParams(query),
    signal: new AbortController().signal,
    body: () => Promise.resolve(Buffer.alloc(0)),
  }
  const { status = 200, body } = await route.handle(request)
  return { status, text: String(body) }
}

const ENDPOINTS = { contract: 1, version: 'v', endpoints: {} } as const

test('nothing is told before there is anything to tell', async () => {
  const routes = adminRoutes({
    workload: 'shop/orders',
    control: { pipeline: () => undefined, endpoints: () => ENDPOINTS },
    explain: createDecisionRing().explain,
    openTap: () => undefined,
    identity: () => undefined,
    serving: () => [],
  })
  for (const path of ['/config', '/identity', '/decision']) assert.equal((await ask(routes, path)).status, 404, path)
})

test('T31: whoever has the admin token sees certificates and configuration, and never a private key', async () => {
  const ca = await createTestCa()
  const identity = await testIdentity(ca, 'orders')
  const served = await ca.issue({ uris: [], dnsNames: ['shop.localhost'] })
  const serving = [{ hostname: 'shop.localhost', ...served }]
  const config: WorkloadConfig = {
    contract: 1,
    version: 'v1',
    workload: 'hauberk-system/gateway-shop-shop',
    role: 'gateway',
    identity: { spiffeId: testId('orders'), trustDomain: 'cluster.local' },
    trustBundle: [],
    trustedHops: 0,
    listeners: [
      {
        kind: 'gateway',
        name: 'https',
        port: 443,
        protocol: 'https',
        certificates: [
          { source: 'secret', name: 'shop/tls', certificate: served.chain, privateKey: served.privateKey },
        ],
        routes: [],
      },
    ],
    outbound: { services: [], egress: [] },
    upstreams: {},
  }
  const compiled = compile(config, undefined, {
    clock: { now: () => 0, monotonic: () => 0 },
    crypto: openssl,
    keys: { generation: 0, keysOf: () => undefined, refresh: () => Promise.resolve() },
    count() {},
  })
  assert.ok(compiled.ok)
  const routes = adminRoutes({
    workload: config.workload,
    control: { pipeline: () => compiled.value, endpoints: () => ENDPOINTS },
    explain: createDecisionRing().explain,
    openTap: () => undefined,
    identity: () => identity,
    serving: () => serving,
  })
  for (const { path } of routes) {
    const { text } = await ask(routes, path)
    assert.doesNotMatch(text, /PRIVATE KEY/, path)
    for (const key of [identity.privateKey, served.privateKey]) {
      assert.ok(!text.includes((key.split('\n')[1] ?? '').slice(0, 40)), path)
    }
  }
  const told = JSON.parse((await ask(routes, '/identity')).text)
  assert.deepEqual(Object.keys(told), ['workload', 'spiffeId', 'chain', 'trustBundle', 'receivedAt', 'serving'])
  assert.equal(told.spiffeId, testId('orders'))
  assert.equal(told.chain, identity.chain)
  assert.deepEqual(told.serving, [{ hostname: 'shop.localhost', chain: served.chain }])
  for (const [answers, limitStore] of [
    [true, 'answers'],
    [false, 'silent'],
    [undefined, undefined],
  ] as const) {
    const withStore = adminRoutes({
      ...{
        workload: config.workload,
        explain: createDecisionRing().explain,
        serving: () => [],
        openTap: () => undefined,
      },
      ...{ control: { pipeline: () => compiled.value, endpoints: () => ENDPOINTS }, identity: () => identity },
      limitStoreAnswers: () => answers,
    })
    assert.equal(JSON.parse((await ask(withStore, '/identity')).text).limitStore, limitStore)
  }
})
