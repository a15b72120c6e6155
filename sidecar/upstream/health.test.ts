import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { DEFAULT_EJECTION, type EjectionSettings, mayEjectOneMore, PassiveHealth } from './health.ts'

const SETTINGS: EjectionSettings = { failures: 2, serverErrors: 3, ejectionMs: 1_000, maxEjectionMs: 4_000 }

test('an endpoint that failed three times in a row is put aside for a while', () => {
  const health = new PassiveHealth()
  health.fail(0)
  health.fail(10)
  assert.equal(health.isAvailable(10), true)
  health.fail(20)
  assert.equal(health.isAvailable(20), false)
  assert.equal(health.isAvailable(2_019), false)
  assert.equal(health.isAvailable(2_020), true)
})

test('an answer in between forgets the failures before it', () => {
  const health = new PassiveHealth()
  for (let i = 0; i < 10; i++) {
    health.fail(i)
    health.fail(i)
    health.succeed(i)
  }
  assert.equal(health.isAvailable(10), true)
})

test('an endpoint that comes back and fails again is put aside for twice as long, up to a limit', () => {
  const health = new PassiveHealth(SETTINGS)
  let nowMs = 0
  health.fail(nowMs)
  for (const expectedMs of [1_000, 2_000, 4_000, 4_000]) {
    health.fail(nowMs)
    assert.equal(health.isAvailable(nowMs + expectedMs - 1), false)
    assert.equal(health.isAvailable(nowMs + expectedMs), true)
    nowMs += expectedMs
  }
})

test('F15: one request finds out whether an endpoint is back, and the others go elsewhere until it has', () => {
  const health = new PassiveHealth(SETTINGS)
  for (let i = 0; i < 2; i++) {
    health.ask(0)
    health.fail(0)
  }
  assert.equal(health.isAvailable(1_000), true)
  health.ask(1_000)
  assert.equal(health.isAvailable(1_500), false, 'one is there already')
  health.succeed(1_600)
  assert.equal(health.isAvailable(1_600), true)
  health.ask(1_700)
  assert.equal(health.isAvailable(1_700), true, 'it is back for all')
  for (let i = 0; i < 2; i++) health.fail(2_000)
  assert.equal(health.isAvailable(4_000), true)
  health.ask(4_000)
  assert.equal(health.isAvailable(6_999), false)
  assert.equal(health.isAvailable(7_000), true, 'whoever asked has gone without a word')
  health.ask(7_000)
  health.fail(7_500)
  assert.equal(health.isAvailable(11_499), false, 'for four times as long')
})

test('an endpoint that comes back with 5xx is there, where those do not count', () => {
  const health = new PassiveHealth({ ...SETTINGS, serverErrors: 0 })
  for (let i = 0; i < 2; i++) health.fail(0)
  health.ask(1_000)
  health.failToServe(1_100)
  health.ask(1_200)
  assert.equal(health.isAvailable(1_200), true)
})

test('one good answer ends the trial, and being well for as long as it was away is forgiven', () => {
  const health = new PassiveHealth(SETTINGS)
  for (const nowMs of [0, 0, 1_000]) health.fail(nowMs)
  assert.equal(health.isAvailable(2_999), false)
  health.succeed(3_000)
  health.fail(3_001)
  assert.equal(health.isAvailable(3_001), true, 'one failure is none any more')
  health.fail(3_002)
  assert.equal(health.isAvailable(7_001), false, 'but the time still grows')
  health.succeed(7_002)
  health.succeed(11_002)
  for (const nowMs of [11_003, 11_003]) health.fail(nowMs)
  assert.equal(health.isAvailable(12_003), true)
})

test('responses 5xx in a row put an endpoint aside only where they count', () => {
  const counting = new PassiveHealth(SETTINGS)
  for (let i = 0; i < 2; i++) counting.failToServe(0)
  assert.equal(counting.isAvailable(0), true)
  counting.failToServe(0)
  assert.equal(counting.isAvailable(0), false)
  const plain = new PassiveHealth(DEFAULT_EJECTION)
  for (let i = 0; i < 100; i++) plain.failToServe(0)
  assert.equal(plain.isAvailable(0), true)
})

test('a response of whatever kind shows that the endpoint can be reached', () => {
  const health = new PassiveHealth({ ...SETTINGS, serverErrors: 0 })
  for (let i = 0; i < 10; i++) {
    health.fail(0)
    health.failToServe(0)
  }
  assert.equal(health.isAvailable(0), true)
})

test('what was under way when it was put aside does not put it aside for longer', () => {
  const health = new PassiveHealth(SETTINGS)
  for (let i = 0; i < 20; i++) health.fail(0)
  assert.equal(health.isAvailable(1_000), true)
})

test('of several endpoints only a share is put aside, and never the last one', () => {
  const asideOf = (total: number, maxPercent: number) => {
    const members: PassiveHealth[] = []
    const mayEject = (nowMs: number) => mayEjectOneMore(members, maxPercent, nowMs)
    for (let i = 0; i < total; i++) members.push(new PassiveHealth(SETTINGS, mayEject))
    for (const member of members) for (let i = 0; i < 3; i++) member.fail(0)
    return members.filter((member) => !member.isAvailable(0)).length
  }
  assert.equal(asideOf(10, 50), 5)
  assert.equal(asideOf(10, 100), 9)
  assert.equal(asideOf(3, 10), 1)
  assert.equal(asideOf(2, 10), 1)
  assert.equal(asideOf(1, 100), 0)
})

test('whatever happens to endpoints, one of them is up and no more are put aside than may be', () => {
  const event = fc.record({
    who: fc.nat(5),
    what: fc.constantFrom('fail', 'failToServe', 'succeed'),
    afterMs: fc.nat(800),
  } as const)
  fc.assert(
    fc.property(
      fc.array(event, { maxLength: 120 }),
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 100 }),
      (events, total, maxPercent) => {
        const members: PassiveHealth[] = []
        const mayEject = (nowMs: number) => mayEjectOneMore(members, maxPercent, nowMs)
        for (let i = 0; i < total; i++) members.push(new PassiveHealth(SETTINGS, mayEject))
        let nowMs = 0
        for (const { who, what, afterMs } of events) {
          nowMs += afterMs
          members[who % total]![what](nowMs)
          const aside = members.filter((member) => !member.isAvailable(nowMs)).length
          assert.ok(aside < total && aside <= Math.max(1, Math.floor((total * maxPercent) / 100)))
        }
      },
    ),
  )
})
