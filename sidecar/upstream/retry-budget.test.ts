import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { RetryBudget } from './retry-budget.ts'

test('a fifth of the requests may be tried again, and a few whatever there are', () => {
  const budget = new RetryBudget({ percent: 20, minPerSecond: 0 })
  for (let i = 0; i < 100; i++) budget.request(0)
  assert.equal(Array.from({ length: 100 }, () => budget.take(1)).filter(Boolean).length, 20)

  const floor = new RetryBudget({ percent: 0, minPerSecond: 3 })
  assert.equal(Array.from({ length: 100 }, () => floor.take(1)).filter(Boolean).length, 30)
  assert.equal(Array.from({ length: 100 }, () => floor.take(40_000)).filter(Boolean).length, 30)
})

test('what was long ago counts neither way', () => {
  const budget = new RetryBudget({ percent: 20, minPerSecond: 0 })
  for (let i = 0; i < 1_000; i++) budget.request(0)
  assert.equal(budget.take(25_000), false)
})

test('nothing is tried again where nothing may be', () => {
  const budget = new RetryBudget({ percent: 0, minPerSecond: 0 })
  budget.request(0)
  assert.equal(budget.take(0), false)
})

test('however requests and failures come, retries stay within the share and the floor', () => {
  const event = fc.record({ afterMs: fc.nat(3_000), requests: fc.nat(50), failures: fc.nat(60) })
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), fc.nat(100), fc.nat(20), (events, percent, minPerSecond) => {
      const budget = new RetryBudget({ percent, minPerSecond })
      let nowMs = 0
      let requests = 0
      let retries = 0
      for (const { afterMs, requests: more, failures } of events) {
        nowMs += afterMs
        for (let i = 0; i < more; i++) budget.request(nowMs)
        requests += more
        for (let i = 0; i < failures; i++) if (budget.take(nowMs)) retries += 1
      }
      // A window and what is left of the one before: requests may count in two, and the floor in one more than has passed.
      const most = (2 * requests * percent) / 100 + minPerSecond * (nowMs / 1_000 + 20)
      return retries <= most
    }),
  )
})
