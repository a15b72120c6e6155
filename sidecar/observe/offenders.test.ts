import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import type { Refusal, RequestRecord } from '../serve/observation.ts'
import { handshakeFailureOf, offenceOf, threatOfDenial } from './offence.ts'
import { createOffenders, HALF_WINDOW_MS, MAX_OFFENDERS, networkOf, SHOWN_OFFENDERS } from './offenders.ts'
import { pseudonymOf } from './pseudonym.ts'

const refusal = (filter: string | undefined, denial: string): Refusal => ({
  denial,
  filter,
  rule: undefined,
  origins: [],
  detail: undefined,
})

function record(change: Partial<RequestRecord> = {}): RequestRecord {
  return {
    timeMs: 0,
    durationMs: 1,
    decisionId: 'd',
    requestId: 'r',
    direction: 'gateway',
    listener: 'https',
    spiffeId: undefined,
    clientIp: '203.0.113.7',
    route: 'HTTPRoute/shop/shop/2/0',
    upstream: 'shop/orders:80',
    endpoint: undefined,
    method: 'GET',
    host: 'shop.example',
    path: '/orders',
    status: 401,
    outcome: 'allowed',
    refusal: undefined,
    rule: undefined,
    wouldDeny: undefined,
    issuer: undefined,
    subject: undefined,
    bytesIn: 0,
    bytesOut: 0,
    retried: false,
    ...change,
  }
}

function watching() {
  const clock = createManualClock()
  const metrics = createMetrics()
  const offenders = createOffenders({ metrics, clock })
  const value = async (name: string, labels: Readonly<Record<string, string>>) => {
    const wanted = Object.entries(labels).map(([label, text]) => `${label}="${text}"`)
    const lines = (await metrics.text()).split('\n')
    const line = lines.find((one) => one.startsWith(`${name}{`) && wanted.every((label) => one.includes(label)))
    return line === undefined ? undefined : Number(line.split(' ').at(-1))
  }
  const add = (count: number, change: Partial<RequestRecord> = {}) => {
    for (let i = 0; i < count; i++) offenders.add(record(change))
  }
  return { clock, metrics, value, add }
}

test('a filter decides what its refusal counts as, and otherwise the status does', () => {
  const of = (change: Partial<RequestRecord>) => offenceOf(record(change))
  assert.equal(of({ status: 200 }), undefined)
  assert.equal(of({ status: 401 }), 'authentication')
  assert.equal(of({ status: 403 }), 'authorization')
  assert.equal(of({ status: 404 }), 'unknown-path')
  assert.equal(of({ status: 429 }), 'rate-limit')
  assert.equal(of({ status: 500 }), undefined)
  assert.equal(of({ status: 400, outcome: 'malformed', refusal: refusal(undefined, 'te-and-cl') }), 'malformed')
  // Hidden behind a 404, or told as 429: it is what the filter asks for that counts.
  assert.equal(of({ status: 404, refusal: refusal('jwt', 'token-invalid') }), 'authentication')
  assert.equal(of({ status: 429, refusal: refusal('jwt', 'too-many-bad-tokens') }), 'authentication')
  assert.equal(of({ status: 404, refusal: refusal('authorization', 'not-allowed') }), 'authorization')
  assert.equal(of({ status: 401, refusal: refusal('jwt', 'token-missing') }), undefined)
  assert.equal(of({ status: 403, refusal: refusal('cors', 'cors-not-allowed') }), undefined)
})

test('a handshake has failed for one of few reasons, whatever the library calls it', () => {
  const of = (denial: string, detail: string | undefined) =>
    handshakeFailureOf({ refusal: { ...refusal(undefined, denial), detail } })
  assert.equal(of('handshake-failed', 'CERT_HAS_EXPIRED'), 'expired')
  assert.equal(of('handshake-failed', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'), 'untrusted')
  assert.equal(of('handshake-failed', 'anything else'), 'other')
  assert.equal(of('handshake-failed', undefined), 'other')
  assert.equal(of('peer-identity', 'two-uris'), 'identity')
  assert.equal(of('plaintext-refused', undefined), undefined)
  assert.equal(handshakeFailureOf({ refusal: undefined }), undefined)
})

test('what two readers could read differently is an attempt to smuggle, and a slow or busy one a flood', () => {
  assert.equal(threatOfDenial('te-and-cl'), 'smuggling')
  assert.equal(threatOfDenial('http2-flood'), 'flood')
  assert.equal(threatOfDenial('outbound-unknown-host'), 'breakout')
  assert.equal(threatOfDenial('no-endpoints'), undefined)
})

test('a network is the /24 of an IPv4 address and the /64 of an IPv6 address', () => {
  assert.equal(networkOf('203.0.113.7'), '203.0.113.0/24')
  assert.equal(networkOf('::ffff:203.0.113.7'), '203.0.113.0/24')
  assert.equal(networkOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
  assert.equal(networkOf('2001:db8::1'), '2001:db8:0:0::/64')
  assert.equal(networkOf('nobody'), 'unreadable')
})

test('who is refused often is shown by network, by identity and by pseudonym, and not by name', async () => {
  const { metrics, value, add } = watching()
  add(4)
  add(7, {
    direction: 'inbound',
    clientIp: '10.0.0.9',
    spiffeId: 'spiffe://cluster.local/ns/shop/sa/catalog',
    subject: 'alice@example.com',
    status: 403,
    outcome: 'denied',
    refusal: refusal('authorization', 'not-allowed'),
  })
  const refused = 'hauberk_offender_refusals'
  assert.equal(await value(refused, { offence: 'authentication', by: 'network', offender: '203.0.113.0/24' }), 4)
  assert.equal(await value(refused, { direction: 'inbound', by: 'identity', offender: 'shop/catalog' }), 7)
  assert.equal(await value(refused, { by: 'subject', offender: pseudonymOf('alice@example.com') }), 7)
  assert.equal((await metrics.text()).includes('alice'), false)
})

test('many clients that are refused once are counted, and none of them is shown', async () => {
  const { value, add } = watching()
  for (let i = 0; i < 100; i++) add(1, { clientIp: `203.0.${i}.1` })
  assert.equal(await value('hauberk_offenders', { offence: 'authentication', by: 'network' }), 100)
  assert.equal(await value('hauberk_offender_refusals', { by: 'network' }), undefined)
})

test('a minute without refusals forgets everybody', async () => {
  const { clock, value, add } = watching()
  add(10)
  await clock.advance(HALF_WINDOW_MS)
  assert.equal(await value('hauberk_offender_refusals', { by: 'network' }), 10)
  await clock.advance(HALF_WINDOW_MS)
  assert.equal(await value('hauberk_offender_refusals', { by: 'network' }), undefined)
  assert.equal(await value('hauberk_offenders', { by: 'network' }), 0)
  add(5)
  await clock.advance(10 * HALF_WINDOW_MS)
  assert.equal(await value('hauberk_offenders', { by: 'network' }), 0)
})

test('T27: a flood of new clients neither fills the metric nor the memory, and who hurries is still seen', async () => {
  const { metrics, value, add } = watching()
  add(1_000, { clientIp: '198.51.100.1' })
  for (let i = 0; i < MAX_OFFENDERS + 500; i++) {
    add(MIN, { clientIp: `10.${Math.floor(i / 256)}.${i % 256}.1`, subject: `${'u'.repeat(300)}${i}` })
  }
  assert.equal(await value('hauberk_offenders', { by: 'network' }), MAX_OFFENDERS)
  assert.equal(await value('hauberk_offenders', { by: 'subject' }), 1)
  assert.equal(await value('hauberk_offender_refusals', { offender: '198.51.100.0/24' }), 1_000)
  const shown = (await metrics.text()).split('\n').filter((line) => line.startsWith('hauberk_offender_refusals{'))
  assert.equal(shown.length, SHOWN_OFFENDERS + 1)
})

const MIN = 3
