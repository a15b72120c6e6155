import { fail, type Issue, ok, type Result, under } from '../../model/result.ts'
import { parseTrustDomain } from '../../model/spiffe-id.ts'
import type { AuthorizationConfig, Rule } from './config.ts'
import { type CompiledRule, compileFrom, compileRule, type Effect } from './rule.ts'

/** How a verdict and an explanation name the floor's `onlyFrom`; no rule can have this name. */
export const ONLY_FROM = 'onlyFrom'

export interface CompiledRules {
  readonly onlyFrom: readonly CompiledRule[]
  readonly deny: readonly CompiledRule[]
  readonly allow: readonly CompiledRule[]
}

export function compileRules(config: AuthorizationConfig): Result<CompiledRules> {
  const trustDomain = parseTrustDomain(config.trustDomain)
  if (!trustDomain.ok) return fail(...trustDomain.issues.map((found) => under('trustDomain', found)))
  const issues: Issue[] = []

  const compileList = (rules: readonly Rule[], effect: Effect): CompiledRule[] => {
    const compiled: CompiledRule[] = []
    for (const [i, rule] of rules.entries()) {
      const result = compileRule(rule, effect, trustDomain.value)
      if (result.ok) compiled.push(result.value)
      else issues.push(...result.issues.map((found) => under(`${effect}[${i}]`, found)))
    }
    return compiled
  }

  const onlyFrom: CompiledRule[] = []
  for (const [i, { origin, from }] of config.onlyFrom.entries()) {
    const result = compileFrom(from, 'allow', trustDomain.value)
    if (result.ok) onlyFrom.push({ name: ONLY_FROM, origin, ...result.value })
    else issues.push(...result.issues.map((found) => under(`onlyFrom[${i}].from`, found)))
  }
  const deny = compileList(config.deny, 'deny')
  const allow = compileList(config.allow, 'allow')
  return issues.length > 0 ? fail(...issues) : ok({ onlyFrom, deny, allow })
}
