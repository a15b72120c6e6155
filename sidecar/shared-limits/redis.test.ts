import assert from 'node:assert/strict'
import { before, type TestContext, test } from 'node:test'
import type { EndpointsDocument } from '../../contract/endpoints.ts'
import type { WorkloadConfig } from '../../contract/workload-config.ts'
import { CONTRACT_VERSION } from '../../contract/workload-config.ts'
import type { FilterDeps } from '../../model/filter.ts'
import type { Limit } from '../../policies/rate-limit/config.ts'
import { rateLimit } from '../../policies/rate-limit/filter.ts'
import { testDeps } from '../../policies/testing/deps.ts'
import { requestOf } from '../../policies/testing/request.ts'
import { systemClock } from '../../runtime/clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { createIdentityStore } from '../identity/identity-store.ts'
import { testId } from '../identity/testing/test-identity.ts'
import { until } from '../serve/testing/until.ts'
import {
  createTestMesh,
  endpoint,
  gateSlots,
  inbound,
  LOOPBACK,
  meshUpstream,
  startPlane,
  type TestMesh,
  workloadConfig,
} from '../serve/testing/world.ts'
import { createSharedQuota } from './leases.ts'
import { openSharedQuota } from './open-shared-quota.ts'
import type { QuotaStore } from './quota-store.ts'
import { createRedisStore, type RedisStore } from './redis-store.ts'
import { NO_REDIS, startRedis, type TestRedis } from './testing/redis.ts'

const skip = NO_REDIS

/** Requests an hour: while a test runs, next to nothing of it is earned back. */
const LIMIT = 600

/** What may come through at most, however it goes (F09). */
const MOST = LIMIT * 1.1

const SILENT = { info() {}, warn() {}, error() {}, debug() {} } as never

interface Replica {
  readonly store: RedisStore
  /** How many of them are let through. In between, what goes on in the background comes to its end. */
  ask(count: number): Promise<number>
  /** Clients that the store has answered about. */
  answered(): number
}

function limiter(deps: Pick<FilterDeps, 'share' | 'quota'>): () => Promise<boolean> {
  const origin = { policy: 'SecurityPolicy/shop/p', origin: 'shop/p@1', mode: 'enforce' as const, key: [] }
  const limit: Limit = { ...origin, name: 'all', requests: LIMIT, perMs: 3_600_000, burst: LIMIT, scope: 'shared' }
  const check = rateLimit.compile({ limits: [limit] }, { ...testDeps(), clock: systemClock, ...deps })
  assert.ok(check.ok)
  return async () => (await check.value(requestOf({}), {})).kind === 'continue'
}

function replica(t: TestContext, redis: TestRedis): Replica {
  const share = { replicas: 2 }
  const store = createRedisStore({
    target: () => ({ host: '127.0.0.1', port: redis.port }),
    ...{ clock: systemClock, random: Math.random, log: SILENT },
  })
  let underWay = 0
  const watched: QuotaStore = {
    get isReady() {
      return store.isReady
    },
    get isSettled() {
      return store.isSettled
    },
    exchange(asked) {
      underWay += 1
      return store.exchange(asked).finally(() => {
        underWay -= 1
      })
    },
  }
  store.review()
  let answered = 0
  const quota = createSharedQuota({
    ...{ store: watched, share, clock: systemClock },
    idOf: (limit, key) => `${limit} ${key}`,
    events: {
      exchanged(clients, outcome) {
        if (outcome === 'answered') answered += clients
      },
      granted() {},
    },
  })
  t.after(() => {
    quota.close()
    store.close()
  })
  const passes = limiter({ share, quota })
  return {
    store,
    answered: () => answered,
    async ask(count) {
      let passed = 0
      for (let i = 1; i <= count; i++) {
        if (await passes()) passed += 1
        if (i % 10 > 0 && i < count) continue
        await new Promise((resolve) => setTimeout(resolve, 6))
        await until(() => underWay === 0, 'the store answers or is given up')
      }
      return passed
    },
  }
}

interface Pair {
  readonly redis: TestRedis
  readonly a: Replica
  readonly b: Replica
  /** Both ask that often. */
  ask(count: number): Promise<number>
  settle(): Promise<void>
  /** Asks until the store has answered to both. On a busy machine it is given up on now and then. */
  untilAnswered(since?: readonly [number, number]): Promise<void>
}

async function startPair(t: TestContext): Promise<Pair> {
  const redis = await startRedis(t)
  const [a, b] = [replica(t, redis), replica(t, redis)]
  const settle = () => until(() => a.store.isSettled && b.store.isSettled, 'the store is settled')
  await settle()
  const ask = async (count: number) => {
    const [first, second] = await Promise.all([a.ask(count), b.ask(count)])
    return first + second
  }
  return {
    ...{ redis, a, b, settle, ask },
    async untilAnswered([first, second] = [0, 0]) {
      const lateAt = performance.now() + 30_000
      while (a.answered() <= first || b.answered() <= second) {
        assert.ok(performance.now() < lateAt, 'the store never answers')
        await ask(10)
      }
    },
  }
}

test('T27: two replicas lose nothing below their limit, and let no more through than it says', { skip }, async (t) => {
  const pair = await startPair(t)
  assert.equal(await pair.ask(250), 500)
  const more = await pair.ask(250)
  assert.ok(more < 500 && 500 + more <= MOST, `${500 + more} were let through`)
  await pair.untilAnswered()
})

test('a client that meets one replica only has more than its share', { skip }, async (t) => {
  const { a, b } = await startPair(t)
  let passed = 0
  const deadline = Date.now() + 30_000
  while (passed < LIMIT * 0.8 && Date.now() < deadline) passed += await a.ask(10)
  assert.ok(passed >= LIMIT * 0.8, `${passed} were let through`)
  // What it has used, it has used everywhere.
  const there = await b.ask(LIMIT)
  assert.ok(passed + there <= MOST, `${passed} here and ${there} there`)
})

test('F09: where Redis is killed each replica keeps to its share, until it is back with nothing in it', {
  skip,
}, async (t) => {
  const pair = await startPair(t)
  let passed = await pair.ask(150)
  assert.equal(passed, 300)
  await pair.redis.kill()
  // Below the limit nothing is lost.
  assert.equal(await pair.ask(80), 160)
  passed += 160 + (await pair.ask(150))
  assert.ok(passed <= MOST, `${passed} were let through`)
  await pair.redis.start()
  await until(() => pair.a.store.isReady && pair.b.store.isReady, 'both are connected again')
  passed += await pair.ask(50)
  await pair.settle()
  const since = [pair.a.answered(), pair.b.answered()] as const
  passed += await pair.ask(150)
  assert.ok(passed <= MOST, `${passed} were let through after all`)
  await pair.untilAnswered(since)
})

test('F09: where Redis hangs no request waits, and each replica keeps to its share', { skip }, async (t) => {
  const pair = await startPair(t)
  let passed = await pair.ask(150)
  assert.equal(passed, 300)
  pair.redis.pause()
  assert.equal(await pair.ask(80), 160)
  passed += 160 + (await pair.ask(150))
  assert.ok(!pair.a.store.isReady && !pair.b.store.isReady)
  assert.ok(passed <= MOST, `${passed} were let through`)
  pair.redis.resume()
  await pair.settle()
  passed += await pair.ask(150)
  assert.ok(passed <= MOST, `${passed} were let through after all`)
})

test('what a client has used is forgotten by Redis as it is earned back', { skip }, async (t) => {
  const redis = await startRedis(t)
  const { store } = replica(t, redis)
  await until(() => store.isReady, 'it is connected')
  const rate = { requests: 1_000, perMs: 60_000, burst: 1_000 }
  const [answer] = await store.exchange([{ id: 'x', rate, owed: 10, wanted: 2_000, believed: 0 }])
  assert.equal(answer?.granted, 495)
  assert.equal(answer?.counted, 505)
  const left = Number(await redis.ask('PTTL', 'x'))
  assert.ok(left > 0 && left <= 90_300, `${left} ms`)
  const [back] = await store.exchange([{ id: 'x', rate, owed: -495, wanted: 0, believed: 0 }])
  assert.ok(back !== undefined && back.granted === 0 && back.counted <= 10)
})

let mesh: TestMesh
before(async () => {
  mesh = await createTestMesh()
})

/** A workload with a limit that is counted at `platform/redis`, which is behind a sidecar. */
async function behindSidecar(t: TestContext, redis: TestRedis, admitted: string) {
  const plane = await startPlane(t, {
    config: workloadConfig([
      inbound(6379, { protocol: 'tcp', routes: [], filters: gateSlots({ spiffeIds: [testId(admitted)] }) }),
    ]),
    placement: { inbound: [{ containerPort: 6379, bind: LOOPBACK, app: { host: '127.0.0.1', port: redis.port } }] },
    identity: await mesh.identity('redis'),
  })
  const upstream = 'shop/redis:6379'
  const config: WorkloadConfig = {
    ...workloadConfig([], { upstreams: { [upstream]: meshUpstream('redis', 'tcp', 6379) } }),
    limitStore: { upstream },
  }
  const endpoints: EndpointsDocument = {
    ...{ contract: CONTRACT_VERSION, version: 'e', replicas: 2 },
    endpoints: { [upstream]: [endpoint(plane.port('6379'))] },
  }
  const metrics = createMetrics()
  const identity = createIdentityStore(await mesh.identity('orders'))
  const own = openSharedQuota({
    ...{ workload: 'shop/orders', config: () => config, endpoints: () => endpoints, identity: () => identity },
    ...{ clock: systemClock, random: Math.random, log: SILENT, metrics },
  })
  t.after(own.close)
  own.review()
  const shows = async (line: RegExp) => line.test(await metrics.text())
  return { own, shows }
}

/** Waits for what only a promise tells. */
async function becomes(holds: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `not within 30 s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

test('Redis is called by mutual TLS, and its sidecar knows who calls', { skip }, async (t) => {
  const redis = await startRedis(t)
  const { own, shows } = await behindSidecar(t, redis, 'orders')
  await becomes(() => shows(/^hauberk_limit_store_down 0$/m), 'the store answers')
  const passes = limiter(own)
  assert.ok(await passes())
  await becomes(() => shows(/^hauberk_limit_store_questions_total\{outcome="answered"\} [1-9]/m), 'it was asked')
  assert.match(String(await redis.ask('RANDOMKEY')), /^hauberk:limit:[\w-]{43}$/)
  // Another certificate is another connection.
  own.renew()
  await becomes(() => shows(/^hauberk_limit_store_down 0$/m), 'the store answers again')
})

test('whom the policy of Redis does not let in keeps to its share, and tells of it', { skip }, async (t) => {
  const redis = await startRedis(t)
  const { own, shows } = await behindSidecar(t, redis, 'catalog')
  const passes = limiter(own)
  let passed = 0
  for (let i = 0; i < LIMIT; i++) if (await passes()) passed += 1
  assert.equal(passed, LIMIT / 2)
  assert.ok(await shows(/^hauberk_limit_store_down 1$/m))
  assert.equal(await redis.ask('DBSIZE'), '0')
})
