import type { Consideration } from '../../model/filter.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import { POLICY_UNRESOLVED } from './compile.ts'
import type { Chain, Step } from './pipeline.ts'

/** Why a request was, or would be, let through or refused. */
export interface Explanation {
  readonly outcome: 'allowed' | 'denied'
  /** The filter that refused. */
  readonly filter?: string
  /** `namespace/name@generation` of the policies behind that filter. */
  readonly origins?: readonly string[]
  /** Everything that was considered, in order; nothing after the filter that refused. */
  readonly considerations: readonly Consideration[]
  /** What the dry-run policies would say, where there are any. */
  readonly dryRun?: Omit<Explanation, 'dryRun'>
}

/**
 * Every rule considered for a request, by the filters' own account. Pure: nothing is counted and no limit is spent.
 *
 * `facts.token` is what the caller says was verified; a signature is not checked here. Limits that depend on what came
 * before (rate limits) are shown and taken as not reached.
 */
export function explain(chain: Chain, request: RequestView, facts: Facts): Explanation {
  const enforced = walk(chain.enforced, request, { ...facts })
  return chain.shadow === undefined ? enforced : { ...enforced, dryRun: walk(chain.shadow, request, { ...facts }) }
}

function walk(steps: readonly Step[], request: RequestView, facts: Facts): Omit<Explanation, 'dryRun'> {
  const considerations: Consideration[] = []
  for (const step of steps) {
    const own = stepConsiderations(step, request, facts)
    considerations.push(...own)
    if (own.some(({ outcome }) => outcome === 'denied')) {
      return { outcome: 'denied', filter: step.filter.name, origins: step.origins, considerations }
    }
  }
  return { outcome: 'allowed', considerations }
}

function stepConsiderations({ filter, config, unresolved, origins }: Step, request: RequestView, facts: Facts) {
  if (unresolved === undefined) return filter.explain(config, request, facts)
  const origin = origins[0]
  return [
    {
      filter: filter.name,
      outcome: 'denied',
      ...(origin !== undefined && { origin }),
      field: POLICY_UNRESOLVED.name,
      got: unresolved,
      change: 'make the reference resolve, or remove it from the policy',
    } satisfies Consideration,
  ]
}
