import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Candidate, pick } from './balance.ts'

interface Endpoint extends Candidate {
  readonly name: number
}

function endpoint(name: number, outstanding = 0, isUp = true): Endpoint {
  return { name, outstanding, isAvailable: () => isUp }
}

test('of two endpoints the one with fewer requests is chosen', () => {
  const [idle, busy] = [endpoint(0, 1), endpoint(1, 9)]
  for (const random of [0, 0.49, 0.5, 0.99]) {
    assert.equal(
      pick([idle, busy], () => random, 0),
      idle,
    )
  }
})

test('an endpoint that is put aside is chosen only if all are', () => {
  const [up, down] = [endpoint(0, 50), endpoint(1, 0, false)]
  assert.equal(pick([up, down], Math.random, 0), up)
  assert.equal(pick([down], Math.random, 0), down)
  assert.ok(pick([down, endpoint(2, 0, false)], Math.random, 0) !== undefined)
})

test('the one that has just failed is not chosen again, even if it is the only one', () => {
  const [failed, other] = [endpoint(0), endpoint(1, 99)]
  assert.equal(pick([failed, other], Math.random, 0, failed), other)
  assert.equal(pick([failed], Math.random, 0, failed), undefined)
  assert.equal(pick([], Math.random, 0), undefined)
})

test('every choice is a candidate, never the excepted one, never one put aside beside one that is not, never the busiest of two', () => {
  const candidates = fc.array(fc.record({ outstanding: fc.nat(10), isUp: fc.boolean() }), { maxLength: 8 })
  const draws = fc.array(fc.double({ min: 0, max: 0.999_999, noNaN: true }), { minLength: 2, maxLength: 2 })
  fc.assert(
    fc.property(candidates, draws, fc.option(fc.nat(7)), (given, drawn, exceptAt) => {
      const all = given.map(({ outstanding, isUp }, i) => endpoint(i, outstanding, isUp))
      const except = exceptAt === null ? undefined : all[exceptAt]
      let at = 0
      const chosen = pick(all, () => drawn[at++ % 2]!, 0, except)
      const others = all.filter((one) => one !== except)
      if (others.length === 0) return chosen === undefined
      if (chosen === undefined || !others.includes(chosen)) return false
      const up = others.filter((one) => one.isAvailable(0))
      if (up.length > 0 && !chosen.isAvailable(0)) return false
      const usable = up.length > 0 ? up : others
      return usable.length < 2 || chosen.outstanding < Math.max(...usable.map((one) => one.outstanding)) + 1
    }),
  )
})

test('load is spread: of many requests to many endpoints none gets far more than its share', () => {
  let state = 1
  const random = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return state / 0x80000000
  }
  const counts = new Array(10).fill(0)
  const all = counts.map((_, i) => ({
    name: i,
    get outstanding() {
      return counts[i]
    },
    isAvailable: () => true,
  }))
  for (let i = 0; i < 10_000; i++) counts[pick(all, random, 0)!.name] += 1
  assert.ok(Math.max(...counts) - Math.min(...counts) < 20, String(counts))
})
