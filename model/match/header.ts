import { fail, type Issue, issue, ok, type Result } from '../result.ts'

/** A condition on one header field. */
export interface HeaderPattern {
  /** In lower case. */
  readonly name: string
  /** Empty: any value will do. */
  readonly values: readonly string[]
  /** The field was sent, and every line of it is one of the values: for what allows. */
  matches(sent: readonly string[]): boolean
  /** The field was sent, and one of its lines, or one member of its comma-separated list, is one of the values: for what forbids. */
  touches(sent: readonly string[]): boolean
}

/** `token` of RFC 9110, 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/
/** RFC 9110, 5.5, without obs-text: what other software reads as the same characters. */
const FIELD_VALUE = /^(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?$/

export function parseHeaderName(text: string): Result<string> {
  return TOKEN.test(text)
    ? ok(text.toLowerCase())
    : fail(issue('malformed-header-name', '', 'is not a header name', 'write a name such as x-tenant'))
}

/** Values are compared to the letter. */
export function parseHeaderPattern(name: string, values: readonly string[] = []): Result<HeaderPattern> {
  const issues: Issue[] = []
  const parsed = parseHeaderName(name)
  if (!parsed.ok) issues.push(...parsed.issues.map((found) => ({ ...found, path: 'name' })))
  for (const [i, value] of values.entries()) {
    if (!FIELD_VALUE.test(value)) {
      issues.push(
        issue(
          'malformed-header-value',
          `values[${i}]`,
          'is not a header value',
          'use printable ASCII, no outer spaces',
        ),
      )
    }
  }
  if (!parsed.ok || issues.length > 0) return fail(...issues)
  const accepted = new Set(values)
  const isAccepted = (value: string) => accepted.size === 0 || accepted.has(value)
  return ok({
    name: parsed.value,
    values,
    matches: (sent) => sent.length > 0 && sent.every(isAccepted),
    touches: (sent) =>
      sent.some((line) => isAccepted(line) || line.split(',').some((member) => isAccepted(member.trim()))),
  })
}
