import type { Consideration } from '../../model/filter.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import { POLICY_UNRESOLVED } from './compile.ts'
import type { Chain, Step } from './pipeline.ts'

/** Why a request was, or would be, let through, refused or answered. */
export interface Explanation {
  /** `answered`: by the mesh itself, which is no refusal (a CORS preflight). */
  readonly outcome: 'allowed' | 'denied' | 'answered'
  /** The filter that refused or answered. */
  readonly filter?: string
  /** The name of the denial, and the status that tells of it. */
  readonly denial?: string
  readonly status?: number
  /** The rule that refused or allowed. */
  readonly rule?: string
  /** `namespace/name@generation` of the policies behind the refusal: the rule's, or else the filter's. */
  readonly origins?: readonly string[]
  /** What would have to be different for this filter not to refuse. */
  readonly change?: string
  /** Everything that was considered, in order; nothing after the filter that refused or answered. */
  readonly considerations: readonly Consideration[]
  /** What the dry-run policies would say, where there are any. */
  readonly dryRun?: Omit<Explanation, 'dryRun'>
}

/**
 * Every rule considered for a request, by the filters' own account. Pure: nothing is counted and no limit is spent.
 *
 * `facts.token` is what the caller says was verified; a signature is not checked here, and where no filter of the chain
 * verifies tokens there is none; so it is with `facts.client` and keys. Limits that depend on what came before (rate limits) are shown and taken as not reached.
 */
export function explain(chain: Chain, request: RequestView, facts: Facts): Explanation {
  const enforced = walk(chain.enforced, request, facts)
  return chain.shadow === undefined ? enforced : { ...enforced, dryRun: walk(chain.shadow, request, facts) }
}

function walk(
  steps: readonly Step[],
  request: RequestView,
  { token, client, externalAnswers }: Facts,
): Omit<Explanation, 'dryRun'> {
  const facts: Facts = {
    ...(token !== undefined && steps.some(({ filter }) => filter.verifiesToken) && { token }),
    ...(externalAnswers !== undefined && steps.some(({ filter }) => filter.asksServices) && { externalAnswers }),
    ...(client !== undefined && steps.some(({ filter }) => filter.knowsClient) && { client }),
  }
  const considerations: Consideration[] = []
  let rule: string | undefined
  for (const step of steps) {
    const own = stepConsiderations(step, request, facts)
    considerations.push(...own)
    const end = own.find(({ outcome }) => outcome === 'denied' || outcome === 'answered')
    if (end !== undefined) return { ...ended(step, end), considerations }
    rule = own.find((each) => each.outcome === 'allowed' && each.rule !== undefined)?.rule ?? rule
  }
  return { outcome: 'allowed', ...(rule !== undefined && { rule }), considerations }
}

function ended({ filter, origins }: Step, end: Consideration): Omit<Explanation, 'considerations'> {
  if (end.outcome === 'answered') return { outcome: 'answered', filter: filter.name, origins }
  const { denial, rule, origin, change } = end
  const status =
    denial === POLICY_UNRESOLVED.name
      ? POLICY_UNRESOLVED.status
      : filter.denials.find(({ name }) => name === denial)?.status
  return {
    outcome: 'denied',
    filter: filter.name,
    ...(denial !== undefined && { denial }),
    ...(status !== undefined && { status }),
    ...(rule !== undefined && { rule }),
    origins: origin === undefined ? origins : [origin],
    ...(change !== undefined && { change }),
  }
}

function stepConsiderations({ filter, config, unresolved, origins }: Step, request: RequestView, facts: Facts) {
  if (unresolved === undefined) return filter.explain(config, request, facts)
  const origin = origins.length === 1 ? origins[0] : undefined
  return [
    {
      filter: filter.name,
      outcome: 'denied',
      denial: POLICY_UNRESOLVED.name,
      ...(origin !== undefined && { origin }),
      field: 'references',
      expected: 'all of them resolve',
      got: unresolved,
      change: 'make the reference resolve, or remove it from the policy',
    } satisfies Consideration,
  ]
}
