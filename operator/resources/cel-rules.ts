import { Environment } from '@marcbachmann/cel-js'
import { type Issue, issue } from '../../model/result.ts'
import type { JsonSchema } from '../../model/section.ts'

/** One entry of `x-kubernetes-validations`. */
interface ValidationRule {
  readonly rule: string
  readonly message?: string
  readonly fieldPath?: string
}

/**
 * Holds a value to the CEL rules of its schema (`x-kubernetes-validations`), as the API server does on create: rules
 * about `oldSelf` are about changes and are left to it. Paths are lists of keys and indices below `path`.
 */
export function checkCelRules(
  schema: JsonSchema,
  value: unknown,
  path: readonly (string | number)[] = [],
): RuleIssue[] {
  if (value === undefined || value === null) return []
  const found: RuleIssue[] = []
  for (const rule of rulesOf(schema)) {
    if (/\boldSelf\b/.test(rule.rule)) continue
    const failure = evaluate(rule, value)
    if (failure !== undefined) found.push({ path, issue: issue('rule', '', failure) })
  }
  const { properties, items, additionalProperties } = schema
  if (Array.isArray(value)) {
    if (isSchema(items))
      for (const [i, item] of value.entries()) found.push(...checkCelRules(items, item, [...path, i]))
  } else if (typeof value === 'object') {
    for (const [name, member] of Object.entries(value)) {
      const inner = isSchema(properties) && Object.hasOwn(properties, name) ? properties[name] : additionalProperties
      if (isSchema(inner)) found.push(...checkCelRules(inner, member, [...path, name]))
    }
  }
  return found
}

export interface RuleIssue {
  readonly path: readonly (string | number)[]
  readonly issue: Issue
}

/** Every rule in a schema, for the test that all of them are ones this evaluator understands. */
export function rulesIn(schema: JsonSchema): readonly string[] {
  const { properties, items, additionalProperties } = schema
  const inner = [...(isSchema(properties) ? Object.values(properties) : []), items, additionalProperties]
  return [...rulesOf(schema).map(({ rule }) => rule), ...inner.filter(isSchema).flatMap((one) => rulesIn(one))]
}

/** Throws what is wrong with a rule; for the test. */
export function parseRule(rule: string): void {
  compiled(rule)
}

function rulesOf(schema: JsonSchema): readonly ValidationRule[] {
  const rules = schema['x-kubernetes-validations']
  return Array.isArray(rules) ? (rules as ValidationRule[]) : []
}

const environment = new Environment({ unlistedVariablesAreDyn: true }).registerVariable('self', 'dyn')

/** Rules come from schemas, which are part of this program: there are as many as are written down. */
const programs = new Map<string, (context: { self: unknown }) => unknown>()

function compiled(rule: string): (context: { self: unknown }) => unknown {
  const known = programs.get(rule)
  if (known !== undefined) return known
  const program = environment.parse(rule)
  programs.set(rule, program)
  return program
}

/** What is wrong, or undefined. A rule that cannot be evaluated has not said yes. */
function evaluate({ rule, message }: ValidationRule, value: unknown): string | undefined {
  try {
    if (compiled(rule)({ self: withIntegers(value) }) === true) return undefined
    return message ?? `does not satisfy ${rule}`
  } catch (error) {
    return message ?? `does not satisfy ${rule}: ${(error as Error).message}`
  }
}

/** A schema's integers are CEL ints; in JavaScript they are doubles, which CEL does not compare with ints. */
function withIntegers(value: unknown): unknown {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value)
  if (Array.isArray(value)) return value.map(withIntegers)
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, withIntegers(member)]))
  }
  return value
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
