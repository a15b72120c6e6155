import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { request } from 'node:http'
import { before, type TestContext, test } from 'node:test'
import type { FilterSlots } from '../../../contract/workload-config.ts'
import type { Filter, FilterDeps } from '../../../model/filter.ts'
import { INTERNAL_TOKENS } from '../../../model/internal-tokens.ts'
import { internalToken } from '../../../policies/internal-token/filter.ts'
import { tokenServiceOf } from '../../../policies/internal-token/issuer.ts'
import { tokenRelay } from '../../../policies/internal-token/relay.ts'
import { openssl } from '../../../runtime/crypto/openssl.ts'
import { testId } from '../../identity/testing/test-identity.ts'
import { createLiveRequests } from '../../tokens/live-requests.ts'
import { httpBackend } from '../testing/backend.ts'
import { dialMesh } from '../testing/client.ts'
import { until } from '../testing/until.ts'
import {
  createTestMesh,
  endpoint,
  gate,
  inbound,
  LOOPBACK,
  meshUpstream,
  route,
  startPlane,
  type TestMesh,
  workloadConfig,
} from '../testing/world.ts'

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

const CREDENTIAL = { username: 'shop/orders', password: 'c0ffee' }
const AUTHORIZATION = `Basic ${Buffer.from('shop/orders:c0ffee').toString('base64')}`
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const JWK = { ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256', use: 'sig' }

function tokenFor(sub: string): string {
  const iat = Math.floor(Date.now() / 1_000)
  const own = { iss: 'cluster.local', aud: 'cluster.local', iat, exp: iat + 300, txn: 't', scope: 'orders.read' }
  const parts = [
    { typ: 'txntoken+jwt', alg: 'ES256', kid: 'k' },
    { ...own, sub, req_wl: testId('storefront') },
  ]
  const input = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}

function subjectOf(token: string): string {
  return (JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { readonly sub: string }).sub
}

const slots = (name: string, config: unknown): FilterSlots => ({
  [name]: [{ state: 'resolved', mode: 'enforce', origins: ['shop/orders@1'], config }],
})

/** The filter with what a sidecar hands it; the token service gives tokens that only name their subject. */
function handed(filter: typeof internalToken | typeof tokenRelay, live: ReturnType<typeof createLiveRequests>): Filter {
  const given: Pick<FilterDeps, 'crypto' | 'keys' | 'internalTokens' | 'liveRequests'> = {
    crypto: { ...openssl, sha256: (text) => createHash('sha256').update(text).digest('base64url') },
    keys: { generation: 1, keysOf: (name) => (name === INTERNAL_TOKENS ? [JWK] : undefined), refresh: async () => {} },
    internalTokens: {
      tokenFor: ({ subject }) => ({
        kind: 'issued',
        text: subject === undefined ? 'of orders itself' : `of ${subjectOf(subject.text)}`,
      }),
    },
    liveRequests: live,
  }
  const whole = filter as Filter
  return { ...whole, compile: (config, deps) => whole.compile(config, { ...deps, ...given }) }
}

/**
 * `storefront` calls `orders`, whose application calls `payments` once for each request, with the headers that a test says, when
 * the test lets it. `payments` says which token it was called with.
 */
async function startWorld(t: TestContext) {
  const live = createLiveRequests()
  const backend = await httpBackend(t, ({ headers }, response) => {
    response.end(String(headers['txn-token'] ?? 'none'))
  })
  const payments = await startPlane(t, {
    config: workloadConfig([inbound(8080, {}, { spiffeIds: [testId('orders')] })], { workload: 'shop/payments' }),
    placement: { inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: backend.port } }] },
    identity: await mesh.identity('payments'),
  })
  const proxy = { port: 0 }
  const waiting: (() => void)[] = []
  const called: (() => void)[] = []
  const app = await httpBackend(t, (incoming, response) => {
    const { traceparent } = incoming.headers
    waiting.push(() => {
      const call = request({
        ...{ host: '127.0.0.1', port: proxy.port, path: 'http://payments/', agent: false },
        headers: {
          host: 'payments',
          'proxy-authorization': AUTHORIZATION,
          ...(incoming.url !== '/alone' && traceparent !== undefined && { traceparent }),
        },
      })
      call.once('response', async (answer) => {
        const chunks: Buffer[] = []
        for await (const chunk of answer) chunks.push(chunk)
        called.push(() => response.writeHead(answer.statusCode ?? 0).end(Buffer.concat(chunks)))
      })
      call.end()
    })
  })
  const taking = {
    ...{ required: false, issuers: [tokenServiceOf('cluster.local')], scope: [] },
    ...{ subject: 'user', binding: 'caller', forward: 'strip' },
  }
  const orders = await startPlane(t, {
    filters: [gate, handed(internalToken, live), handed(tokenRelay, live)],
    config: workloadConfig(
      [
        inbound(8080, {
          routes: [
            route(
              { kind: 'app', port: 8080, requestTimeoutMs: 0 },
              { filters: { ...slots('internal-token', taking) } },
            ),
          ],
        }),
      ],
      {
        upstreams: { 'shop/payments:80': meshUpstream('payments') },
        outbound: {
          services: [
            {
              ...{ service: 'shop/payments', hosts: ['payments'], port: 80, protocol: 'http' },
              ...{ upstream: 'shop/payments:80', requestTimeoutMs: 0 },
            },
          ],
          egress: [],
          filters: slots('token-relay', { ttlSeconds: 120 }),
        },
      },
    ),
    placement: {
      inbound: [{ containerPort: 8080, bind: LOOPBACK, app: { host: '127.0.0.1', port: app.port } }],
      proxy: { bind: LOOPBACK, credential: CREDENTIAL },
    },
    identity: await mesh.identity('orders'),
    endpoints: { 'shop/payments:80': [endpoint(payments.port('8080'))] },
  })
  proxy.port = orders.port('proxy')
  const storefront = await mesh.identity('storefront')
  const ask = async (user: string | undefined, traceId: string, path = '/') => {
    const client = await dialMesh(orders.port('8080'), storefront, testId('orders'))
    t.after(() => client.destroy())
    const token = user === undefined ? '' : `Txn-Token: ${tokenFor(user)}\r\n`
    const response = client.request(
      `GET ${path} HTTP/1.1\r\nHost: orders.shop\r\ntraceparent: 00-${traceId}-00f067aa0ba902b7-01\r\n${token}\r\n`,
    )
    return { response }
  }
  const arrived = (count: number) => until(() => waiting.length >= count, `${count} requests at the application`)
  /** Has all call, and none answer before the last one has called. */
  const letGo = async () => {
    const all = waiting.splice(0)
    for (const go of all) go()
    await until(() => called.length === all.length, 'every call to be answered')
    for (const end of called.splice(0)) end()
  }
  return { live, ask, arrived, letGo, orders }
}

const TRACE = '0af7651916cd43dd8448eb211c80319c'

test('a call goes on for the user whose request has its trace id, and for the workload itself where there is none', async (t) => {
  const { live, ask, arrived, letGo } = await startWorld(t)
  const ann = await ask('ann', TRACE)
  const bob = await ask('bob', '1'.repeat(32))
  const alone = await ask('ann', '2'.repeat(32), '/alone')
  const nobody = await ask(undefined, '3'.repeat(32))
  await arrived(4)
  assert.equal(live.size, 4)
  await letGo()
  const answers = await Promise.all([ann, bob, alone, nobody].map(({ response }) => response))
  assert.deepEqual(
    answers.map(({ status, body }) => [status, body]),
    [
      [200, 'of ann'],
      [200, 'of bob'],
      [200, 'of orders itself'],
      [200, 'of orders itself'],
    ],
  )
  await until(() => live.size === 0, 'every request to be forgotten with its end')
})

test('T34: calls of two users with one trace id get no token and are refused, until one of them is over', async (t) => {
  const { live, ask, arrived, letGo, orders } = await startWorld(t)
  const both = [await ask('ann', TRACE), await ask('bob', TRACE)]
  await arrived(2)
  await letGo()
  for (const { response } of both) {
    const { status, body } = await response
    assert.equal(status, 403)
    assert.match(body, /internal-token-ambiguous/)
  }
  const refused = orders.requests.filter(({ direction }) => direction === 'outbound')
  assert.deepEqual(
    refused.map(({ refusal }) => refusal?.denial),
    ['internal-token-ambiguous', 'internal-token-ambiguous'],
  )
  await until(() => live.size === 0, 'both requests to be forgotten')
  const again = await ask('bob', TRACE)
  await arrived(1)
  await letGo()
  assert.equal((await again.response).body, 'of bob')
})

test("T34: somebody without a token who says the trace id of a user's request has its calls refused, and gets no token", async (t) => {
  const { ask, arrived, letGo } = await startWorld(t)
  const both = [await ask('ann', TRACE), await ask(undefined, TRACE)]
  await arrived(2)
  await letGo()
  for (const { response } of both) assert.equal((await response).status, 403)
})
