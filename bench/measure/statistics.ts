/** The middle of some values, and how far they went. */
export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** Of an even number of values the median is the mean of the two in the middle. */
export function summarise(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b)
  const [min] = sorted
  const max = sorted.at(-1)
  if (min === undefined || max === undefined) throw new RangeError('there is nothing to summarise')
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, min, max }
}

/** The ratio of two series round by round. Both are of the same rounds, in the same order. */
export function ratios(values: readonly number[], references: readonly number[]): readonly number[] {
  if (values.length !== references.length) throw new RangeError('a ratio needs the same rounds on both sides')
  return values.map((value, round) => value / references[round]!)
}

/** The contestants of round `round`: each starts in turn, so that none always follows the same one. */
export function orderOf<T>(contestants: readonly T[], round: number): readonly T[] {
  const first = contestants.length === 0 ? 0 : round % contestants.length
  return [...contestants.slice(first), ...contestants.slice(0, first)]
}
