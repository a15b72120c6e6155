import type { Origin } from '../../model/origin.ts'
import { type Attached, type Combined, compareAttached, type Levels } from '../../model/section.ts'
import { chooseOne } from '../single-valued.ts'
import { combineExemptions, type ExemptingSpec } from './combine.ts'
import { compileExemptions } from './compile.ts'
import type { ExemptEntry } from './config.ts'

/** The one policy that counts, with the exemptions of all. */
export interface ChosenWithExemptions<Spec> extends Omit<Combined<unknown>, 'value'> {
  readonly winner: Attached<Spec>
  readonly exemptions: { readonly exempt: ExemptEntry[]; readonly exemptWithin: ExemptEntry[][] }
}

/**
 * Single-valued, for a section of `authentication`: floor, then the most specific policy that `asks`, then defaults. `exempt` is
 * the one of all of `authentication`, and adds up. Undefined: nobody asks.
 */
export function chooseWithExemptions<Spec extends ExemptingSpec>(
  levels: Levels<Spec>,
  asks: (spec: Spec) => boolean,
): ChosenWithExemptions<Spec> | undefined {
  const [floor = [], policies = [], defaults = []] = [levels.floor, levels.policies, levels.defaults].map((level) =>
    level.toSorted(compareAttached),
  )
  const asking = (level: readonly Attached<Spec>[]) => level.filter(({ spec }) => asks(spec))
  const chosen = chooseOne({ floor: asking(floor), policies: asking(policies), defaults: asking(defaults) })
  if (chosen === undefined) return undefined
  const { winner, overridden } = chosen
  const notApplied: NonNullable<Combined<unknown>['notApplied']>[number][] = []
  const exempting = policies.some(({ spec }) => spec.exempt !== undefined) ? policies : defaults
  const exempt = [...floor, ...exempting].flatMap(({ spec, origin }) => {
    // One that does not parse exempts nothing here; the review of the policy tells of it.
    const value = (spec.exempt ?? []).filter(
      ({ methods = [], paths }) => compileExemptions([{ methods: [...methods], paths: [...paths] }], []).ok,
    )
    return value.length === 0 ? [] : [{ value, origin }]
  })
  const exemptions = combineExemptions(exempt, floor, notApplied)
  const everyone: readonly Origin[] = [winner, ...floor, ...exempt].map(({ origin }) => origin)
  return {
    winner,
    exemptions,
    origins: [...new Map(everyone.map((each) => [JSON.stringify(each), each])).values()],
    ...(overridden !== undefined && { overridden }),
    ...(notApplied.length > 0 && { notApplied }),
  }
}
