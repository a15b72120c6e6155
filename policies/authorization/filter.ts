import { type Check, defineFilter } from '../../model/filter.ts'
import { ok } from '../../model/result.ts'
import { CONTINUE, type Deny } from '../../model/verdict.ts'
import { readWire } from '../read-wire.ts'
import { AuthorizationConfig } from './config.ts'
import { DENIED_BY_RULE, NO_POLICY, NOT_ALLOWED } from './denials.ts'
import { explain } from './explain.ts'
import type { CompiledRule } from './rule.ts'
import { allHold, indexRules } from './rule-index.ts'
import { type CompiledRules, compileRules } from './rules.ts'

/**
 * Decides who may do what.
 *
 * Deny beats allow, whatever the order; what no rule speaks of comes to `otherwise`. Where a request can be read in two
 * ways, each rule takes the stricter one (`Effect`); who is allowed gets the rule's name into `facts.rule`.
 */
export const authorization = defineFilter<AuthorizationConfig>({
  name: 'authorization',
  denials: [DENIED_BY_RULE, NOT_ALLOWED, NO_POLICY],
  repeatable: true,
  tcp: true,
  decode: (wire) => readWire(AuthorizationConfig, wire),
  since(config) {
    if (config === undefined) return 1
    const { onlyFrom, deny, allow } = config
    return [...onlyFrom, ...deny, ...allow].some(({ from }) => from?.clients !== undefined) ? 3 : 1
  },
  compile(config) {
    const compiled = compileRules(config)
    return compiled.ok ? ok(checkOf(compiled.value, config.otherwise)) : compiled
  },
  explain,
})

function checkOf(rules: CompiledRules, otherwise: AuthorizationConfig['otherwise']): Check {
  const restrictions = rules.onlyFrom.map((rule) => ({ conditions: rule.conditions, verdict: deniedBy(rule) }))
  const findDeny = indexRules(rules.deny, deniedBy)
  const findAllow = indexRules(rules.allow, ({ name }) => name)
  const fallback = verdictOf(otherwise)
  return (request, facts) => {
    for (const { conditions, verdict } of restrictions) {
      if (!allHold(conditions, request, facts)) return verdict
    }
    const denied = findDeny(request, facts)
    if (denied !== undefined) return denied
    const rule = findAllow(request, facts)
    if (rule === undefined) return fallback
    facts.rule = rule
    return CONTINUE
  }
}

function deniedBy({ name, origin }: CompiledRule): Deny {
  return Object.freeze({ kind: 'deny', denial: DENIED_BY_RULE, rule: name, origin })
}

function verdictOf(otherwise: AuthorizationConfig['otherwise']) {
  switch (otherwise) {
    case 'allow':
      return CONTINUE
    case 'deny':
      return Object.freeze({ kind: 'deny', denial: NOT_ALLOWED } as const)
    case 'no-policy':
      return Object.freeze({ kind: 'deny', denial: NO_POLICY } as const)
  }
}
