import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { Gate, type GateWaiter } from '../upstream/gate.ts'
import { clearSharedCounts, createSharedCountsMemory, openSharedCounts } from './shared-counts.ts'

describe('counts that workers share', () => {
  it('are one by name in all that open them, and apart by worker', () => {
    const memory = createSharedCountsMemory(64)
    const [here, there] = [0, 1].map((worker) => openSharedCounts(memory, worker)('a'))
    assert.ok(here && there)
    here.tell(3)
    there.tell(4)
    assert.deepEqual([here.others(), there.others()], [4, 3])
    assert.equal(openSharedCounts(memory, 2)('a')?.others(), 7)
    assert.equal(openSharedCounts(memory, 2)('b')?.others(), 0)
    clearSharedCounts(memory, 1)
    assert.equal(here.others(), 0)
    assert.equal(there.others(), 3)
  })

  it('T27: take no more names than there is room for', () => {
    const memory = createSharedCountsMemory(64)
    const countOf = openSharedCounts(memory, 0)
    const known = Array.from({ length: 200 }, (_, i) => countOf(`upstream ${i}`)).filter((count) => count !== undefined)
    assert.equal(known.length, 64)
    for (const [i, count] of known.entries()) count.tell(i)
    const others = openSharedCounts(memory, 1)
    assert.equal(others('upstream 7')?.others(), 7)
  })
})

describe('a circuit breaker of several workers', () => {
  const MAX = { maxInFlight: 2, maxPending: 1 }

  function gatesOf(workers: number, names = 64) {
    const memory = createSharedCountsMemory(names)
    const clock = createManualClock()
    const gates = Array.from({ length: workers }, (_, worker) => {
      const sharing = { workers, countOf: openSharedCounts(memory, worker) }
      return new Gate(MAX, { sharing, name: 'orders', clock })
    })
    return { gates: gates as [Gate, Gate], clock }
  }

  it('lets in as many as the pod may have, and as many wait', () => {
    const { gates } = gatesOf(2)
    const waiter: GateWaiter = { onAdmitted() {} }
    const said = [0, 1, 0, 1, 0].map((worker) => gates[worker]!.enter({ ...waiter }))
    assert.deepEqual(said, ['in', 'in', 'waiting', 'full', 'full'])
  })

  it('has those who wait go on when another worker has room, and nobody pass them', async () => {
    const { gates, clock } = gatesOf(2)
    const log: string[] = []
    const named = (name: string): GateWaiter => ({ onAdmitted: () => log.push(name) })
    const [first, second] = gates
    assert.deepEqual([first.enter(named('a')), first.enter(named('b'))], ['in', 'in'])
    assert.equal(second.enter(named('c')), 'waiting')
    first.leave()
    assert.deepEqual(log, [])
    await clock.advance(50)
    assert.deepEqual(log, ['c'])
    assert.equal(second.enter(named('d')), 'waiting')
    first.leave()
    // Whoever comes now comes behind the one that waits.
    assert.equal(second.enter(named('e')), 'waiting')
    assert.deepEqual(log, ['c', 'd'])
    second.leave()
    assert.deepEqual(log, ['c', 'd', 'e'])
    assert.equal(clock.pendingTimers() <= 1, true)
    await clock.advance(100)
    assert.equal(clock.pendingTimers(), 0)
  })

  it('never has more in than the pod may, however many threads ask at once', async () => {
    const workers = 4
    const inside = new SharedArrayBuffer(8)
    const memory = createSharedCountsMemory(64)
    const source = `
      import { parentPort, workerData } from 'node:worker_threads'
      import { Gate } from ${JSON.stringify(new URL('../upstream/gate.ts', import.meta.url).href)}
      import { openSharedCounts } from ${JSON.stringify(new URL('./shared-counts.ts', import.meta.url).href)}
      const { memory, inside, worker, workers } = workerData
      const seen = new Int32Array(inside)
      const sharing = { workers, countOf: openSharedCounts(memory, worker) }
      const gate = new Gate({ maxInFlight: 3, maxPending: 0 }, { sharing, name: 'orders', clock: undefined })
      let entered = 0
      for (let i = 0; i < 20000; i++) {
        if (gate.enter({ onAdmitted() {} }) !== 'in') continue
        entered += 1
        if (Atomics.add(seen, 0, 1) + 1 > 3) Atomics.store(seen, 1, 1)
        Atomics.sub(seen, 0, 1)
        gate.leave()
      }
      parentPort.postMessage(entered)`
    const program = new URL(`data:text/javascript,${encodeURIComponent(source)}`)
    const threads = Array.from(
      { length: workers },
      (_, worker) => new Worker(program, { workerData: { memory, inside, worker, workers } }),
    )
    const entered = await Promise.all(threads.map(async (thread) => ((await once(thread, 'message')) as [number])[0]))
    assert.equal(new Int32Array(inside)[1], 0, 'there were more')
    assert.ok(
      entered.some((count) => count > 0),
      entered.join(),
    )
  })
})
