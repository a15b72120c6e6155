import type { Attached, Combined, Levels } from '../model/section.ts'

/** The one policy that counts for a single-valued section, and the policies that therefore do not (POLICY-API rule 6). */
export interface Chosen<Spec> extends Pick<Combined<Spec>, 'overridden'> {
  readonly winner: Attached<Spec>
}

/**
 * A floor before policies before defaults, and at one level the first: levels come with the most specific first, then the
 * oldest, then by name. Policies that lose are told; defaults are there to be replaced.
 */
export function chooseOne<Spec>({ floor, policies, defaults }: Levels<Spec>): Chosen<Spec> | undefined {
  const winner = floor[0] ?? policies[0] ?? defaults[0]
  if (winner === undefined) return undefined
  const losers = [...floor, ...policies].filter((policy) => policy !== winner)
  if (losers.length === 0) return { winner }
  return { winner, overridden: losers.map(({ origin }) => ({ loser: origin, winner: winner.origin })) }
}
