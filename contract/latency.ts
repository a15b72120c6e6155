/** Buckets of a {@link Latencies}: the last one holds everything above 52 s. */
export const LATENCY_BUCKETS = 78

/** Milliseconds up to which the first bucket goes. */
const FIRST_MS = 0.1

/** Buckets to a doubling: a quantile is at most 19 % above what it was. */
const PER_DOUBLING = 4

/** How many requests took how long: pairs of a bucket and its count, by bucket, without empty ones. */
export type Latencies = readonly (readonly [bucket: number, count: number])[]

/** The bucket of a duration in milliseconds. */
export function latencyBucket(ms: number): number {
  // Also what is no number, which would else be counted nowhere.
  if (!(ms > FIRST_MS)) return 0
  return Math.min(Math.ceil(Math.log2(ms / FIRST_MS) * PER_DOUBLING), LATENCY_BUCKETS - 1)
}

/** The milliseconds that a share (0.99) of the requests took at most, to within a bucket; undefined where there were none. */
export function latencyQuantile(latencies: Latencies, share: number): number | undefined {
  const total = latencies.reduce((sum, [, count]) => sum + count, 0)
  if (total === 0) return undefined
  let left = Math.ceil(total * share)
  for (const [bucket, count] of latencies) {
    left -= count
    if (left <= 0) return FIRST_MS * 2 ** (bucket / PER_DOUBLING)
  }
  return undefined
}

/** Both together; with `sign` -1 the first without the second, and nothing below 0. */
export function addLatencies(one: Latencies, other: Latencies, sign: 1 | -1 = 1): Latencies {
  const sums = new Map(one)
  for (const [bucket, count] of other) sums.set(bucket, (sums.get(bucket) ?? 0) + sign * count)
  return [...sums].filter(([, count]) => count > 0).sort(([a], [b]) => a - b)
}
