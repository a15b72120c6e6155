import * as v from 'valibot'
import { fail, issue, ok, type Result } from '../model/result.ts'

/** Decodes a document or message. Whatever the schema does not know, and whatever is not JSON, is refused. */
export function decode<Schema extends v.GenericSchema>(schema: Schema, text: string): Result<v.InferOutput<Schema>> {
  const wire = parseJson(text)
  return wire.ok ? read(schema, wire.value) : wire
}

export function parseJson(text: string): Result<unknown> {
  try {
    return ok(JSON.parse(text) as unknown)
  } catch {
    return fail(issue('not-json', '', 'is not JSON'))
  }
}

/** Reads a value that is JSON already. At most 64 issues are told. */
export function read<Schema extends v.GenericSchema>(schema: Schema, wire: unknown): Result<v.InferOutput<Schema>> {
  const parsed = v.safeParse(schema, wire)
  if (parsed.success) return ok(parsed.output)
  return fail(...parsed.issues.slice(0, 64).map((found) => issue('contract', v.getDotPath(found) ?? '', found.message)))
}

/**
 * JSON with the members of every object in code point order, so that equal values are equal strings (RFC 8785's order;
 * our numbers are integers). Undefined members are left out.
 *
 * `known`: what this said of parts that many values share, and that nobody changes any more.
 */
export function canonicalJson(value: unknown, known?: CanonicalTexts): string {
  if (typeof value === 'string') return quoted(value)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const before = known?.get(value)
  if (before !== undefined) return before
  let text = ''
  if (Array.isArray(value)) {
    for (const item of value) text += `${text === '' ? '' : ','}${canonicalJson(item ?? null, known)}`
    return `[${text}]`
  }
  for (const key of Object.keys(value).sort()) {
    const member = (value as Record<string, unknown>)[key]
    if (member !== undefined) text += `${text === '' ? '' : ','}${quoted(key)}:${canonicalJson(member, known)}`
  }
  return `{${text}}`
}

/** Canonical texts by the object that they are of. */
export type CanonicalTexts = Pick<WeakMap<object, string>, 'get'>

/**
 * The version of a document: SHA-256 over all of it but `version`, 43 characters. Pushing what hashes equal is not
 * needed. The hash is handed in, so that whoever calls this can run in a browser.
 */
export function versionOf(document: object, sha256: (text: string) => string, known?: CanonicalTexts): string {
  return sha256(canonicalJson({ ...document, version: undefined }, known))
}

/** Printable ASCII that JSON writes as it is: nearly every string here, and `JSON.stringify` takes longer to see it. */
const PLAIN = /^[ !#-[\]-~]*$/

function quoted(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text)
}
