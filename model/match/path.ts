import { fail, issue, ok, type Result } from '../result.ts'

/**
 * A path as a policy writes it, made ready to match paths in their one normal form (POLICY-API rule 10).
 *
 * - `/healthz` matches itself only; a trailing slash is another path;
 * - `/users/{userId}/orders`: `{userId}` is exactly one segment that is not empty, and has a name;
 * - `/files/{*}`: one segment without a name;
 * - `/export/{**}`, only at the end: whatever follows, nothing included: `/export`, `/export/` and `/export/a/b`, never `/exports`.
 */
export interface PathPattern {
  /** As its author wrote it. */
  readonly text: string
  readonly segments: readonly PathSegment[]
  /** Names of its variables, in order. */
  readonly names: readonly string[]
  /** Allocates nothing. */
  matches(path: string): boolean
  /**
   * The variables of a path that matches, percent-decoded; undefined when it does not match. A value that is not UTF-8
   * once decoded has no one spelling and is left out. The record has no prototype.
   */
  variables(path: string): Readonly<Record<string, string>> | undefined
}

export type PathSegment =
  /** In normal form; empty for the one after a trailing slash. */
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'any' }
  | { readonly kind: 'rest' }

/** Characters of a pattern at most. */
export const MAX_PATH_PATTERN_LENGTH = 1024

const MAX_SEGMENTS = 64
/** A CEL identifier, so that `path.userId` can be written; no leading `_`, so no name has a meaning to JavaScript. */
const VARIABLE_NAME = /^[A-Za-z][A-Za-z0-9_]{0,62}$/
/** RFC 3986, 3.3: `pchar`. */
const LITERAL = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*$/
const ESCAPE = /%[0-9A-Fa-f]{2}/g
const UNRESERVED = /^[A-Za-z0-9\-._~]$/
/** Escapes that are refused in a request, so that a pattern with one could never match: NUL, `%`, `/` and `\`. */
const NEVER_SENT = /%(?:00|2f|5c|25[0-9a-f]{2})/i

const SLASH = 47

export function parsePathPattern(text: string): Result<PathPattern> {
  if (text.length > MAX_PATH_PATTERN_LENGTH) return malformed(`is longer than ${MAX_PATH_PATTERN_LENGTH} characters`)
  if (!text.startsWith('/')) return malformed('does not start with /', `write /${text}`)
  const parts = text.slice(1).split('/')
  if (parts.length > MAX_SEGMENTS) return malformed(`has more than ${MAX_SEGMENTS} segments`)

  const segments: PathSegment[] = []
  const names: string[] = []
  for (const [i, part] of parts.entries()) {
    const isLast = i === parts.length - 1
    if (part === '' && !isLast) return malformed('has an empty segment, which no request has', 'write one slash')
    if (part === '{**}') {
      if (!isLast) return malformed('has {**} before its end', 'use {*} or {name} for one segment')
      segments.push({ kind: 'rest' })
      continue
    }
    if (part === '{*}') {
      segments.push({ kind: 'any' })
      continue
    }
    if (part.startsWith('{') && part.endsWith('}')) {
      const name = part.slice(1, -1)
      if (!VARIABLE_NAME.test(name) || name === 'constructor') {
        return malformed(`has a variable named '${name}'`, 'use letters, digits and _, a letter first')
      }
      if (names.includes(name)) return malformed(`has two variables named '${name}'`, 'give each a name of its own')
      names.push(name)
      segments.push({ kind: 'variable', name })
      continue
    }
    const literal = normaliseLiteral(part)
    if (!literal.ok) return literal
    segments.push({ kind: 'literal', text: literal.value })
  }
  return ok(pathPatternOf(text, segments, names))
}

function pathPatternOf(text: string, segments: readonly PathSegment[], names: readonly string[]): PathPattern {
  const common = {
    text,
    segments,
    names,
    variables: (path: string) =>
      matchSegments(segments, path) ? bindVariables(segments, path, decodeSegment) : undefined,
  }
  if (segments.every((segment) => segment.kind === 'literal')) {
    const whole = `/${segments.map((segment) => segment.text).join('/')}`
    return { ...common, matches: (path) => path === whole }
  }
  return { ...common, matches: (path) => matchSegments(segments, path) }
}

/** Walks path and pattern together; `path` is compared as it is. */
export function matchSegments(segments: readonly PathSegment[], path: string): boolean {
  let at = 0
  for (const segment of segments) {
    if (segment.kind === 'rest' && at === path.length && at > 0) return true
    if (path.charCodeAt(at) !== SLASH) return false
    const start = at + 1
    switch (segment.kind) {
      case 'rest':
        return true
      case 'literal':
        if (!path.startsWith(segment.text, start)) return false
        at = start + segment.text.length
        break
      case 'variable':
      case 'any':
        at = endOfSegment(path, start)
        if (at === start) return false
        break
    }
  }
  return at === path.length
}

/** The variables of a path that the segments match, each read by `read`. */
export function bindVariables(
  segments: readonly PathSegment[],
  path: string,
  read: (segment: string) => string | undefined,
): Readonly<Record<string, string>> {
  const variables: Record<string, string> = Object.create(null)
  let start = 1
  for (const segment of segments) {
    const end = endOfSegment(path, start)
    if (segment.kind === 'variable') {
      const value = read(path.slice(start, end))
      if (value !== undefined) variables[segment.name] = value
    }
    start = end + 1
  }
  return variables
}

/** Percent-decoded; undefined when the octets are not UTF-8. */
export function decodeSegment(segment: string): string | undefined {
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}

function endOfSegment(path: string, start: number): number {
  const slash = path.indexOf('/', start)
  return slash === -1 ? path.length : slash
}

/** A literal that is not in normal form would never match, and a deny rule that never matches is a hole. */
function normaliseLiteral(part: string): Result<string> {
  if (part.includes('{') || part.includes('}')) {
    return malformed(
      `has a brace inside the segment '${part}'`,
      'a variable is a whole segment: /users/{userId}/orders',
    )
  }
  if (part.includes('?')) return malformed('has a query', 'match the path alone')
  if (part.includes('#')) return malformed('has a fragment, which no request has')
  if (!LITERAL.test(part)) {
    return malformed(`has a segment '${part}' with a character that a path cannot hold`, `write ${encoded(part)}`)
  }
  if (NEVER_SENT.test(part))
    return malformed(`has a segment '${part}' with an escape that every request is refused for`)
  const normal = part.replace(ESCAPE, (found) => {
    const octet = String.fromCharCode(Number.parseInt(found.slice(1), 16))
    return UNRESERVED.test(octet) ? octet : found.toUpperCase()
  })
  if (normal === '.' || normal === '..') return malformed('has a dot segment, which no normal path has')
  return ok(normal)
}

function encoded(part: string): string {
  try {
    return encodeURIComponent(part)
  } catch {
    return 'it percent-encoded'
  }
}

function malformed(what: string, fix = 'write a path such as /healthz, /users/{userId}/orders or /export/{**}') {
  return fail(issue('malformed-path', '', what, fix))
}
