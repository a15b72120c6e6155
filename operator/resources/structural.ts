import { fail, type Issue, issue, ok, type Result, under } from '../../model/result.ts'
import type { JsonSchema } from '../../model/section.ts'

/** Issues of one value at most: a document of garbage is as wrong after sixteen of them. */
const MAX_ISSUES = 16

/**
 * Holds a value to a structural schema (the OpenAPI v3 subset of CustomResourceDefinitions), without its CEL rules.
 *
 * The API server and the files source have done so before, and better: with defaults, CEL and a hint for each typing
 * mistake. Here it is what makes the rest of the operator safe to write: nothing that translates a policy ever meets a
 * value of another shape than its schema's, wherever it came from.
 *
 * `unknown` says what a property is that no schema names: `refuse` for kinds of ours, where it may be a rule that we would
 * not enforce; `ignore` for kinds of others, of which we describe only the part that we read.
 */
export function checkStructure(schema: JsonSchema, value: unknown, unknown: 'refuse' | 'ignore'): readonly Issue[] {
  const issues: Issue[] = []
  check(schema, value, '', unknown, issues)
  return issues.slice(0, MAX_ISSUES)
}

/** A function that reads values of a schema; it remembers, weakly, what it read. */
export function structuralReader<T>(schema: JsonSchema): (value: object) => Result<T> {
  const known = new WeakMap<object, Result<T>>()
  return (value) => {
    const seen = known.get(value)
    if (seen !== undefined) return seen
    const issues = checkStructure(schema, value, 'ignore')
    const result = issues.length > 0 ? fail(...issues) : ok(value as T)
    known.set(value, result)
    return result
  }
}

/**
 * The trees of `properties` of several owners as one: where two name the same object, its properties are merged.
 * Throws when they disagree about anything else, which is a mistake in this program.
 */
export function mergeProperties(
  ...trees: readonly { readonly [property: string]: JsonSchema }[]
): Record<string, JsonSchema> {
  const merged: Record<string, JsonSchema> = {}
  for (const tree of trees) {
    for (const [name, schema] of Object.entries(tree)) {
      const there = Object.hasOwn(merged, name) ? merged[name] : undefined
      merged[name] = there === undefined ? schema : mergeObjects(name, there, schema)
    }
  }
  return merged
}

function mergeObjects(name: string, left: JsonSchema, right: JsonSchema): JsonSchema {
  if (left['type'] !== 'object' || right['type'] !== 'object') throw new Error(`two schemas for ${name}`)
  const merged: Record<string, unknown> = { ...left, ...right }
  for (const keyword of Object.keys(left)) {
    const there = left[keyword]
    const here = right[keyword]
    if (!Object.hasOwn(right, keyword)) merged[keyword] = there
    else if (keyword === 'properties') merged[keyword] = mergeProperties(propertiesOf(left), propertiesOf(right))
    else if (keyword === 'description') merged[keyword] = there === here ? there : `${there}\n${here}`
    else if (Array.isArray(there) && Array.isArray(here)) merged[keyword] = [...new Set([...there, ...here])]
    else if (there !== here) throw new Error(`two schemas for ${name} disagree about ${keyword}`)
  }
  return merged
}

function propertiesOf(schema: JsonSchema): { readonly [property: string]: JsonSchema } {
  return (schema['properties'] ?? {}) as { readonly [property: string]: JsonSchema }
}

function check(schema: JsonSchema, value: unknown, path: string, unknown: 'refuse' | 'ignore', issues: Issue[]): void {
  if (issues.length >= MAX_ISSUES) return
  if (value === null && schema['nullable'] === true) return
  const wrong = (message: string, at = path) => void issues.push(issue('schema', at, message))
  if (schema['x-kubernetes-int-or-string'] === true) {
    if (typeof value !== 'string' && !Number.isInteger(value)) {
      wrong('is neither a whole number nor a string')
      return
    }
  } else if (typeof schema['type'] === 'string' && !isOfType(schema['type'], value)) {
    wrong(`is ${nameOfType(value)}, not ${schema['type']}`)
    return
  }
  const allowed = schema['enum']
  if (Array.isArray(allowed) && !allowed.includes(value)) wrong(`is none of ${allowed.join(', ')}`)
  if (typeof value === 'string') checkString(schema, value, wrong)
  else if (typeof value === 'number') checkNumber(schema, value, wrong)
  else if (Array.isArray(value)) checkArray(schema, value, path, unknown, issues, wrong)
  else if (typeof value === 'object' && value !== null) checkObject(schema, value, path, unknown, issues, wrong)
  checkCombinations(schema, value, path, unknown, issues, wrong)
}

type Wrong = (message: string, at?: string) => void

function checkString(schema: JsonSchema, value: string, wrong: Wrong): void {
  const { minLength, maxLength, pattern } = schema
  // As Kubernetes counts: in code points.
  const length = typeof minLength === 'number' || typeof maxLength === 'number' ? [...value].length : 0
  if (typeof minLength === 'number' && length < minLength) wrong(`is shorter than ${minLength} characters`)
  if (typeof maxLength === 'number' && length > maxLength) wrong(`is longer than ${maxLength} characters`)
  if (typeof pattern === 'string' && !patternOf(pattern).test(value)) wrong(`does not match ${pattern}`)
}

const patterns = new Map<string, RegExp>()

/** Patterns come from schemas, which are part of this program: there are as many as are written down. */
function patternOf(source: string): RegExp {
  const known = patterns.get(source) ?? new RegExp(source, 'u')
  patterns.set(source, known)
  return known
}

function checkNumber(schema: JsonSchema, value: number, wrong: Wrong): void {
  const { minimum, maximum } = schema
  if (typeof minimum === 'number' && value < minimum) wrong(`is less than ${minimum}`)
  if (typeof maximum === 'number' && value > maximum) wrong(`is more than ${maximum}`)
}

function checkArray(
  schema: JsonSchema,
  value: readonly unknown[],
  path: string,
  unknown: 'refuse' | 'ignore',
  issues: Issue[],
  wrong: Wrong,
): void {
  const { minItems, maxItems, items } = schema
  if (typeof minItems === 'number' && value.length < minItems) wrong(`has fewer than ${minItems} items`)
  if (typeof maxItems === 'number' && value.length > maxItems) {
    wrong(`has more than ${maxItems} items`)
    return
  }
  if (isSchema(items)) {
    for (const [i, item] of value.entries()) check(items, item, `${path}[${i}]`, unknown, issues)
  }
  checkKeys(schema, value, wrong)
}

/** `x-kubernetes-list-type`: no two entries of a map have the same keys, no two of a set are equal. */
function checkKeys(schema: JsonSchema, value: readonly unknown[], wrong: Wrong): void {
  const type = schema['x-kubernetes-list-type']
  const keys = schema['x-kubernetes-list-map-keys']
  if (type !== 'set' && !(type === 'map' && Array.isArray(keys))) return
  const seen = new Set<string>()
  for (const item of value) {
    const key = JSON.stringify(
      type === 'set'
        ? item
        : (keys as string[]).map((name) => (item as Record<string, unknown> | null)?.[name] ?? null),
    )
    if (seen.has(key)) wrong(`has ${key} twice`)
    seen.add(key)
  }
}

function checkObject(
  schema: JsonSchema,
  value: object,
  path: string,
  unknown: 'refuse' | 'ignore',
  issues: Issue[],
  wrong: Wrong,
): void {
  const { additionalProperties, required, minProperties, maxProperties } = schema
  const properties = propertiesOf(schema)
  const names = Object.keys(value)
  if (typeof minProperties === 'number' && names.length < minProperties)
    wrong(`has fewer than ${minProperties} members`)
  if (typeof maxProperties === 'number' && names.length > maxProperties) {
    wrong(`has more than ${maxProperties} members`)
    return
  }
  if (Array.isArray(required)) {
    for (const name of required as string[]) {
      if ((value as Record<string, unknown>)[name] === undefined || !Object.hasOwn(value, name)) {
        wrong('is required', memberPath(path, name))
      }
    }
  }
  const open =
    unknown === 'ignore' ||
    additionalProperties === true ||
    schema['x-kubernetes-preserve-unknown-fields'] === true ||
    schema['type'] === undefined
  for (const name of names) {
    const member = (value as Record<string, unknown>)[name]
    if (member === undefined) continue
    if (Object.hasOwn(properties, name)) check(properties[name]!, member, memberPath(path, name), unknown, issues)
    else if (isSchema(additionalProperties))
      check(additionalProperties, member, memberPath(path, name), unknown, issues)
    else if (!open) wrong('is not a field', memberPath(path, name))
  }
}

/** The value validations of `allOf`, `anyOf`, `oneOf` and `not`; in a structural schema they name no properties of their own. */
function checkCombinations(
  schema: JsonSchema,
  value: unknown,
  path: string,
  unknown: 'refuse' | 'ignore',
  issues: Issue[],
  wrong: Wrong,
): void {
  const passing = (schemas: readonly JsonSchema[]) =>
    schemas.filter((inner) => checkStructure(inner, value, 'ignore').length === 0).length
  const { allOf, anyOf, oneOf, not } = schema
  if (Array.isArray(allOf)) for (const inner of allOf) check(inner, value, path, unknown, issues)
  if (Array.isArray(anyOf) && passing(anyOf) === 0) wrong('is none of the forms that it may have')
  if (Array.isArray(oneOf) && passing(oneOf) !== 1) wrong('is not exactly one of the forms that it may have')
  if (isSchema(not) && passing([not]) > 0) wrong('has a form that it may not have')
}

function isOfType(type: string, value: unknown): boolean {
  switch (type) {
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value)
    case 'array':
      return Array.isArray(value)
    case 'integer':
      return Number.isSafeInteger(value)
    case 'number':
      return typeof value === 'number' && Number.isFinite(value)
    default:
      return typeof value === type
  }
}

function nameOfType(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}

function memberPath(path: string, name: string): string {
  const member = /^[A-Za-z_$][\w$-]*$/.test(name) ? name : `[${JSON.stringify(name)}]`
  return under(path, issue('', member, '')).path
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
