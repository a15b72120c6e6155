import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '../../runtime/manual-clock.ts'
import type { ConnectionRecord, Refusal, RequestRecord } from '../serve/observation.ts'
import { createTaps, MAX_RATE, MAX_TAPS, MAX_WAITING, readTapFilter, type TapFilter, type Tapped } from './taps.ts'

const STOREFRONT = 'spiffe://mesh/ns/shop/sa/storefront'
const ALL: TapFilter = { isDenied: false, maxPerSecond: MAX_RATE }
const REFUSAL: Refusal = { denial: 'not-allowed', filter: 'authorization', rule: 'r', origins: [], detail: undefined }

function request(change: Partial<RequestRecord> = {}): RequestRecord {
  return {
    ...{ timeMs: 0, durationMs: 1, decisionId: 'd1', requestId: 'r1', direction: 'inbound', listener: '8080' },
    ...{ spiffeId: STOREFRONT, clientIp: '10.0.0.1', route: 'r', upstream: 'app', endpoint: undefined },
    ...{ method: 'GET', host: 'orders', path: '/orders', status: 200, outcome: 'allowed', refusal: undefined },
    ...{ rule: undefined, wouldDeny: undefined, issuer: undefined, subject: undefined },
    ...{ bytesIn: 0, bytesOut: 0, retried: false },
    ...change,
  }
}

const CONNECTION: ConnectionRecord = {
  ...{ timeMs: 0, durationMs: 1, decisionId: 'd2', direction: 'inbound', listener: '5432', spiffeId: STOREFRONT },
  ...{ clientIp: '10.0.0.1', upstream: 'app', endpoint: undefined, outcome: 'allowed', refusal: undefined },
  ...{ rule: undefined, wouldDeny: undefined, bytesIn: 0, bytesOut: 0, plaintext: false },
}

function world() {
  const clock = createManualClock(0)
  const taps = createTaps({ workload: 'shop/orders', clock })
  return { clock, taps }
}

/** Opens a tap. `next` gives what is there to read. */
function tap(taps: ReturnType<typeof world>['taps'], filter: TapFilter = ALL) {
  const ending = new AbortController()
  const lines = taps.open(filter, ending.signal)
  assert.ok(lines)
  const reading = lines[Symbol.asyncIterator]()
  const next = async () => {
    const { value, done } = await reading.next()
    return done === true ? undefined : String(value).split('\n').slice(0, -1)
  }
  return { next, end: () => ending.abort() }
}

test('a decision is shown as the log has it, to every tap that wants it', async () => {
  const { taps } = world()
  const [one, other] = [tap(taps), tap(taps, { ...ALL, path: '/orders/' })]
  taps.request(request())
  taps.request(request({ path: '/orders/7', decisionId: 'd7' }))
  taps.connection(CONNECTION)
  const ids = (lines: readonly string[] | undefined) => lines?.map((line) => JSON.parse(line)['event.id'])
  assert.deepEqual(ids(await one.next()), ['d1', 'd7', 'd2'])
  const [line = ''] = (await other.next()) ?? []
  const { 'url.path': path, 'tls.client.subject': who, 'hauberk.workload': workload } = JSON.parse(line)
  assert.deepEqual([path, who, workload], ['/orders/7', STOREFRONT, 'shop/orders'])
})

test('one may ask for a caller, a path, a method and for refusals', () => {
  const wanted: readonly (readonly [query: string, record: Partial<RequestRecord>, isShown: boolean])[] = [
    ['from=shop/storefront', {}, true],
    ['from=shop/orders', {}, false],
    [`from=${STOREFRONT}`, {}, true],
    ['from=10.0.0.1', {}, false],
    ['from=10.0.0.1', { spiffeId: undefined }, true],
    ['from=outside', { spiffeId: undefined, direction: 'gateway' }, true],
    ['from=outside', {}, false],
    ['from=outside', { spiffeId: undefined, direction: 'outbound' }, false],
    ['path=/ord', {}, true],
    ['path=/ord', { path: '/x/ord' }, false],
    ['method=POST', {}, false],
    ['method=GET', {}, true],
    ['denied=true', {}, false],
    ['denied=true', { refusal: REFUSAL }, true],
    ['denied=true', { wouldDeny: REFUSAL }, true],
    ['denied=true&path=/x', { refusal: REFUSAL }, false],
  ]
  for (const [query, record, isShown] of wanted) {
    const filter = readTapFilter(new URLSearchParams(query))
    assert.ok(filter, query)
    const seen: Tapped[] = []
    const taps = createTaps({ workload: 'shop/orders', clock: createManualClock(0), tell: (one) => seen.push(one) })
    taps.follow([{ id: 1, filter }])
    taps.request(request(record))
    assert.equal(seen.length === 1, isShown, `${query} ${JSON.stringify(record)}`)
  }
})

test('T32: a tap that asks for what nobody knows is none', () => {
  for (const query of ['x=1', 'rate=0', 'rate=1001', 'rate=x', `path=${'x'.repeat(3_000)}`]) {
    assert.equal(readTapFilter(new URLSearchParams(query)), undefined, query.slice(0, 20))
  }
  assert.deepEqual(readTapFilter(new URLSearchParams('')), { isDenied: false, maxPerSecond: 100 })
})

test('what is beyond the rate is not shown, and its number is', async () => {
  const { clock, taps } = world()
  const reader = tap(taps, { ...ALL, maxPerSecond: 2 })
  for (let i = 0; i < 5; i++) taps.request(request())
  const [lost = '', ...shown] = (await reader.next()) ?? []
  assert.deepEqual(JSON.parse(lost), { message: 'lost', 'hauberk.lost': 3 })
  assert.equal(shown.length, 2)
  taps.request(request())
  const later = reader.next()
  await clock.advance(5_000)
  assert.deepEqual(
    (await later)?.map((line) => JSON.parse(line)),
    [{ message: 'lost', 'hauberk.lost': 1 }],
  )
  taps.request(request())
  assert.equal((await reader.next())?.length, 1)
})

test('T27: whoever does not read loses lines beyond a bound, and hears how many', async () => {
  const { clock, taps } = world()
  const reader = tap(taps)
  const path = `/${'x'.repeat(2_000)}`
  for (let i = 0; i < MAX_RATE; i++) taps.request(request({ path }))
  const [lost = '', ...shown] = (await reader.next()) ?? []
  assert.equal(JSON.parse(lost)['hauberk.lost'] + shown.length, MAX_RATE)
  assert.ok(shown.join('').length <= MAX_WAITING && shown.length > 50)
  await clock.advance(1_000)
  taps.request(request())
  assert.equal((await reader.next())?.length, 1)
})

test('T27: as many taps are open as there may be, and one that ends makes room, even if it was never read', async () => {
  const { taps } = world()
  const readers = Array.from({ length: MAX_TAPS }, () => tap(taps))
  assert.equal(taps.open(ALL, new AbortController().signal), undefined)
  readers[0]?.end()
  assert.equal(taps.opened().length, MAX_TAPS - 1)
  const reading = readers[1]?.next()
  readers[1]?.end()
  assert.equal(await reading, undefined)
  assert.equal(taps.opened().length, MAX_TAPS - 2)
  for (const { end } of readers) end()
  assert.deepEqual(taps.opened(), [])
})

test('whoever reads a tap that shows nothing hears that it is still there', async () => {
  const { clock, taps } = world()
  const { next } = tap(taps)
  const reading = next()
  await clock.advance(5_000)
  assert.deepEqual(await reading, [''])
})

test('what other workers decide is shown too, and their taps end with it', async () => {
  const clock = createManualClock(0)
  const worker = createTaps({ workload: 'shop/orders', clock, tell: (tapped) => first.add(tapped) })
  const first = createTaps({ workload: 'shop/orders', clock, onChange: () => worker.follow(first.opened()) })
  const reader = tap(first, { ...ALL, maxPerSecond: 3 })
  for (let i = 0; i < 5; i++) worker.request(request())
  assert.equal((await reader.next())?.length, 3)
  await clock.advance(1_000)
  worker.request(request())
  first.request(request())
  const [lost = '', ...shown] = (await reader.next()) ?? []
  assert.deepEqual([JSON.parse(lost)['hauberk.lost'], shown.length], [2, 2])
  reader.end()
  assert.deepEqual(worker.opened(), [])
})
