import { type PathPattern, parsePathPattern } from '../../model/match/path.ts'
import type { RequestView } from '../../model/request.ts'
import { fail, type Issue, ok, type Result, under } from '../../model/result.ts'
import type { ExemptEntry } from './config.ts'

/** Which requests need no user authentication. */
export interface Exemptions {
  admits(request: RequestView): boolean
}

/** A request is exempt by one entry of `exempt`, and only if each floor, in `within`, has an entry for it too. */
export function compileExemptions(
  exempt: readonly ExemptEntry[],
  within: readonly (readonly ExemptEntry[])[],
): Result<Exemptions> {
  const issues: Issue[] = []
  const compileList = (entries: readonly ExemptEntry[], path: string): EntryMatcher[] =>
    entries.map(({ methods, paths }, i) => {
      const patterns: PathPattern[] = []
      for (const [j, text] of paths.entries()) {
        const pattern = parsePathPattern(text)
        if (pattern.ok) patterns.push(pattern.value)
        else issues.push(...pattern.issues.map((found) => under(`${path}[${i}].paths[${j}]`, found)))
      }
      return {
        matches: ({ method, path }) =>
          (methods.length === 0 || methods.includes(method)) && patterns.some((pattern) => pattern.matches(path)),
      }
    })

  const asked = compileList(exempt, 'exempt')
  const permitted = within.map((entries, i) => compileList(entries, `exemptWithin[${i}]`))
  if (issues.length > 0) return fail(...issues)
  if (asked.length === 0) return ok({ admits: () => false })
  return ok({
    admits: (request) =>
      asked.some((entry) => entry.matches(request)) &&
      permitted.every((entries) => entries.some((entry) => entry.matches(request))),
  })
}

interface EntryMatcher {
  matches(request: RequestView): boolean
}
