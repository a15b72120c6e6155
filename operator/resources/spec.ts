import type { Issue } from '../../model/result.ts'
import type { JsonSchema } from '../../model/section.ts'
import { checkCelRules } from './cel-rules.ts'
import { formatPath } from './issue-path.ts'
import { checkStructure } from './structural.ts'

/**
 * What is wrong with the `spec` of a resource of ours: its structure, and where that is sound, the CEL rules. Paths are
 * below `spec`.
 *
 * A cluster whose CustomResourceDefinition is an older one, or was edited, lets through what this version would not.
 */
export function checkSpec(schema: JsonSchema, spec: unknown): readonly Issue[] {
  const issues = checkStructure(schema, spec, 'refuse')
  return issues.length > 0 ? issues : checkRules(schema, spec)
}

/** What the CEL rules of a schema say of a value of sound structure. */
export function checkRules(schema: JsonSchema, value: unknown): readonly Issue[] {
  return checkCelRules(schema, value).map(({ path, issue: found }) => ({ ...found, path: formatPath(path) }))
}
