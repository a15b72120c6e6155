/** How long something took for each of many, in milliseconds. */
export interface Percentiles {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** By nearest rank. Throws when there is nothing. */
export function percentilesOf(values: readonly number[]): Percentiles {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
  const [p50, p99, max] = [at(0.5), at(0.99), sorted.at(-1)]
  if (p50 === undefined || p99 === undefined || max === undefined) throw new RangeError('there is nothing to rank')
  return { p50, p99, max }
}
