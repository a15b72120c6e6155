import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { Gate, type GateWaiter } from './gate.ts'

function waiter(log: string[], name: string): GateWaiter {
  return { onAdmitted: () => log.push(name) }
}

test('F13: so many are in, so many wait in their order, and the next is refused', () => {
  const gate = new Gate({ maxInFlight: 2, maxPending: 2 })
  const log: string[] = []
  const said = ['a', 'b', 'c', 'd', 'e'].map((name) => gate.enter(waiter(log, name)))
  assert.deepEqual(said, ['in', 'in', 'waiting', 'waiting', 'full'])
  gate.leave()
  gate.leave()
  assert.deepEqual(log, ['c', 'd'])
  assert.deepEqual([gate.inFlight, gate.waiting], [2, 0])
  gate.leave()
  gate.leave()
  assert.equal(gate.inFlight, 0)
})

test('whoever does not want to wait any more makes room', () => {
  const gate = new Gate({ maxInFlight: 1, maxPending: 1 })
  const log: string[] = []
  const [first, second, third] = [waiter(log, 'a'), waiter(log, 'b'), waiter(log, 'c')]
  gate.enter(first)
  gate.enter(second)
  gate.cancel(second)
  assert.equal(gate.enter(third), 'waiting')
  gate.leave()
  assert.deepEqual(log, ['c'])
})

test('those who wait go on when more may be in, and none is sent out when fewer may', () => {
  const gate = new Gate({ maxInFlight: 1, maxPending: 9 })
  const log: string[] = []
  for (const name of ['a', 'b', 'c']) gate.enter(waiter(log, name))
  gate.configure({ maxInFlight: 3, maxPending: 9 })
  assert.deepEqual(log, ['b', 'c'])
  gate.configure({ maxInFlight: 1, maxPending: 9 })
  assert.equal(gate.enter(waiter(log, 'd')), 'waiting')
  gate.leave()
  assert.deepEqual([log, gate.inFlight], [['b', 'c'], 2])
  gate.leave()
  assert.deepEqual([log, gate.inFlight], [['b', 'c'], 1])
  gate.leave()
  assert.deepEqual([log, gate.inFlight], [['b', 'c', 'd'], 1])
})

test('in whatever order they come, go and give up, no more are in or wait than may, and nobody waits beside an empty place', () => {
  const step = fc.constantFrom('enter', 'leave', 'cancel')
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 200 }),
      fc.integer({ min: 1, max: 4 }),
      fc.nat(4),
      (steps, maxInFlight, maxPending) => {
        const gate = new Gate({ maxInFlight, maxPending })
        const inside = new Set<GateWaiter>()
        const outside: GateWaiter[] = []
        for (const each of steps) {
          if (each === 'enter') {
            const one: GateWaiter = {
              onAdmitted() {
                outside.splice(outside.indexOf(one), 1)
                inside.add(one)
              },
            }
            const said = gate.enter(one)
            if (said === 'in') inside.add(one)
            if (said === 'waiting') outside.push(one)
          } else if (each === 'leave' && inside.size > 0) {
            inside.delete([...inside][0]!)
            gate.leave()
          } else if (each === 'cancel' && outside.length > 0) {
            gate.cancel(outside.pop()!)
          }
          assert.deepEqual([gate.inFlight, gate.waiting], [inside.size, outside.length])
          assert.ok(inside.size <= maxInFlight && outside.length <= maxPending)
          assert.ok(outside.length === 0 || inside.size === maxInFlight)
        }
      },
    ),
  )
})
