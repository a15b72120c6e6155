import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import { gcra, type Rate, sharedGcra } from './gcra.ts'

/** Asks for each arrival in turn; true: let through. */
function decide(rate: Rate, arrivals: readonly number[]): boolean[] {
  const { ticksAt, earliness, next } = gcra(rate)
  let tat: number | undefined
  return arrivals.map((ms) => {
    const now = ticksAt(ms)
    if (earliness(tat, now) > 0) return false
    tat = next(tat, now)
    return true
  })
}

/**
 * The definition, read from a list of all that was let through: at no time more than `burst`, plus what the rate has
 * earned since, may have come.
 */
function exact({ requests, perMs, burst }: Rate, arrivals: readonly number[]): boolean[] {
  const passed: number[] = []
  return arrivals.map((ms) => {
    // Multiplied out, so that whole numbers are compared.
    const conforms = passed.every((since, i) => (passed.length - i + 1 - burst) * perMs <= (ms - since) * requests)
    if (conforms) passed.push(ms)
    return conforms
  })
}

/** Rates whose ticks are whole numbers of milliseconds, where the two must agree to the last request. */
const wholeRate = fc.record({
  requests: fc.integer({ min: 1, max: 50 }),
  perMs: fc.integer({ min: 0, max: 12 }).map((power) => 2 ** power),
  burst: fc.integer({ min: 1, max: 20 }),
})
const anyRate = fc.record({
  requests: fc.integer({ min: 1, max: 1_000_000 }),
  perMs: fc.integer({ min: 1, max: 86_400_000 }),
  burst: fc.integer({ min: 1, max: 1_000 }),
})
const HUNDRED_DAYS_MS = 8_640_000_000

function arrivalsWithin(gapMs: number): fc.Arbitrary<number[]> {
  return fc
    .tuple(fc.nat(HUNDRED_DAYS_MS), fc.array(fc.oneof(fc.constant(0), fc.nat(gapMs)), { maxLength: 60 }))
    .map(([start, gaps]) => {
      let ms = start
      return gaps.map((gap) => (ms += gap))
    })
}

describe('the generic cell rate algorithm', () => {
  it('lets a burst through at once, and then the rate', () => {
    const rate = { requests: 2, perMs: 1_000, burst: 3 }
    assert.deepEqual(decide(rate, [0, 0, 0, 0, 499, 500, 500, 1_000]), [
      true,
      true,
      true,
      false,
      false,
      true,
      false,
      true,
    ])
  })

  it('lets exactly the burst through at one instant, at any rate and after any uptime', () => {
    fc.assert(
      fc.property(anyRate, fc.double({ min: 0, max: HUNDRED_DAYS_MS, noNaN: true }), (rate, now) => {
        const decided = decide(rate, Array<number>(rate.burst + 1).fill(now))
        assert.equal(decided.filter(Boolean).length, rate.burst)
        assert.equal(decided.at(-1), false)
      }),
    )
  })

  it('decides as the list of all arrivals does', () => {
    fc.assert(
      fc.property(wholeRate, arrivalsWithin(3_000), (rate, arrivals) => {
        assert.deepEqual(decide(rate, arrivals), exact(rate, arrivals))
      }),
      { numRuns: 2_000 },
    )
  })

  it('never lets more through than burst and rate, however odd the numbers', () => {
    fc.assert(
      fc.property(anyRate, arrivalsWithin(100_000), (rate, arrivals) => {
        const decided = decide(rate, arrivals)
        const passed = arrivals.filter((_, i) => decided[i])
        const perTick = 1 / 4_096
        for (let first = 0; first < passed.length; first++) {
          for (let last = first; last < passed.length; last++) {
            const earned = ((passed[last]! - passed[first]!) * rate.requests) / rate.perMs
            assert.ok(last - first + 1 <= rate.burst + earned + 2 * perTick + earned * 1e-9)
          }
        }
      }),
    )
  })

  it('says how long to wait, and no shorter wait is enough', () => {
    fc.assert(
      fc.property(wholeRate, (rate) => {
        const { ticksAt, earliness, next, duration } = gcra(rate)
        let tat: number | undefined
        for (let i = 0; i < rate.burst; i++) tat = next(tat, ticksAt(1_000))
        const waitMs = duration(earliness(tat, ticksAt(1_000)))
        assert.equal(waitMs, rate.perMs / rate.requests)
        assert.ok(earliness(tat, ticksAt(1_000 + waitMs + 0.001)) <= 0)
        assert.ok(earliness(tat, ticksAt(1_000 + waitMs * 0.99)) > 0)
      }),
    )
  })
})

describe('a share of a rate', () => {
  const { max, floor } = Math
  const rate = { requests: 50, perMs: 1_000, burst: 10 }

  /** How many of `asked` requests at one instant are let through, and the arrival time after them. */
  function take(replicas: number, asked: number, tat: number | undefined, atMs: number, of: Rate = rate) {
    const { ticksAt, earliness, next } = sharedGcra(of, { replicas })
    const now = ticksAt(atMs)
    let passed = 0
    for (let i = 0; i < asked; i++) {
      if (earliness(tat, now) > 0) continue
      tat = next(tat, now)
      passed += 1
    }
    return { passed, tat }
  }

  it('is the whole rate where there is one replica', () => {
    fc.assert(
      fc.property(wholeRate, arrivalsWithin(3_000), (of, arrivals) => {
        const { ticksAt, earliness, next } = sharedGcra(of, { replicas: 1 })
        let tat: number | undefined
        const decided = arrivals.map((ms) => {
          if (earliness(tat, ticksAt(ms)) > 0) return false
          tat = next(tat, ticksAt(ms))
          return true
        })
        assert.deepEqual(decided, decide(of, arrivals))
      }),
    )
  })

  it('is a part of the burst, rounded down and at least one request, and a part of the rate', () => {
    assert.equal(take(3, 20, undefined, 0).passed, 3)
    assert.equal(take(10, 20, undefined, 0).passed, 1)
    assert.equal(take(11, 20, undefined, 0).passed, 1)
    const { tat } = take(3, 20, undefined, 0)
    assert.equal(take(3, 20, tat, 1_000_000).passed, 3)
    // Nine of ten are counted, and three have to fit.
    assert.equal(take(3, 20, tat, 39).passed, 0)
    assert.equal(take(3, 20, tat, 40).passed, 1)
  })

  it('comes to no more than the whole, whatever share of the clients comes to which replica', () => {
    const replicas = fc.integer({ min: 1, max: 12 })
    const arrivals = fc.array(fc.record({ gapMs: fc.nat(40), to: fc.nat() }), { maxLength: 200 })
    fc.assert(
      fc.property(wholeRate, replicas, arrivals, (of, count, asked) => {
        const tats = Array.from({ length: count }, (): number | undefined => undefined)
        let ms = 0
        let passed = 0
        for (const { gapMs, to } of asked) {
          ms += gapMs
          const taken = take(count, 1, tats[to % count], ms, of)
          tats[to % count] = taken.tat
          passed += taken.passed
        }
        const atOnce = max(count, floor(of.burst / count) * count)
        assert.ok(passed <= atOnce + (ms * of.requests) / of.perMs + 1e-6)
      }),
    )
  })

  it('hands out nothing anew as replicas come and go', () => {
    const two = take(2, 20, undefined, 0)
    assert.equal(two.passed, 5)
    // The other one is gone: what both have let through stays counted.
    assert.equal(take(1, 20, two.tat, 0).passed, 0)
    assert.equal(take(1, 20, two.tat, 20).passed, 1)
    const one = take(1, 6, undefined, 0)
    // Four are left, and half of them is for the one that came.
    assert.equal(take(2, 20, one.tat, 0).passed, 2)
  })
})
