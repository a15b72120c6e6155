import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSharedCountsMemory, openSharedCounts } from '../workers/shared-counts.ts'
import { ConnectionCount } from './connection-count.ts'

const never = () => false

/** As many counts as there are workers, each of which may use what all of them have. */
function countsOf(workers: number, most: number): ConnectionCount[] {
  const memory = createSharedCountsMemory(64)
  return Array.from({ length: workers }, (_, worker) => {
    const count = new ConnectionCount()
    count.configure(most, openSharedCounts(memory, worker)('orders connections'), workers)
    return count
  })
}

test('as many connections may be opened as an upstream may have, and where one is closed, one more', () => {
  const count = new ConnectionCount()
  count.configure(2, undefined, 1)
  for (let i = 0; i < 2; i++) {
    assert.equal(count.mayOpen(never), true)
    count.opened()
  }
  assert.equal(count.mayOpen(never), false)
  assert.equal(
    count.mayOpen(() => true),
    true,
  )
  count.closed()
  assert.equal(count.mayOpen(never), true)
  count.configure(Number.POSITIVE_INFINITY, undefined, 1)
  assert.equal(count.mayOpen(never) && count.mayKeep(), true)
})

test('workers together have no more than the pod may', () => {
  const [first, second] = countsOf(2, 3) as [ConnectionCount, ConnectionCount]
  for (const one of [first, second, first]) {
    assert.equal(one.mayOpen(never), true)
    one.opened()
  }
  assert.deepEqual([first.mayOpen(never), second.mayOpen(never)], [false, false])
  second.closed()
  assert.equal(first.mayOpen(never), true)
  first.opened()
  assert.equal(second.mayOpen(never), false)
})

test('a worker keeps no more idle connections than its part, so that no other one is shut out', () => {
  const [first, second] = countsOf(2, 4) as [ConnectionCount, ConnectionCount]
  for (let i = 0; i < 4; i++) {
    assert.equal(first.mayOpen(never), true)
    first.opened()
  }
  // They are given back one after the other: those beyond its part are closed.
  while (!first.mayKeep()) first.closed()
  assert.equal(first.open, 2)
  for (let i = 0; i < 2; i++) {
    assert.equal(second.mayOpen(never), true)
    second.opened()
  }
  assert.equal(second.mayKeep(), true)
})

test('where there is no room for a count in common, each worker has its part of the bound', () => {
  const count = new ConnectionCount()
  count.configure(5, undefined, 2)
  for (let i = 0; i < 2; i++) {
    assert.equal(count.mayOpen(never), true)
    count.opened()
  }
  assert.equal(count.mayOpen(never), false)
})
