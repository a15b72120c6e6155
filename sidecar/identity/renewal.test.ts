import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from '#fast-check'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock, type ManualClock } from '../../runtime/manual-clock.ts'
import { CertificateFetchError } from './fetch-certificate.ts'
import { createHurry, REISSUE_WITHIN_MS } from './hurry.ts'
import { keepRenewed, type RenewalOptions } from './renewal.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

interface World {
  readonly clock: ManualClock
  /** Milliseconds from the start, of every attempt. */
  readonly attempts: number[]
  readonly adopted: number[]
  readonly expirations: number[]
  /** What the next attempt comes to: an error to fail with, or undefined. */
  failWith: Error | undefined
  end(): Promise<void>
}

/** A certificate of `lifetimeMs` that came just now, and what keeps it renewed. */
function keep(lifetimeMs: number, random: () => number = () => 0.5, more: Partial<RenewalOptions<never>> = {}): World {
  const clock = createManualClock()
  const startedAtMs = clock.now()
  const controller = new AbortController()
  const elapsed = () => Math.round(clock.monotonic())
  const world: World = {
    clock,
    attempts: [],
    adopted: [],
    expirations: [],
    failWith: undefined,
    async end() {
      controller.abort()
      await done
    },
  }
  const done = keepRenewed({
    first: { receivedAtMs: startedAtMs, notAfterMs: startedAtMs + lifetimeMs },
    async obtain() {
      world.attempts.push(elapsed())
      if (world.failWith !== undefined) throw world.failWith
      return { receivedAtMs: clock.now(), notAfterMs: clock.now() + lifetimeMs }
    },
    adopt() {
      world.adopted.push(elapsed())
    },
    onExpired() {
      world.expirations.push(elapsed())
    },
    ...more,
    clock,
    random,
    log: silentLog,
    signal: controller.signal,
  })
  return world
}

const unreachable = new CertificateFetchError('unreachable', 'the operator was not reached')

describe('renewal', () => {
  it('comes at half of the lifetime, give or take a tenth', async () => {
    await fc.assert(
      fc.asyncProperty(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), async (random) => {
        const world = keep(DAY_MS, () => random)
        await world.clock.advance(0.4 * DAY_MS - 1)
        assert.deepEqual(world.adopted, [])
        await world.clock.advance(0.2 * DAY_MS + 2)
        assert.equal(world.adopted.length, 1)
        await world.end()
      }),
      { numRuns: 10 },
    )
  })

  it('goes on, certificate after certificate', async () => {
    const world = keep(30_000)
    await world.clock.advance(120_000)
    assert.deepEqual(world.adopted, [15_000, 30_000, 45_000, 60_000, 75_000, 90_000, 105_000, 120_000])
    await world.end()
  })

  it('F03: is tried again to the end and beyond, and the end is told once', async () => {
    const world = keep(HOUR_MS)
    world.failWith = unreachable
    await world.clock.advance(2 * HOUR_MS)
    assert.deepEqual(world.adopted, [])
    assert.equal(world.expirations.length, 1)
    assert.ok(world.expirations[0]! >= HOUR_MS && world.expirations[0]! < HOUR_MS + 5_000)
    for (const [i, attempt] of world.attempts.entries()) {
      const next = world.attempts[i + 1] ?? 2 * HOUR_MS
      const longestMs = attempt >= HOUR_MS ? 5_000 : 30_000
      assert.ok(next - attempt <= longestMs, `${next - attempt} ms after ${attempt}`)
    }
    const last = world.attempts.filter((at) => at < HOUR_MS).at(-1)!
    assert.ok(HOUR_MS - last <= 1_000, 'one attempt in the last second')

    world.failWith = undefined
    await world.clock.advance(15_000)
    assert.equal(world.adopted.length, 1, 'within 15 s of the operator’s return')
    await world.end()
  })

  it('F04: obeys Retry-After, but never past the point where others would have to be tried', async () => {
    const world = keep(HOUR_MS)
    world.failWith = new CertificateFetchError('busy', 'come again', { retryAfterMs: 120_000 })
    await world.clock.advance(HOUR_MS / 2 + 1_000)
    assert.equal(world.attempts.length, 1)
    await world.clock.advance(118_000)
    assert.equal(world.attempts.length, 1)
    await world.clock.advance(2_000)
    assert.equal(world.attempts.length, 2)
    await world.clock.advance(HOUR_MS / 2 - 121_000)
    assert.ok(world.attempts.length > 10, 'more often towards the end')
    await world.end()
  })

  it('F10: comes in time whichever way the wall clock is set', async () => {
    const back = keep(DAY_MS)
    await back.clock.advance(HOUR_MS)
    back.clock.jump(-5 * HOUR_MS)
    await back.clock.advance(0.5 * DAY_MS - HOUR_MS)
    assert.equal(back.adopted.length, 1)
    await back.end()

    const forth = keep(DAY_MS)
    await forth.clock.advance(HOUR_MS)
    forth.clock.jump(23 * HOUR_MS)
    await forth.clock.advance(60_000)
    assert.equal(forth.adopted.length, 1)
    await forth.end()
  })

  it('F04, F05: comes sooner when it is wanted sooner, at a moment of its own', async () => {
    for (const random of [0.1, 0.5, 0.999]) {
      const hurry = createHurry()
      const world = keep(DAY_MS, () => random, { hurry })
      await world.clock.advance(HOUR_MS)
      hurry.within(REISSUE_WITHIN_MS)
      await world.clock.advance(random * REISSUE_WITHIN_MS - 10)
      assert.deepEqual(world.adopted, [])
      await world.clock.advance(20)
      assert.equal(world.adopted.length, 1)
      await world.clock.advance(HOUR_MS)
      assert.equal(world.adopted.length, 1, 'once')
      await world.end()
      assert.equal(world.clock.pendingTimers(), 0)
    }
  })

  it('is not hurried beyond a quarter of what is left, so that short lives are not all renewal', async () => {
    const hurry = createHurry()
    const world = keep(30_000, () => 0.999, { hurry })
    hurry.within(REISSUE_WITHIN_MS)
    await world.clock.advance(7_400)
    assert.deepEqual(world.adopted, [])
    await world.clock.advance(200)
    assert.equal(world.adopted.length, 1)
    await world.end()
  })

  it('hears of a hurry that there was while it was busy, unless it has come by then', async () => {
    const hurry = createHurry()
    hurry.within(1_000)
    const heard = keep(DAY_MS, () => 0.5, { hurry })
    await heard.clock.advance(600)
    assert.equal(heard.adopted.length, 1)
    await heard.end()
    hurry.within(1_000)
    hurry.done()
    const past = keep(DAY_MS, () => 0.5, { hurry })
    await past.clock.advance(HOUR_MS)
    assert.equal(past.adopted.length, 0)
    await past.end()
  })

  it('F06: is tried as if the end had come while nobody believes the certificate', async () => {
    const hurry = createHurry()
    const world = keep(DAY_MS, () => 0.5, { hurry, isVoid: () => true })
    world.failWith = new CertificateFetchError('busy', 'come again', { retryAfterMs: 120_000 })
    hurry.within(1_000)
    await world.clock.advance(60_000)
    assert.equal(world.expirations.length, 1)
    assert.ok(world.attempts.length >= 12, `${world.attempts.length} attempts in a minute`)
    await world.end()
  })

  it('leaves no timer behind when it ends, waiting or trying', async () => {
    const waiting = keep(HOUR_MS)
    await waiting.clock.advance(1)
    await waiting.end()
    assert.equal(waiting.clock.pendingTimers(), 0)

    const trying = keep(HOUR_MS)
    trying.failWith = unreachable
    await trying.clock.advance(HOUR_MS / 2 + 1_000)
    await trying.end()
    assert.equal(trying.clock.pendingTimers(), 0)
  })
})
