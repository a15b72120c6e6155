import assert from 'node:assert/strict'
import { test } from 'node:test'
import { requestOf } from '../testing/request.ts'
import { BAD_TOKEN_BURST, BAD_TOKENS_PER_SECOND, BadTokenBudget, MAX_SOURCES, sourceOf } from './bad-token-budget.ts'

function spend(budget: BadTokenBudget, source: string, nowMs: number): number {
  let spent = 0
  for (; budget.hasLeft(source, nowMs); spent++) budget.charge(source, nowMs)
  return spent
}

test('T25: a source has a burst of bad tokens, and then so many a second', () => {
  const budget = new BadTokenBudget()
  assert.equal(spend(budget, 'a', 0), BAD_TOKEN_BURST)
  assert.equal(spend(budget, 'a', 1_000), BAD_TOKENS_PER_SECOND)
  assert.equal(spend(budget, 'a', 3_600_000), BAD_TOKEN_BURST)
  assert.equal(spend(budget, 'b', 3_600_000), BAD_TOKEN_BURST)
})

test('T25: a flood of sources is forgotten, not kept', () => {
  const budget = new BadTokenBudget()
  for (let i = 0; i < MAX_SOURCES * 2; i++) budget.charge(`source ${i}`, i)
  assert.ok(budget.sources <= MAX_SOURCES)
})

test('a source is a workload and an address, and of IPv6 its /64', () => {
  const source = (clientIp: string, from?: string) =>
    sourceOf(requestOf(from === undefined ? { clientIp } : { clientIp, from }))
  assert.equal(source('2001:db8:1:2::1'), source('2001:db8:1:2:ffff:ffff:ffff:ffff'))
  assert.notEqual(source('2001:db8:1:2::1'), source('2001:db8:1:3::1'))
  assert.notEqual(source('192.0.2.1'), source('192.0.2.2'))
  assert.notEqual(source('192.0.2.1', 'shop/a'), source('192.0.2.1', 'shop/b'))
})
