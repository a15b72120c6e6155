import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import fc from '#fast-check'
import { systemClock } from '../../runtime/clock.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { type Deadline, Deadlines, TICK_MS } from './deadlines.ts'

test('a deadline passes once, never early and at most a tick late', async () => {
  const clock = createManualClock()
  const deadlines = new Deadlines(clock)
  const passed: number[] = []
  deadlines.set(
    deadlines.create(() => passed.push(clock.monotonic())),
    1_234,
  )
  await clock.advance(1_233)
  assert.deepEqual(passed, [])
  await clock.advance(TICK_MS)
  assert.equal(passed.length, 1)
  await clock.advance(1_000_000)
  assert.equal(passed.length, 1)
})

test('moving a deadline later sets no timer, and nothing to wait for means no timer', async () => {
  const clock = createManualClock()
  let timers = 0
  const deadlines = new Deadlines({
    ...clock,
    setTimer(...args) {
      timers += 1
      return clock.setTimer(...args)
    },
  })
  const deadline = deadlines.create(() => {})
  for (let i = 0; i < 1_000; i++) deadlines.set(deadline, 60_000 + i)
  assert.equal(timers, 1)
  deadlines.remove(deadline)
  assert.equal(clock.pendingTimers(), 0)
})

test('F13: a deadline that passed while this process was held up does not go before what came meanwhile', async (t) => {
  const deadlines = new Deadlines(systemClock)
  const server = createServer()
  t.after(() => server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  t.after(() => client.destroy())
  const [socket] = (await once(server, 'connection')) as [Socket]
  const log: string[] = []
  client.on('data', (chunk) => log.push(chunk.toString()))
  await new Promise<void>((resolve) => {
    const deadline = deadlines.create(() => {
      log.push('too late')
      resolve()
    })
    deadlines.set(deadline, 200)
    // It is there at once, and nobody here looks at it for a second.
    socket.end('in time')
    const until = performance.now() + 1_000
    while (performance.now() < until);
  })
  assert.deepEqual(log, ['in time', 'too late'])
})

test('one that passes may set, clear and remove the others', async () => {
  const clock = createManualClock()
  const deadlines = new Deadlines(clock)
  const passed: string[] = []
  const cleared = deadlines.create(() => passed.push('cleared'))
  const removed = deadlines.create(() => passed.push('removed'))
  const moved = deadlines.create(() => passed.push('moved'))
  const first = deadlines.create(() => {
    passed.push('first')
    deadlines.clear(cleared)
    deadlines.remove(removed)
    deadlines.set(moved, 500)
  })
  // What was linked last is looked at first.
  for (const deadline of [cleared, removed, moved, first]) deadlines.set(deadline, 200)
  await clock.advance(300)
  assert.deepEqual(passed, ['first'])
  await clock.advance(500)
  assert.deepEqual(passed, ['first', 'moved'])
})

type Step =
  | { readonly kind: 'set'; readonly index: number; readonly delayMs: number }
  | { readonly kind: 'clear' | 'remove'; readonly index: number }
  | { readonly kind: 'advance'; readonly ms: number }

const index = fc.nat(4)
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), index, delayMs: fc.oneof(fc.nat(500), fc.nat(300_000)) }),
  fc.record({ kind: fc.constantFrom('clear' as const, 'remove' as const), index }),
  fc.record({ kind: fc.constant('advance' as const), ms: fc.oneof(fc.nat(300), fc.nat(150_000)) }),
)

test('whatever is set, cleared and removed in whatever order, each passes when a plain list says so', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const clock = createManualClock()
      const deadlines = new Deadlines(clock)
      const dueMs = new Map<number, number>()
      const wrong: string[] = []
      const all: Deadline[] = Array.from({ length: 5 }, (_, i) =>
        deadlines.create(() => {
          const due = dueMs.get(i)
          if (due === undefined) wrong.push(`${i} passed and was not set`)
          else if (clock.monotonic() < due) wrong.push(`${i} passed early`)
          dueMs.delete(i)
        }),
      )
      for (const one of steps) {
        switch (one.kind) {
          case 'set':
            deadlines.set(all[one.index]!, one.delayMs)
            dueMs.set(one.index, clock.monotonic() + one.delayMs)
            break
          case 'clear':
            deadlines.clear(all[one.index]!)
            dueMs.delete(one.index)
            break
          case 'remove':
            deadlines.remove(all[one.index]!)
            dueMs.delete(one.index)
            break
          case 'advance':
            await clock.advance(one.ms)
            for (const [i, due] of dueMs) {
              if (due + TICK_MS <= clock.monotonic()) wrong.push(`${i} is late`)
            }
        }
      }
      assert.deepEqual(wrong, [])
      for (const deadline of all) deadlines.remove(deadline)
      assert.equal(clock.pendingTimers(), 0)
    }),
    { numRuns: 300 },
  )
})
