import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDuration } from './duration.ts'

test('a duration is the sum of its parts in milliseconds', () => {
  for (const [text, ms] of [
    ['0s', 0],
    ['500ms', 500],
    ['30s', 30_000],
    ['1m30s', 90_000],
    ['1h', 3_600_000],
    ['1s1m', 61_000],
    ['1m5ms', 60_005],
  ] as const) {
    assert.deepEqual(parseDuration(text), { ok: true, value: ms }, text)
  }
})

test('what Gateway API does not take as a duration is refused with an example', () => {
  for (const text of ['', '5', 's', '1.5s', '-1s', '1s ', '1d', '100000s', '1h1m1s1ms1h', '1µs', '1S']) {
    const parsed = parseDuration(text)
    assert.equal(parsed.ok, false, text)
  }
})
