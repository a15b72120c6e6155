import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../runtime/clock.ts'
import { createDecisionLog } from '../../sidecar/observe/decision-log.ts'
import type { ConnectionRecord, RequestRecord } from '../../sidecar/serve/observation.ts'
import { type Decision, isTelling, parseDecision } from './decision.ts'
import { formatDecision } from './live-line.ts'

const REQUEST: RequestRecord = {
  timeMs: new Date(2026, 10, 22, 9, 8, 7, 65).getTime(),
  durationMs: 3.21,
  decisionId: 'D1',
  requestId: 'R1',
  direction: 'inbound',
  listener: '8080',
  spiffeId: 'spiffe://cluster.local/ns/shop/sa/storefront',
  clientIp: '127.0.0.1',
  route: 'Service/shop/orders:80',
  upstream: 'app',
  endpoint: undefined,
  method: 'GET',
  host: 'orders',
  path: '/users/alice/orders',
  status: 200,
  outcome: 'allowed',
  refusal: undefined,
  rule: 'own-orders',
  wouldDeny: undefined,
  issuer: 'shop',
  subject: 'alice',
  bytesIn: 0,
  bytesOut: 10,
  retried: false,
}

const CONNECTION: ConnectionRecord = {
  timeMs: REQUEST.timeMs,
  durationMs: 1_000,
  decisionId: 'D2',
  direction: 'inbound',
  listener: '5432',
  spiffeId: 'spiffe://cluster.local/ns/shop/sa/orders',
  clientIp: '127.0.0.1',
  upstream: 'app',
  endpoint: undefined,
  outcome: 'allowed',
  refusal: undefined,
  rule: 'orders-only',
  wouldDeny: undefined,
  bytesIn: 100,
  bytesOut: 200,
  plaintext: false,
}

const REFUSED = {
  denial: 'not-allowed',
  filter: 'authorization',
  rule: 'not-bob',
  origins: ['shop/orders@3'],
  detail: 'x',
}

/** As it comes out of a sidecar, and is read back. */
function decided(workload: string, record: RequestRecord | ConnectionRecord): Decision {
  const lines: string[] = []
  const sink = { write: (line: string) => void lines.push(line), drop() {}, dropped: 0 }
  const log = createDecisionLog({ level: 'all', workload, sink, clock: systemClock })
  if ('method' in record) log.request(record)
  else log.connection(record)
  const decision = parseDecision((lines[0] ?? '').trimEnd())
  assert.ok(decision)
  return decision
}

function line(workload: string, record: RequestRecord | ConnectionRecord): string {
  return formatDecision(decided(workload, record), (_, text) => text).replace(/ {2,}/g, '  ')
}

test('a request is one line: when, who, whom, what, what came of it, why, how long', () => {
  assert.equal(
    line('shop/orders', REQUEST),
    '09:08:07.065  shop/storefront (alice) → shop/orders  GET /users/alice/orders  200 own-orders  3.2 ms',
  )
})

test('a refusal names its rule, or the denial where no rule has a name', () => {
  const denied = { ...REQUEST, status: 403, outcome: 'denied', rule: undefined } as const
  assert.match(line('shop/orders', { ...denied, refusal: REFUSED }), / {2}403 not-bob {2}/)
  assert.match(line('shop/orders', { ...denied, refusal: { ...REFUSED, rule: undefined } }), / {2}403 not-allowed {2}/)
  assert.match(line('shop/orders', { ...denied, refusal: REFUSED }), / {2}D1$/, 'the id that can be explained')
})

test('an outside client is its address, a gateway its name, and a dry run says what it would do', () => {
  const redirect = {
    ...REQUEST,
    direction: 'gateway',
    spiffeId: undefined,
    subject: undefined,
    status: 308,
    upstream: '',
  } as const
  assert.match(
    line('hauberk-system/gateway-shop-shop', { ...redirect, outcome: 'answered', rule: undefined }),
    / {2}127\.0\.0\.1 → gateway-shop-shop {2}GET \/users\/alice\/orders {2}308 {2}/,
  )
  const seen = {
    ...REQUEST,
    spiffeId: 'spiffe://cluster.local/ns/hauberk-system/sa/gateway-shop-shop',
    wouldDeny: REFUSED,
  }
  assert.match(line('shop/orders', seen), / {2}gateway-shop-shop \(alice\) → .*\(dry run: not-bob would refuse it\)$/)
})

test('a connection says how much went through it', () => {
  assert.match(
    line('shop/orders-db', CONNECTION),
    / {2}shop\/orders → shop\/orders-db {2}connection to 5432 {2}allowed orders-only 300 B {2}1000\.0 ms$/,
  )
})

test('a call that never arrived anywhere is told of by the caller, with where it was going', () => {
  const lost = {
    ...REQUEST,
    direction: 'outbound',
    spiffeId: undefined,
    subject: undefined,
    upstream: '',
    status: 403,
  } as const
  const refusal = { ...REFUSED, denial: 'destination-unknown', rule: undefined }
  assert.match(
    line('shop/catalog', { ...lost, outcome: 'denied', rule: undefined, host: 'example.com', refusal }),
    / {2}shop\/catalog → example\.com {2}GET .* {2}403 destination-unknown {2}/,
  )
})

test('what a client sends cannot write to the terminal', () => {
  const path = '/\u001b[2J\u0007\u202e\n'
  const told = line('shop/orders', { ...REQUEST, path, method: 'G\u001bT', subject: 'x\u009b31m' })
  assert.match(told, /G\\u\{1b\}T \/\\u\{1b\}\[2J\\u\{7\}\\u\{202e\}\\u\{a\}/)
  assert.match(told, /\(x\\u\{9b\}31m\)/)
})

test('of all that is told about one request, one is shown', () => {
  const at = (direction: Decision['direction'], outcome: RequestRecord['outcome']) =>
    isTelling(decided('shop/x', { ...REQUEST, direction, outcome }))
  assert.deepEqual(
    [at('gateway', 'allowed'), at('inbound', 'allowed'), at('outbound', 'allowed')],
    [false, true, false],
  )
  assert.deepEqual([at('gateway', 'denied'), at('gateway', 'answered'), at('gateway', 'failed')], [true, true, true])
  assert.deepEqual([at('outbound', 'denied'), at('outbound', 'failed')], [true, true])
  assert.equal(isTelling(decided('shop/x', { ...CONNECTION, direction: 'outbound' })), false)
  assert.equal(isTelling(decided('shop/x', { ...CONNECTION, direction: 'outbound', outcome: 'denied' })), true)
})

test('what is no decision is left alone', () => {
  for (const text of [
    '',
    'x',
    '{"event.dataset":"hauberk.decision"',
    '{"event.dataset":"hauberk.decision"}',
    '{"message":"request"}',
  ]) {
    assert.equal(parseDecision(text), undefined)
  }
})
