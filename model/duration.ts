import { fail, issue, ok, type Result } from './result.ts'

/** What a policy may write as a duration: Gateway API's subset of Go's (GEP-2257), such as `30s`, `1m30s`, `500ms`. */
export const DURATION_PATTERN = '^([0-9]{1,5}(h|m|s|ms)){1,4}$'

const SHAPE = new RegExp(DURATION_PATTERN)
const PART = /([0-9]+)(ms|h|m|s)/g
const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 }

/** Milliseconds. Parts add up, in any order. */
export function parseDuration(text: string): Result<number> {
  if (!SHAPE.test(text))
    return fail(issue('malformed-duration', '', 'is not a duration', 'write one such as 30s or 1m'))
  let totalMs = 0
  for (const [, amount, unit] of text.matchAll(PART)) totalMs += Number(amount) * (UNIT_MS[unit as string] as number)
  return ok(totalMs)
}
