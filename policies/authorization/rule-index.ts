import type { Facts, RequestView } from '../../model/request.ts'
import type { CompiledRule, Condition } from './rule.ts'

/** Finds the first rule that matches, by its place in the list. */
export type RuleIndex<Value> = (request: RequestView, facts: Facts) => Value | undefined

interface Entry<Value> {
  readonly position: number
  readonly conditions: readonly Condition[]
  readonly value: Value
}

const NONE: readonly never[] = []

/**
 * Rules that go by SPIFFE ID are looked up by the caller's, so that their number costs nothing; the others are asked one
 * after the other. Allocates nothing per request.
 */
export function indexRules<Value>(
  rules: readonly CompiledRule[],
  toValue: (rule: CompiledRule) => Value,
): RuleIndex<Value> {
  const byIdentity = new Map<string, Entry<Value>[]>()
  const others: Entry<Value>[] = []
  for (const [position, rule] of rules.entries()) {
    const conditions = rule.conditions.filter(({ impliedBy }) => impliedBy === undefined)
    const entry = { position, conditions, value: toValue(rule) }
    if (rule.identities === undefined) others.push(entry)
    for (const identity of rule.identities ?? NONE) {
      const known = byIdentity.get(identity)
      if (known === undefined) byIdentity.set(identity, [entry])
      else known.push(entry)
    }
  }
  return (request, facts) => {
    const { spiffeId } = request.peer
    const own = (spiffeId === undefined ? undefined : byIdentity.get(spiffeId)) ?? NONE
    const first = firstMatch(own, request, facts, Number.POSITIVE_INFINITY)
    return (firstMatch(others, request, facts, first?.position ?? Number.POSITIVE_INFINITY) ?? first)?.value
  }
}

function firstMatch<Value>(
  entries: readonly Entry<Value>[],
  request: RequestView,
  facts: Facts,
  before: number,
): Entry<Value> | undefined {
  for (const entry of entries) {
    if (entry.position >= before) return undefined
    if (allHold(entry.conditions, request, facts)) return entry
  }
  return undefined
}

export function allHold(conditions: readonly Condition[], request: RequestView, facts: Facts): boolean {
  for (const condition of conditions) {
    if (!condition.holds(request, facts)) return false
  }
  return true
}
