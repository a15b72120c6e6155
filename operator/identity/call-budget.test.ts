import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createCallBudget } from './call-budget.ts'

/** `calls` at once; when each had its turn, in milliseconds, and how long the others were sent away for. */
async function ask(calls: number, random = 0.5) {
  const clock = createManualClock()
  const budget = createCallBudget({ clock, random: () => random, perSecond: () => 50, burst: 10, maxWaitMs: 2_000 })
  const turns: number[] = []
  const away: number[] = []
  for (let i = 0; i < calls; i += 1) {
    void budget.take().then((awayMs) => {
      if (awayMs === undefined) turns.push(Math.round(clock.monotonic()))
      else away.push(awayMs)
    })
  }
  await clock.advance(60_000)
  assert.equal(clock.pendingTimers(), 0)
  return { turns, away }
}

describe('a budget of calls', () => {
  it('T04: lets a burst through, then so many a second and no more, in any second', async () => {
    const { turns, away } = await ask(1_000)
    assert.equal(turns.filter((at) => at === 0).length, 10)
    for (const from of turns) assert.ok(turns.filter((at) => at > from && at <= from + 1_000).length <= 51)
    assert.ok(Math.max(...turns) <= 2_000)
    assert.equal(turns.length + away.length, 1_000)
    assert.ok(turns.length >= 105 && turns.length <= 112, `${turns.length}`)
  })

  it('T04: takes a smaller share as soon as there are more who share', async () => {
    const clock = createManualClock()
    let sharers = 2
    const budget = createCallBudget({
      clock,
      random: () => 0,
      perSecond: () => 50 / sharers,
      burst: 1,
      maxWaitMs: 60_000,
    })
    const turns: number[] = []
    const ask = (calls: number) => {
      for (let i = 0; i < calls; i += 1) void budget.take().then(() => turns.push(clock.monotonic()))
    }
    ask(100)
    await clock.advance(60_000)
    sharers = 5
    const from = clock.monotonic()
    ask(100)
    await clock.advance(60_000)
    assert.deepEqual(
      [turns[99], turns[199]].map((at) => Math.round(at ?? 0)),
      [99 * 40, from + 99 * 100],
    )
  })

  it('F04: sends the others away for as long as all of them take, spread over that', async () => {
    const { away } = await ask(1_000, 0.999)
    assert.ok(Math.min(...away) >= 1_000)
    assert.ok(Math.max(...away) > 15_000 && Math.max(...away) <= 31_000, `${Math.max(...away)}`)
    const soon = await ask(1_000, 0)
    assert.equal(Math.max(...soon.away), 1_000)
  })

  it('F04: has 1,000 who come back as they were told within 60 s', async () => {
    const clock = createManualClock()
    let seed = 1
    const random = () => {
      seed = (seed * 16_807) % 2_147_483_647
      return seed / 2_147_483_647
    }
    const budget = createCallBudget({ clock, random, perSecond: () => 50 })
    let served = 0
    const come = async (): Promise<void> => {
      for (;;) {
        const awayMs = await budget.take()
        if (awayMs === undefined) break
        await new Promise<void>((resolve) => clock.setTimer(Math.ceil(awayMs / 1_000) * 1_000, resolve))
      }
      served += 1
    }
    const all = Array.from({ length: 1_000 }, come)
    await clock.advance(60_000)
    assert.equal(served, 1_000)
    await Promise.all(all)
  })
})
