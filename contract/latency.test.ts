import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { addLatencies, LATENCY_BUCKETS, type Latencies, latencyBucket, latencyQuantile } from './latency.ts'

function of(...durations: readonly number[]): Latencies {
  return durations.reduce<Latencies>((all, ms) => addLatencies(all, [[latencyBucket(ms), 1]]), [])
}

test('a quantile is at most 19 % above the duration that it stands for, and never below it', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.1, max: 50_000, noNaN: true }), (ms) => {
      const told = latencyQuantile(of(ms), 0.5) ?? 0
      assert.ok(told >= ms * 0.999_999 && told <= ms * 1.19, `${ms} became ${told}`)
    }),
  )
})

test('half of the requests and the slowest of a hundred are told apart', () => {
  const durations = Array.from({ length: 100 }, (_, i) => (i < 98 ? 2 : 400))
  assert.ok(Math.abs((latencyQuantile(of(...durations), 0.5) ?? 0) - 2) < 0.4)
  assert.ok((latencyQuantile(of(...durations), 0.99) ?? 0) >= 400)
  assert.equal(latencyQuantile([], 0.5), undefined)
})

test('whatever a duration is, it is counted in a bucket that there is', () => {
  for (const ms of [-1, 0, Number.NaN, Number.MIN_VALUE, 1e12, Number.POSITIVE_INFINITY]) {
    const bucket = latencyBucket(ms)
    assert.ok(Number.isInteger(bucket) && bucket >= 0 && bucket < LATENCY_BUCKETS, `${ms} is in ${bucket}`)
  }
})

test('what was counted before is taken away, and never leaves less than nothing', () => {
  assert.deepEqual(
    addLatencies(
      [
        [1, 5],
        [7, 2],
      ],
      [
        [1, 3],
        [9, 4],
      ],
      -1,
    ),
    [
      [1, 2],
      [7, 2],
    ],
  )
  assert.deepEqual(addLatencies([[7, 2]], [[1, 3]]), [
    [1, 3],
    [7, 2],
  ])
})
