import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createRequestLimit, MAX_REMEMBERED_CALLERS } from './request-limit.ts'

describe('the limit of certificate requests', () => {
  it('T04: lets a burst through, then one an interval, and says how long to wait', async () => {
    const clock = createManualClock()
    const limit = createRequestLimit({ clock, burst: 3, intervalMs: 1_000 })
    assert.deepEqual(
      [1, 2, 3].map(() => limit.admit('orders')),
      [0, 0, 0],
    )
    assert.equal(limit.admit('orders'), 1_000)
    await clock.advance(400)
    assert.equal(limit.admit('orders'), 600)
    await clock.advance(600)
    assert.equal(limit.admit('orders'), 0)
    assert.equal(limit.admit('orders'), 1_000)
  })

  it('T04: leaves others alone', () => {
    const limit = createRequestLimit({ clock: createManualClock(), burst: 1 })
    assert.equal(limit.admit('orders'), 0)
    assert.ok(limit.admit('orders') > 0)
    assert.equal(limit.admit('catalog'), 0)
  })

  it('T04: remembers a bounded number of callers and forgets the one that asked longest ago', () => {
    const limit = createRequestLimit({ clock: createManualClock(), burst: 1 })
    limit.admit('first')
    limit.admit('second')
    for (let i = 2; i < MAX_REMEMBERED_CALLERS; i++) limit.admit(`caller ${i}`)
    assert.ok(limit.admit('first') > 0, 'still remembered, and now the newest')
    limit.admit('one more')
    assert.ok(limit.admit('first') > 0)
    assert.equal(limit.admit('second'), 0, 'forgotten')
  })
})
