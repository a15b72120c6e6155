import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { LiveCaller } from '../../model/internal-tokens.ts'
import { createLiveRequests, MAX_LIVE_REQUESTS } from './live-requests.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'

function caller(user: string, words: Partial<LiveCaller> = {}): LiveCaller {
  const subject = { issuer: 'internal', text: `token of ${user}` }
  return { subject, identity: user, scope: ['a', 'b'], expiresAt: 100, ...words }
}

describe('requests in work', () => {
  it('say for whom calls of their trace are made, until they are over', () => {
    const live = createLiveRequests()
    const ann = caller('ann')
    const leave = live.enter(TRACE, ann)
    assert.equal(live.callerOf(TRACE), ann)
    assert.equal(live.callerOf('0'.repeat(31).concat('1')), undefined)
    leave?.()
    leave?.()
    assert.equal(live.callerOf(TRACE), undefined)
    assert.equal(live.size, 0)
  })

  it('T34: of different users with one trace id say nothing, and one of them alone does again', () => {
    const live = createLiveRequests()
    const ann = caller('ann')
    live.enter(TRACE, ann)
    const leave = live.enter(TRACE, caller('bob'))
    assert.equal(live.callerOf(TRACE), 'several')
    leave?.()
    assert.equal(live.callerOf(TRACE), ann)
    live.enter(TRACE, { identity: '', scope: [], expiresAt: 0 })
    assert.equal(live.callerOf(TRACE), 'several')
  })

  it('of one user with one trace id are good for what all of their tokens are good for', () => {
    const live = createLiveRequests()
    live.enter(TRACE, caller('ann'))
    live.enter(TRACE, caller('ann', { scope: ['b', 'c'], expiresAt: 200 }))
    live.enter(TRACE, caller('ann', { scope: ['a', 'b', 'c'], expiresAt: 50 }))
    const found = live.callerOf(TRACE)
    assert.ok(found !== undefined && found !== 'several')
    assert.deepEqual([found.scope, found.expiresAt], [['b'], 200])
  })

  it('are bounded, and one more is not remembered', () => {
    const live = createLiveRequests()
    const ann = caller('ann')
    const leaves = Array.from({ length: MAX_LIVE_REQUESTS }, (_, i) =>
      live.enter(i.toString(16).padStart(32, '0'), ann),
    )
    assert.equal(live.enter(TRACE, ann), undefined)
    assert.equal(live.size, MAX_LIVE_REQUESTS)
    leaves[0]?.()
    assert.ok(live.enter(TRACE, ann) !== undefined)
  })
})
