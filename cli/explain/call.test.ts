import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { workloadYaml } from '../testing/files.ts'
import { runHauberk } from '../testing/run-hauberk.ts'
import { type AskWords, ask } from './ask.ts'
import { answerForCall, calledService, siteOfCall } from './call.ts'
import { pipelineOf } from './testing/pipeline.ts'
import { formatAnswer } from './text.ts'

const CANARY = join(import.meta.dirname, '..', '..', 'samples', 'canary')

const YAML = [
  workloadYaml('web'),
  workloadYaml('orders'),
  workloadYaml('next'),
  workloadYaml('db', { name: 'postgresql', number: 5432 }),
  `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: shop}
spec:
  parentRefs: [{group: '', kind: Service, name: orders}]
  rules:
  - matches: [{path: {value: /v2}, method: GET, headers: [{name: x-canary, value: 'yes'}], queryParams: [{name: q, value: '1'}]}]
    backendRefs: [{name: next, port: 80}]
    timeouts: {request: 2s}
  - matches: [{path: {value: /both}}]
    backendRefs: [{name: orders, port: 80, weight: 3}, {name: gone, port: 80, weight: 1}]
  - matches: [{path: {type: Exact, value: /moved}}]
    filters: [{type: RequestRedirect, requestRedirect: {statusCode: 301, path: {type: ReplaceFullPath, replaceFullPath: /}}}]
`,
  `apiVersion: hauberk.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: next, namespace: shop, generation: 4}
spec:
  targetRefs: [{kind: Service, name: next}]
  timeouts: {request: 9s, try: 800ms, connect: 500ms}
  retry: {attempts: 2, conditions: [ConnectFailure], statusCodes: [503], methods: [GET], backoff: {base: 10ms, max: 40ms}}
  circuitBreaker: {maxInFlight: 200, maxPending: 100}
  outlierEjection: {serverErrors: 5, failures: 3, ejection: 10s, maxEjectedPercent: 50}
  loadBalancing: {hash: {header: x-user}, warmUp: 30s, zonePreference: {}}
`,
].join('---\n')

const plain = (_: unknown, text: string) => text

function answer(line: string, to: string, words: Partial<AskWords> = {}) {
  const pipeline = pipelineOf(YAML, 'shop/web')
  const [method, target] = line.split(' ')
  const service = calledService(pipeline, to, undefined)
  const asked = ask(pipeline, { ...(line !== '' && { method, target }), headers: [], ...words }, siteOfCall(service))
  assert.ok(asked.kind === 'asked')
  return answerForCall(pipeline, service, asked.asked, asked.notes)
}

test('a call is led by the first route that is for it, and every setting of its traffic says whose it is', () => {
  const told = answer('GET /v2/x?q=1', 'orders', { headers: ['x-canary: yes'], from: 'web' })
  assert.equal(
    formatAnswer(told, plain, () => undefined),
    `GET /v2/x of shop/web → Service shop/orders port 80
  caller    spiffe://cluster.local/ns/shop/sa/web
  host      orders
  route     HTTPRoute/shop/orders/0/0

✗ route  HTTPRoute/shop/orders/2/0  does not match: path
                                      expected  /moved
                                      got       /v2/x
✗ route  HTTPRoute/shop/orders/1/0  does not match: path
                                      expected  /both…
                                      got       /v2/x
✓ route  HTTPRoute/shop/orders/0/0  matches

✓ sent on

  → 100 % to shop/next:80  who must be spiffe://cluster.local/ns/shop/sa/next
    request   2s  (HTTPRoute/shop/orders/0/0)
    try       800ms  (TrafficPolicy/shop/next@4)
    retry     2 more on connect-failure, 503; GET  (TrafficPolicy/shop/next@4)
    pause     10ms to 40ms  (TrafficPolicy/shop/next@4)
    budget    20 % of the requests, and 3 a second  (TrafficPolicy/shop/next@4)
    connect   500ms  (TrafficPolicy/shop/next@4)
    breaker   200 in flight, 100 waiting  (TrafficPolicy/shop/next@4)
    outlier   put aside for 10s to 300s after 3 tries without a response or 5 responses 5xx, 50 % at most  (TrafficPolicy/shop/next@4)
    endpoint  by header x-user  (TrafficPolicy/shop/next@4)
    warm-up   30s  (TrafficPolicy/shop/next@4)
    zone      its own, up to 200 % of the load  (TrafficPolicy/shop/next@4)

note: next, its sidecar judges: hauberk explain shop/next GET /v2/x --from shop/web
`,
  )
})

test('what a call would have to be for a route is said part by part', () => {
  const failing = (line: string, headers: readonly string[] = []) => {
    const { considerations } = answer(line, 'orders', { headers })
    const first = considerations.find(({ rule }) => rule === 'HTTPRoute/shop/orders/0/0')
    return [first?.outcome, first?.field, first?.expected, first?.got]
  }
  assert.deepEqual(failing('GET /v3'), ['not-matched', 'path', '/v2…', '/v3'])
  assert.deepEqual(failing('PUT /v2?q=1', ['x-canary: yes']), ['not-matched', 'method', 'GET', 'PUT'])
  assert.deepEqual(failing('GET /v2?q=1'), ['not-matched', 'header x-canary', 'yes', 'none'])
  assert.deepEqual(failing('GET /v2?q=2', ['x-canary: yes']), ['not-matched', 'query q', '1', 'q=2'])
})

test('shares are told in percent, a backend that is not there too, and a call for no route is refused', () => {
  const { traffic = [] } = answer('GET /both', 'orders')
  assert.deepEqual(
    traffic.map(({ percent, upstream }) => [percent, upstream]),
    [
      [75, 'shop/orders:80'],
      [25, undefined],
    ],
  )
  const { outcome, denial, status } = answer('GET /elsewhere', 'orders.shop.svc')
  assert.deepEqual([outcome, denial, status], ['denied', 'no-route', 404])
  assert.equal(answer('GET /moved', 'orders').outcome, 'answered')
})

test('a Service without routes is called as it is, and one of opaque TCP without a method', () => {
  const { route, traffic = [] } = answer('GET /', 'shop/next:80')
  assert.equal(route, 'Service/shop/next:80')
  assert.deepEqual(traffic[0]?.settings[0], { name: 'request', value: '9s', by: 'TrafficPolicy/shop/next@4' })
  const db = answer('', 'db')
  assert.deepEqual(
    db.traffic?.[0]?.settings.map(({ name }) => name),
    ['connect', 'outlier'],
  )
  assert.throws(
    () => calledService(pipelineOf(YAML, 'shop/web'), 'ordres', undefined),
    /it may call shop\/db:80, shop\/next:80/,
  )
  assert.throws(
    () => calledService(pipelineOf(YAML, 'shop/web'), 'orders:81', undefined),
    /it may call shop\/orders:80/,
  )
})

test('the canary is explained from its files, and its gateway says how requests are sent too', async () => {
  const [call, gateway, both] = await Promise.all([
    runHauberk(['explain', 'front', 'GET', '/', '--to', 'orders', '-f', CANARY, '-o', 'json'], { cwd: '/' }),
    runHauberk(['explain', 'gateway', 'GET', '/', '--host', 'a.example', '-f', CANARY, '-o', 'json'], { cwd: '/' }),
    runHauberk(['explain', 'front', 'GET', '/', '--to', 'orders', '--from', 'x', '-f', CANARY], { cwd: '/' }),
  ])
  const { to, route, traffic } = JSON.parse(call.stdout)
  assert.deepEqual([to, route], ['canary/orders', 'HTTPRoute/canary/orders/1/0'])
  assert.deepEqual(
    traffic.map(({ percent }: { percent: number }) => percent),
    [90, 10],
  )
  assert.equal(JSON.parse(gateway.stdout).traffic[0].upstream, 'canary/front:80')
  assert.equal(both.code, 2)
})
