import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc from '#fast-check'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createWorkQueue, type WorkQueueOptions } from './queue.ts'

/** A queue whose work ends when the test says so, if it says so at all. */
function queueOf(t: TestContext, options: Partial<WorkQueueOptions> = {}) {
  const clock = createManualClock()
  const stop = new AbortController()
  const begun: string[] = []
  const queue = createWorkQueue({
    async work(key) {
      begun.push(key)
    },
    clock,
    random: () => 0.999,
    signal: stop.signal,
    ...options,
  })
  t.after(async () => {
    stop.abort()
    await queue.done
  })
  return { queue, clock, begun, stop }
}

/** Work that waits to be told how it ended, by key. */
function heldWork() {
  const held = new Map<string, PromiseWithResolvers<void>>()
  let most = 0
  return {
    held,
    most: () => most,
    async work(key: string) {
      assert.ok(!held.has(key), `${key} runs twice at once`)
      const own = Promise.withResolvers<void>()
      held.set(key, own)
      most = Math.max(most, held.size)
      await own.promise.finally(() => held.delete(key))
    },
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

test('a key that is added many times before its turn is worked on once', async (t) => {
  const { work, held } = heldWork()
  const begun: string[] = []
  const { queue } = queueOf(t, {
    concurrency: 1,
    work: (key) => {
      begun.push(key)
      return work(key)
    },
  })
  for (const key of ['a', 'b', 'b', 'c', 'b']) assert.equal(queue.add(key), true)
  assert.equal(queue.size(), 3)
  for (const key of ['a', 'b', 'c']) {
    held.get(key)?.resolve()
    await turn()
  }
  assert.deepEqual(begun, ['a', 'b', 'c'])
  await queue.idle()
})

test('a key that is added while it runs comes again, after that run and not beside it', async (t) => {
  const { work, held } = heldWork()
  const { queue } = queueOf(t, { work })
  queue.add('a')
  queue.add('a')
  queue.add('a')
  const first = held.get('a')
  first?.resolve()
  await turn()
  const second = held.get('a')
  assert.ok(second !== undefined && second !== first)
  second.resolve()
  await queue.idle()
  assert.equal(held.size, 0)
})

test('no more keys than allowed are worked on at once', async (t) => {
  const { work, held, most } = heldWork()
  const { queue } = queueOf(t, { work, concurrency: 3 })
  for (let i = 0; i < 10; i++) queue.add(`key-${i}`)
  for (let i = 0; i < 10; i++) {
    held.get(`key-${i}`)?.resolve()
    await turn()
  }
  await queue.idle()
  assert.equal(most(), 3)
})

test('a key that fails comes again after waits that grow, each key with its own; a success begins anew', async (t) => {
  const failing = new Set(['bad'])
  const runs: string[] = []
  const told: string[] = []
  const clock = createManualClock()
  const { queue } = queueOf(t, {
    clock,
    baseMs: 100,
    maxMs: 1_000,
    async work(key) {
      runs.push(`${key}@${Math.round(clock.monotonic())}`)
      if (failing.has(key)) throw new Error('no')
    },
    onFailure: (key, error, attempt) => told.push(`${key} ${(error as Error).message} ${attempt}`),
  })
  queue.add('bad')
  queue.add('good')
  await clock.advance(2_500)
  assert.deepEqual(runs, ['bad@0', 'good@0', 'bad@100', 'bad@300', 'bad@699', 'bad@1499', 'bad@2498'])
  assert.deepEqual(told.slice(0, 2), ['bad no 1', 'bad no 2'])
  failing.clear()
  await clock.advance(1_000)
  await queue.idle()
  failing.add('bad')
  queue.add('bad')
  await turn()
  assert.equal(told.at(-1), 'bad no 1')
})

test('a key in its backoff that is added again is worked on at once: what it names has changed', async (t) => {
  let isBroken = true
  const { queue, clock } = queueOf(t, {
    async work() {
      if (isBroken) throw new Error('no')
    },
    baseMs: 10_000,
  })
  queue.add('a')
  await turn()
  assert.equal(queue.size(), 1)
  isBroken = false
  queue.add('a')
  await queue.idle()
  assert.equal(clock.monotonic(), 0)
})

test('work that says when it wants to come again does so, and a key can be taken for later', async (t) => {
  const clock = createManualClock()
  const runs: string[] = []
  const { queue } = queueOf(t, {
    clock,
    async work(key) {
      runs.push(`${key}@${clock.monotonic()}`)
      return key === 'often' ? 100 : undefined
    },
  })
  queue.add('often')
  queue.addAfter('later', 250)
  queue.addAfter('later', 400)
  queue.addAfter('later', 150)
  await clock.advance(300)
  assert.deepEqual(runs, ['often@0', 'often@100', 'later@150', 'often@200', 'often@300'])
  queue.remove('often')
  await clock.advance(1_000)
  assert.equal(runs.length, 5)
  assert.equal(queue.size(), 0)
})

test('a key that is removed while it runs does not come again, unless it is added after that', async (t) => {
  const { work, held } = heldWork()
  const { queue } = queueOf(t, { work, baseMs: 1 })
  queue.add('gone')
  queue.add('back')
  queue.remove('gone')
  queue.remove('back')
  queue.add('back')
  held.get('gone')?.reject(new Error('no'))
  held.get('back')?.resolve()
  await turn()
  assert.deepEqual([...held.keys()], ['back'])
  held.get('back')?.resolve()
  await queue.idle()
})

test('no more runs a second than the rate, after a burst', async (t) => {
  const { queue, clock, begun } = queueOf(t, { rate: { perSecond: 10, burst: 5 } })
  for (let i = 0; i < 30; i++) queue.add(`key-${i}`)
  await turn()
  assert.equal(begun.length, 5)
  await clock.advance(1_000)
  assert.equal(begun.length, 15)
  await clock.advance(1_500)
  assert.equal(begun.length, 30)
})

test('a queue that is full refuses new keys, and asks for everything anew when it is empty', async (t) => {
  const { work, held } = heldWork()
  let overflows = 0
  const { queue } = queueOf(t, {
    work,
    maxKeys: 2,
    onOverflow: () => {
      overflows += 1
    },
  })
  assert.deepEqual([queue.add('a'), queue.add('b'), queue.add('c'), queue.add('a')], [true, true, false, true])
  assert.equal(queue.size(), 2)
  for (const key of ['a', 'b', 'a']) {
    held.get(key)?.resolve()
    await turn()
  }
  await queue.idle()
  assert.equal(overflows, 1)
})

test('a queue that is ended drops what waits and lets go when nothing runs any more', async () => {
  const stop = new AbortController()
  const { work, held } = heldWork()
  const clock = createManualClock()
  const seen: AbortSignal[] = []
  const queue = createWorkQueue({
    work: (key, signal) => {
      seen.push(signal)
      return work(key)
    },
    concurrency: 1,
    clock,
    random: () => 0,
    signal: stop.signal,
  })
  queue.add('a')
  queue.add('b')
  queue.addAfter('c', 100)
  stop.abort()
  assert.equal(queue.add('d'), false)
  let isDone = false
  void queue.done.then(() => {
    isDone = true
  })
  await turn()
  assert.deepEqual([isDone, seen[0]?.aborted, [...held.keys()]], [false, true, ['a']])
  held.get('a')?.reject(new Error('ended'))
  await queue.done
  assert.deepEqual([queue.size(), clock.pendingTimers()], [0, 0])
})

test('whatever is added, removed and fails, the last addition of every key is worked on', async () => {
  const step = fc.record({
    what: fc.constantFrom('add', 'addAfter', 'remove', 'advance'),
    key: fc.constantFrom('a', 'b', 'c'),
    ms: fc.integer({ min: 0, max: 500 }),
    fails: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const stop = new AbortController()
      const clock = createManualClock()
      const wanted = new Map<string, number>()
      const done = new Map<string, number>()
      const running = new Set<string>()
      let fails = false
      let count = 0
      const queue = createWorkQueue({
        async work(key) {
          assert.ok(!running.has(key))
          running.add(key)
          const seen = wanted.get(key) ?? 0
          await turn()
          running.delete(key)
          if (fails) throw new Error('no')
          done.set(key, seen)
        },
        concurrency: 2,
        clock,
        random: () => 0.5,
        baseMs: 50,
        maxMs: 400,
        rate: { perSecond: 20, burst: 2 },
        signal: stop.signal,
      })
      for (const { what, key, ms, fails: next } of steps) {
        fails = next
        if (what === 'advance') await clock.advance(ms)
        else if (what === 'remove') {
          queue.remove(key)
          wanted.delete(key)
        } else {
          count += 1
          wanted.set(key, count)
          if (what === 'add') queue.add(key)
          else queue.addAfter(key, ms)
        }
      }
      fails = false
      for (let i = 0; i < 20; i++) await clock.advance(200)
      await queue.idle()
      for (const [key, value] of wanted) assert.equal(done.get(key), value, key)
      assert.deepEqual([queue.size(), clock.pendingTimers()], [0, 0])
      stop.abort()
      await queue.done
    }),
    { numRuns: 60 },
  )
})
