import { formatOrigin, type Origin } from '../../model/origin.ts'
import type { Attached, Combined } from '../../model/section.ts'
import type { ExemptEntry } from './config.ts'

/** One kind of request that needs no user authentication, as a policy writes it. */
export interface ExemptSpec {
  readonly methods?: readonly string[]
  readonly paths: readonly string[]
}

/** What a level says of exemptions. */
export interface ExemptingSpec {
  readonly exempt?: readonly ExemptSpec[]
  /** In a floor only. */
  readonly allowExempt?: readonly ExemptSpec[]
}

/** Whose exemption it is. */
export interface SaidExempt {
  readonly value: readonly ExemptSpec[]
  readonly origin: Origin
}

/**
 * Exemptions add up, and count where each floor of `within`, which are those that speak of authentication, permits them. A
 * floor's own are permitted by it; one that permits none leaves none.
 */
export function combineExemptions(
  said: readonly SaidExempt[],
  within: readonly Attached<ExemptingSpec>[],
  notApplied: NonNullable<Combined<unknown>['notApplied']>[number][],
): { exempt: ExemptEntry[]; exemptWithin: ExemptEntry[][] } {
  const forbidding = within.find(({ spec }) => permittedBy(spec).length === 0)
  if (forbidding !== undefined) {
    for (const { value, origin } of said) {
      if (value.length === 0) continue
      const reason = `the floor ${formatOrigin(forbidding.origin)} permits no exemption`
      notApplied.push({ origin, path: 'authentication.exempt', reason, weakensFloor: true })
    }
    return { exempt: [], exemptWithin: [] }
  }
  const exempt = said.flatMap(({ value }) => value.map(entryOf))
  return { exempt, exemptWithin: exempt.length === 0 ? [] : within.map(({ spec }) => permittedBy(spec).map(entryOf)) }
}

function permittedBy({ exempt = [], allowExempt = [] }: ExemptingSpec): readonly ExemptSpec[] {
  return [...exempt, ...allowExempt]
}

function entryOf({ methods = [], paths }: ExemptSpec): ExemptEntry {
  return { methods: [...methods], paths: [...paths] }
}
