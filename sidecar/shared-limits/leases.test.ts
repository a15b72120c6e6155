import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { CountMemory } from '../../model/filter.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { BATCH_GAP_MS, createSharedQuota, LEASE_MS, MAX_BATCH, MAX_LEASES, MAX_WAITING } from './leases.ts'
import type { QuotaAnswer, QuotaExchange } from './quota-store.ts'

const RATE = { requests: 1_000, perMs: 1_000, burst: 1_000 }

/** A worker of two replicas whose store answers what a test says. */
function worker(answer: (asked: QuotaExchange) => QuotaAnswer | undefined = () => ({ granted: 0, counted: 0 })) {
  const clock = createManualClock()
  const asked: QuotaExchange[] = []
  const batches: number[] = []
  const counted = new Map<string, number>()
  const state = { isReady: true, isSettled: true }
  const quota = createSharedQuota({
    store: {
      get isReady() {
        return state.isReady
      },
      get isSettled() {
        return state.isSettled
      },
      async exchange(batch) {
        asked.push(...batch)
        batches.push(batch.length)
        const answers = batch.map(answer)
        if (answers.includes(undefined)) throw new Error('nobody answers')
        return answers as QuotaAnswer[]
      },
    },
    share: { replicas: 2 },
    idOf: (limit, key) => `${limit}/${key}`,
    clock,
    events: { exchanged() {}, granted() {} },
  })
  const memory: CountMemory = {
    read: (key) => counted.get(key) ?? 0,
    write: (key, level) => void counted.set(key, level),
  }
  return { clock, asked, batches, counted, state, quota, leases: quota.leasesOf('l', RATE, memory) }
}

describe('leases', () => {
  it('tell of what was let through, and learn what all replicas have counted', async () => {
    const { clock, asked, counted, leases } = worker(() => ({ granted: 0, counted: 40 }))
    counted.set('a', 2)
    leases.owe('a', 1)
    assert.deepEqual(asked, [])
    await clock.advance(0)
    assert.deepEqual(asked, [{ id: 'l/a', rate: RATE, owed: 1, wanted: 0, believed: 0 }])
    assert.equal(counted.get('a'), 40)
    assert.ok(!leases.has('a', clock.monotonic()))
  })

  it('want ahead what a busy client asks for, and no more than a part of the burst', async () => {
    const { clock, asked, leases } = worker(({ wanted }) => ({ granted: wanted, counted: wanted }))
    for (let turn = 0; turn < 3; turn++) {
      for (let i = 0; i < 100; i++) leases.owe('a', 1)
      await clock.advance(BATCH_GAP_MS)
    }
    // A twentieth of the burst, for two.
    assert.deepEqual(
      asked.map(({ wanted }) => wanted),
      [0, 25, 0],
    )
    assert.ok(leases.has('a', clock.monotonic()))
    for (let i = 0; i < 25; i++) leases.use('a', 1)
    assert.ok(!leases.has('a', clock.monotonic()))
  })

  it('give back what nobody has used', async () => {
    const { clock, asked, leases } = worker(({ wanted }) => ({ granted: wanted, counted: wanted }))
    for (let turn = 0; turn < 2; turn++) {
      for (let i = 0; i < 100; i++) leases.owe('a', 1)
      await clock.advance(BATCH_GAP_MS)
    }
    leases.use('a', 1)
    await clock.advance(LEASE_MS - BATCH_GAP_MS)
    assert.ok(!leases.has('a', clock.monotonic()))
    await clock.advance(LEASE_MS)
    assert.equal(asked.at(-1)?.owed, -24)
  })

  it('F09: ask nobody while the store is down, and tell it later what is not earned back yet', async () => {
    const world = worker(() => (world.state.isReady ? { granted: 0, counted: 1 } : undefined))
    const { clock, asked, counted, state, leases } = world
    state.isReady = false
    for (let i = 0; i < 100; i++) leases.owe('a', 1)
    await clock.advance(1_000)
    assert.deepEqual(asked, [])
    // Of what both have let through, ten are counted still.
    counted.set('a', 10)
    state.isReady = true
    state.isSettled = false
    leases.owe('a', 1)
    await clock.advance(BATCH_GAP_MS)
    assert.deepEqual(asked, [{ id: 'l/a', rate: RATE, owed: 5, wanted: 0, believed: 0 }])
    // The other replica has not told of its part yet.
    assert.equal(counted.get('a'), 10)
    state.isSettled = true
    leases.owe('a', 1)
    await clock.advance(BATCH_GAP_MS)
    assert.equal(counted.get('a'), 1)
  })

  it('tell again what a store did not hear', async () => {
    let answers = false
    const { clock, asked, counted, leases } = worker(() => (answers ? { granted: 0, counted: 3 } : undefined))
    counted.set('a', 20)
    leases.owe('a', 1)
    await clock.advance(BATCH_GAP_MS)
    answers = true
    leases.owe('a', 1)
    await clock.advance(BATCH_GAP_MS)
    assert.deepEqual(
      asked.map(({ owed }) => owed),
      [1, 2],
    )
  })

  it('ask about one client once at a time, and at most every few milliseconds', async () => {
    const { clock, batches, leases } = worker()
    for (let i = 0; i < 1_000; i++) leases.owe('a', 1)
    await clock.advance(0)
    for (let i = 0; i < 1_000; i++) leases.owe('a', 1)
    await clock.advance(BATCH_GAP_MS - 1)
    assert.deepEqual(batches, [1])
    await clock.advance(1)
    assert.deepEqual(batches, [1, 1])
  })

  it('T27: have so many clients wait to be asked about, and no more', async () => {
    const { clock, batches, leases } = worker()
    for (let i = 0; i < MAX_WAITING + 10; i++) leases.owe(String(i), 1)
    await clock.advance(0)
    assert.deepEqual(batches, [MAX_BATCH])
    for (let turn = 1; turn <= MAX_WAITING / MAX_BATCH; turn++) await clock.advance(BATCH_GAP_MS)
    assert.equal(
      batches.reduce((sum, one) => sum + one, 0),
      MAX_WAITING,
    )
  })

  it('T27: are held for so many clients, and no more: the oldest goes first', async () => {
    const { clock, state, leases } = worker(() => ({ granted: 5, counted: 5 }))
    leases.owe('first', 1)
    await clock.advance(0)
    state.isReady = false
    for (let i = 1; i < MAX_LEASES; i++) leases.owe(String(i), 1)
    assert.ok(leases.has('first', clock.monotonic()))
    leases.owe('one more', 1)
    assert.ok(!leases.has('first', clock.monotonic()))
  })
})
