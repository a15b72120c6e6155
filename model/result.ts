/**
 * What is wrong with something a person wrote.
 *
 * `path` is where (a JSON path such as `spec.rateLimit[0].limit.requests`, empty for the whole document), `message` is
 * what is wrong there, `fix` is what would be right.
 */
export interface Issue {
  readonly code: string
  readonly severity: 'error' | 'warning'
  readonly path: string
  readonly message: string
  readonly fix?: string
  /** The resource it was found in, as `Kind/namespace/name` or `Kind/name`. */
  readonly resource?: string
  /** Where in which file; lines and columns count from 1. Only the files source knows it. */
  readonly location?: { readonly file: string; readonly line: number; readonly column: number }
}

/** A value, or everything that is wrong with what it was to be made from. */
export type Result<T> = Ok<T> | Failure

export interface Ok<T> {
  readonly ok: true
  readonly value: T
}

export interface Failure {
  readonly ok: false
  readonly issues: readonly Issue[]
}

export function ok<T>(value: T): Ok<T> {
  return { ok: true, value }
}

export function fail(...issues: readonly Issue[]): Failure {
  return { ok: false, issues }
}

/** An issue of severity `error`. `code` is stable, kebab-case, and has a row in docs/issues.md. */
export function issue(code: string, path: string, message: string, fix?: string): Issue {
  return fix === undefined
    ? { code, severity: 'error', path, message }
    : { code, severity: 'error', path, message, fix }
}

/** The same issue, found below `prefix`. */
export function under(prefix: string, inner: Issue): Issue {
  if (prefix === '') return inner
  const joint = inner.path === '' || inner.path.startsWith('[') ? '' : '.'
  return { ...inner, path: prefix + joint + inner.path }
}

/** One line for a person: where, what, and what would be right. */
export function describeIssue(found: Issue): string {
  const place = found.location ? `${found.location.file}:${found.location.line}:${found.location.column}: ` : ''
  const subject = found.resource ? `${found.resource}: ` : ''
  const path = found.path === '' ? '' : `${found.path}: `
  const fix = found.fix === undefined ? '' : ` (${found.fix})`
  return `${place}${subject}${path}${found.message}${fix}`
}
