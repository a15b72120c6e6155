import { bindVariables, decodeSegment, matchSegments, type PathPattern, type PathSegment } from './path.ts'

/** A path pattern read as the most obliging application would. */
export interface LenientPathPattern {
  matches(path: string): boolean
  /** As {@link PathPattern.variables}. */
  variables(path: string): Readonly<Record<string, string>> | undefined
}

/** Whether {@link fold} changes anything; most paths are their own folded form. */
const FOLDS = /[A-Z%;]|\/$|\/\/|^\*$/

/**
 * What a rule that denies compares by.
 *
 * Whether `/Admin/`, `/admin;v=1` and `/a%64min` (normal form: `/admin`) or `/report%40q1` reach the handler of `/admin`
 * and `/report@q1` is up to the application: many routers ignore case and a trailing slash, drop segment parameters
 * and match the decoded path. A deny rule that such a spelling gets around is a hole, so it covers all of them. Use it
 * for what forbids, never for what allows.
 */
export function lenient({ segments }: PathPattern): LenientPathPattern {
  const folded = foldSegments(segments)
  const keepsParameters = folded.some((segment) => segment.kind === 'literal' && segment.text.includes(';'))
  return {
    matches(path) {
      return matchSegments(folded, FOLDS.test(path) ? fold(path, keepsParameters).toLowerCase() : path)
    },
    variables(path) {
      const cased = fold(path, keepsParameters)
      const lower = cased.toLowerCase()
      if (!matchSegments(folded, lower)) return undefined
      // Lower case of a few letters is longer (U+0130), and then the two have their slashes in different places.
      return bindVariables(folded, cased.length === lower.length ? cased : lower, (segment) => segment)
    },
  }
}

function foldSegments(segments: readonly PathSegment[]): readonly PathSegment[] {
  const folded = segments.map(
    (segment): PathSegment =>
      segment.kind === 'literal'
        ? { kind: 'literal', text: (decodeSegment(segment.text) ?? segment.text).toLowerCase() }
        : segment,
  )
  const last = folded.at(-1)
  return folded.length > 1 && last?.kind === 'literal' && last.text === '' ? folded.slice(0, -1) : folded
}

/** Decoded, without parameters, empty segments, dot segments and a trailing slash. */
function fold(path: string, keepsParameters: boolean): string {
  if (path === '*') return '/'
  const kept: string[] = []
  for (const sent of path.split('/')) {
    const decoded = decodeSegment(sent) ?? sent
    const semicolon = keepsParameters ? -1 : decoded.indexOf(';')
    const segment = semicolon === -1 ? decoded : decoded.slice(0, semicolon)
    if (segment === '..') kept.pop()
    else if (segment !== '' && segment !== '.') kept.push(segment)
  }
  return `/${kept.join('/')}`
}
