import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from '#fast-check'
import { createSharedTimesMemory, openSharedTimes } from './shared-times.ts'
import type { LimitInAThread } from './testing/limit-in-a-thread.ts'

const limit = (name: string, requests: number, burst: number) => ({
  name,
  policy: 'SecurityPolicy/shop/p',
  origin: 'shop/p@1',
  mode: 'enforce',
  key: [{ kind: 'ip' }],
  requests,
  perMs: 86_400_000,
  burst,
})

/** How many of each client's requests all threads together let through. */
async function inThreads(threads: number, config: unknown, clients: number, requests: number): Promise<number[]> {
  const begin = new SharedArrayBuffer(4)
  const workerData: LimitInAThread = { memory: createSharedTimesMemory(1_024), begin, config, clients, requests }
  const url = new URL('./testing/limit-in-a-thread.ts', import.meta.url)
  const workers = Array.from({ length: threads }, () => new Worker(url, { workerData }))
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  const counted = Promise.all(workers.map(async (worker) => ((await once(worker, 'message')) as [number[]])[0]))
  Atomics.store(new Int32Array(begin), 0, 1)
  Atomics.notify(new Int32Array(begin), 0)
  const totals = Array<number>(clients).fill(0)
  for (const each of await counted) for (const [client, passed] of each.entries()) totals[client]! += passed
  return totals
}

describe('times that workers share', () => {
  it('let through exactly what a limit says, however many threads count at once', async () => {
    const totals = await inThreads(4, { limits: [limit('a', 1_000, 1_000)] }, 3, 2_000)
    assert.deepEqual(totals, [1_000, 1_000, 1_000])
  })

  it('take a request back from one limit where another thread spent the last of the next', async () => {
    const config = { limits: [limit('wide', 1_000, 1_000), limit('narrow', 200, 200)] }
    assert.deepEqual(await inThreads(4, config, 2, 1_000), [200, 200])
  })

  it('are one in all that open them, and apart by name', () => {
    const memory = createSharedTimesMemory(1_024)
    const [here, there, other] = [
      openSharedTimes(memory)('a'),
      openSharedTimes(memory)('a'),
      openSharedTimes(memory)('b'),
    ]
    assert.equal(here.get('k', 0), undefined)
    assert.equal(here.set('k', 7, undefined, 1_000), 'set')
    assert.equal(there.get('k', 0), 7)
    assert.equal(other.get('k', 0), undefined)
    assert.equal(there.set('k', 9, 7, 1_000), 'set')
    assert.equal(here.set('k', 8, 7, 1_000), 'moved')
    here.subtract('k', 4, 0)
    assert.equal(there.get('k', 0), 5)
  })

  it('behave as a map does while there is room', () => {
    const operation = fc.record({ name: fc.constantFrom('a', 'b'), key: fc.nat(40).map(String), by: fc.nat(2) })
    fc.assert(
      fc.property(fc.array(operation), (operations) => {
        const open = openSharedTimes(createSharedTimesMemory(256))
        const times = { a: [open('a'), open('a'), open('a')], b: [open('b'), open('b'), open('b')] }
        const model = new Map<string, number>()
        for (const [i, { name, key, by }] of operations.entries()) {
          const mine = times[name as 'a' | 'b'][by]!
          assert.equal(mine.get(key, 0), model.get(name + key))
          assert.equal(mine.set(key, i + 1, model.get(name + key), 60_000), 'set')
          model.set(name + key, i + 1)
        }
      }),
    )
  })

  it('T27: take no more memory however many names there are, and give up those first that are over', () => {
    const memory = createSharedTimesMemory(1_024)
    const bytes = memory.buffer.byteLength
    const times = openSharedTimes(memory)('limit')
    for (let i = 0; i < 300; i++) assert.equal(times.set(`good ${i}`, 5, times.get(`good ${i}`, 0), 3_600_000), 'set')
    let forgotten = 0
    for (let i = 0; i < 20_000; i++) {
      // A name that was used once is over in a millisecond, and the next one comes a second later.
      const nowMs = i * 1_000
      if (times.set(`flood ${i}`, 1, times.get(`flood ${i}`, nowMs), nowMs + 1) === 'forgot') forgotten += 1
      if (nowMs > 3_500_000) break
    }
    assert.equal(forgotten, 0)
    for (let i = 0; i < 300; i++) assert.equal(times.get(`good ${i}`, 3_500_000), 5)
    // All of them matter now: somebody is forgotten, it is said, and the memory is what it was.
    for (let i = 0; i < 5_000; i++) {
      if (times.set(`busy ${i}`, 3, times.get(`busy ${i}`, 0), 9_000_000) === 'forgot') forgotten += 1
    }
    assert.ok(forgotten > 3_000, `${forgotten} were forgotten`)
    assert.equal(memory.buffer.byteLength, bytes)
  })

  it('hold four names to ten cells before one is forgotten', () => {
    const cells = 16_384
    const times = openSharedTimes(createSharedTimesMemory(cells))('limit')
    let count = 0
    while (times.set(`${count}`, 1, times.get(`${count}`, 0), 60_000) === 'set') count += 1
    assert.ok(count > cells * 0.4, `${count} of ${cells}`)
  })

  it('go on where a thread was ended while it gave a cell away', () => {
    const memory = createSharedTimesMemory(32)
    const longs = new BigInt64Array(memory.buffer)
    for (let cell = 0; cell < 32; cell++) longs[cell * 3] = 1n
    const times = openSharedTimes(memory)('limit')
    times.set('a', 7, times.get('a', 0), 60_000)
    assert.equal(times.get('a', 0), 7)
  })
})
