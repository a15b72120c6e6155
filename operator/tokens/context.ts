import { parseJsonPointer } from '../../model/match/json-pointer.ts'

/**
 * What goes into `tctx`: the claims that pointers (RFC 6901) name, where they were: `/org/dept` is `tctx.org.dept`. What is not
 * there is left out. Undefined: nothing is there.
 */
export function contextOf(claims: Readonly<Record<string, unknown>>, pointers: readonly string[]): unknown {
  const context = emptyObject()
  /** Objects of ours. One of the token's own was taken whole, by a shorter pointer. */
  const ours = new Set<unknown>([context])
  let isEmpty = true
  for (const text of pointers.toSorted()) {
    const pointer = parseJsonPointer(text)
    const value = pointer.ok ? pointer.value.read(claims) : undefined
    if (value === undefined) continue
    isEmpty = false
    const path = text.slice(1).split('/').map(unescaped)
    let at = context
    for (const name of path.slice(0, -1)) {
      if (!Object.hasOwn(at, name)) {
        at[name] = emptyObject()
        ours.add(at[name])
      }
      at = at[name] as Record<string, unknown>
      if (!ours.has(at)) break
    }
    if (ours.has(at)) at[path.at(-1)!] = value
  }
  return isEmpty ? undefined : context
}

function unescaped(token: string): string {
  return token.replaceAll('~1', '/').replaceAll('~0', '~')
}

/** Without a prototype: a claim may have any name. */
function emptyObject(): Record<string, unknown> {
  return Object.create(null) as Record<string, unknown>
}
