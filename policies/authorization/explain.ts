import type { Consideration } from '../../model/filter.ts'
import type { Facts, RequestView } from '../../model/request.ts'
import type { AuthorizationConfig } from './config.ts'
import { DENIED_BY_RULE, NO_POLICY, NOT_ALLOWED } from './denials.ts'
import type { CompiledRule, Condition, Effect } from './rule.ts'
import { compileRules } from './rules.ts'

const FILTER = 'authorization'

const DENIED = { outcome: 'denied', denial: DENIED_BY_RULE.name } as const

/**
 * Every restriction and rule in the order that they count, each with the first field that did not match, and at the end
 * what no rule spoke of. One consideration at most is `denied`, and it is there exactly if the check refuses.
 */
export function explain(config: AuthorizationConfig, request: RequestView, facts: Facts): readonly Consideration[] {
  const compiled = compileRules(config)
  if (!compiled.ok) throw new Error('explains a config that did not compile')
  const { onlyFrom, deny, allow } = compiled.value
  const considerations: Consideration[] = []
  let isDenied = false
  let isAllowed = false

  for (const rule of onlyFrom) {
    const failure = failuresOf(rule, request, facts)[0]
    if (failure === undefined) {
      considerations.push({ ...named(rule), outcome: 'matched' })
      continue
    }
    considerations.push({
      ...named(rule),
      ...told(failure, request, facts),
      ...(isDenied ? { outcome: 'not-matched' } : DENIED),
      change: failure.change,
    })
    isDenied = true
  }

  for (const rule of deny) {
    const failure = failuresOf(rule, request, facts)[0]
    if (failure !== undefined) {
      considerations.push({ ...named(rule, 'deny'), ...told(failure, request, facts), outcome: 'not-matched' })
      continue
    }
    const when = rule.conditions.find(({ field }) => field === 'when')
    considerations.push({
      ...named(rule, 'deny'),
      ...(when && told(when, request, facts)),
      ...(isDenied ? { outcome: 'matched' } : DENIED),
      change: escapeFrom(rule),
    })
    isDenied = true
  }

  for (const rule of allow) {
    const failures = failuresOf(rule, request, facts)
    const [failure] = failures
    if (failure !== undefined) {
      const change = changeOf(failures)
      considerations.push({ ...named(rule, 'allow'), ...told(failure, request, facts), outcome: 'not-matched', change })
      continue
    }
    considerations.push({ ...named(rule, 'allow'), outcome: isDenied || isAllowed ? 'matched' : 'allowed' })
    isAllowed = true
  }

  if (isDenied || isAllowed) return considerations
  return [...considerations, fallback(config, nearest(allow, request, facts))]
}

function failuresOf(rule: CompiledRule, request: RequestView, facts: Facts): readonly Condition[] {
  return rule.conditions.filter((condition) => !condition.holds(request, facts))
}

function named({ name, origin }: CompiledRule, effect?: Effect) {
  return { filter: FILTER, rule: name, ...(effect !== undefined && { effect }), origin }
}

function told(condition: Condition, request: RequestView, facts: Facts) {
  const { field, expected } = condition
  return { field, expected, got: condition.got(request, facts) }
}

/** Every one of them is needed, so all of them together are the smallest change that makes this rule match. */
function changeOf(failures: readonly Condition[]): string {
  return failures.map(({ change }) => change).join(', and ')
}

function escapeFrom({ name, conditions }: CompiledRule): string {
  if (conditions.length === 0) return `remove ${name}, which denies every request`
  const said = conditions.map(({ field, expected }) => `${field} ${expected}`).join('; or ')
  return `do not match one of: ${said}`
}

interface Nearest {
  readonly rule: CompiledRule
  readonly failures: readonly Condition[]
}

/** The allow rule with the fewest conditions that fail; the first of equals. */
function nearest(allow: readonly CompiledRule[], request: RequestView, facts: Facts): Nearest | undefined {
  let best: Nearest | undefined
  for (const rule of allow) {
    const failures = failuresOf(rule, request, facts)
    if (best === undefined || failures.length < best.failures.length) best = { rule, failures }
  }
  return best
}

function fallback({ otherwise }: AuthorizationConfig, closest: Nearest | undefined): Consideration {
  const common = { filter: FILTER, field: 'default' }
  switch (otherwise) {
    case 'allow':
      return { ...common, outcome: 'allowed', got: 'no rule matched', expected: 'Allow' }
    case 'no-policy':
      return {
        ...common,
        outcome: 'denied',
        denial: NO_POLICY.name,
        expected: 'a policy',
        got: 'no policy speaks of this workload',
        change: 'write a SecurityPolicy with authorization.allow for it',
      }
    case 'deny':
      return {
        ...common,
        outcome: 'denied',
        denial: NOT_ALLOWED.name,
        expected: 'a rule that allows it',
        got: 'no allow rule matched',
        change:
          closest === undefined
            ? 'write an allow rule: there is none'
            : `for ${closest.rule.name} (${closest.rule.origin}): ${changeOf(closest.failures)}`,
      }
  }
}
