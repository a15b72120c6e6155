import * as v from 'valibot'
import { fail, issue, ok, type Result } from '../model/result.ts'

/** Issues told of one config at most. */
const MAX_ISSUES = 64

/** Reads a filter's config as it came over the wire. What the schema does not know is refused. */
export function readWire<Schema extends v.GenericSchema>(schema: Schema, wire: unknown): Result<v.InferOutput<Schema>> {
  const parsed = v.safeParse(schema, wire)
  if (parsed.success) return ok(parsed.output)
  return fail(
    ...parsed.issues.slice(0, MAX_ISSUES).map((found) => issue('contract', v.getDotPath(found) ?? '', found.message)),
  )
}
