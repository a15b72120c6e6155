import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseHostPattern } from './host.ts'

describe('a host pattern', () => {
  const cases: readonly [pattern: string, host: string, matches: boolean][] = [
    ['shop.example', 'shop.example', true],
    ['Shop.Example', 'shop.example', true],
    ['shop.example', 'a.shop.example', false],
    ['*.shop.example', 'a.shop.example', true],
    ['*.shop.example', 'a.b.shop.example', true],
    ['*.shop.example', 'shop.example', false],
    ['*.shop.example', '.shop.example', false],
    ['*.shop.example', 'ashop.example', false],
  ]
  for (const [text, host, matches] of cases) {
    it(`${text} ${matches ? 'matches' : 'does not match'} ${host}`, () => {
      const parsed = parseHostPattern(text)
      assert.ok(parsed.ok)
      assert.equal(parsed.value.matches(host), matches)
    })
  }

  it('has its wildcard as the whole first label', () => {
    for (const text of ['*', 'a.*.example', '*a.example', '**.example', '']) assert.ok(!parseHostPattern(text).ok, text)
  })
})
