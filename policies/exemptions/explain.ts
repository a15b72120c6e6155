import type { Consideration } from '../../model/filter.ts'
import type { RequestView } from '../../model/request.ts'
import { compileExemptions } from './compile.ts'
import type { ExemptEntry } from './config.ts'

/** Every exemption considered; one of them matches exactly if the request needs no authentication. */
export function explainExemptions(
  filter: string,
  config: { readonly exempt: readonly ExemptEntry[]; readonly exemptWithin: readonly (readonly ExemptEntry[])[] },
  request: RequestView,
): readonly Consideration[] {
  return config.exempt.map((entry, i): Consideration => {
    const common = { filter, rule: `exempt[${i}]` }
    const asked = compileExemptions([entry], [])
    const permitted = compileExemptions([entry], config.exemptWithin)
    if (!asked.ok || !permitted.ok)
      return { ...common, outcome: 'skipped', field: 'paths', expected: 'paths that parse' }
    if (permitted.value.admits(request)) return { ...common, outcome: 'matched' }
    const isMethod = entry.methods.length > 0 && !entry.methods.includes(request.method)
    if (isMethod) {
      return {
        ...common,
        outcome: 'not-matched',
        field: 'method',
        expected: entry.methods.join(', '),
        got: request.method,
      }
    }
    if (asked.value.admits(request)) {
      return {
        ...common,
        outcome: 'not-matched',
        field: 'floor',
        expected: config.exemptWithin
          .map((list) => list.flatMap(({ paths }) => paths).join(', ') || 'nothing')
          .join(' and '),
        got: `${request.method} ${request.path}`,
        change: 'add it to authentication.allowExempt of the floor',
      }
    }
    return { ...common, outcome: 'not-matched', field: 'path', expected: entry.paths.join(', '), got: request.path }
  })
}
