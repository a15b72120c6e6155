import { isTest, type SourceTree } from './import-graph.ts'

/** A row of docs/denials.md, one a denial: `| \`rate-limited\` | 429 | ... |`. */
const ROW = /^\|\s*`([a-z0-9-]+)`\s*\|\s*(\d{3})\s*\|(.*)$/gm

/** How a denial is spelled in the sources: `{ name: 'rate-limited', status: 429, title: ... }`, or `denial('no-route', 404, ...)`. */
const DENIALS = [
  /\bname:\s*'([a-z0-9-]+)',\s*status:\s*(\d{3}),\s*title:/g,
  /\bdenial\(\s*'([a-z0-9-]+)',\s*(\d{3}),/g,
] as const

/** Where the reasons are for which a message is malformed. Each becomes a denial of the same name and status. */
const PROBLEMS_FILE = 'sidecar/serve/http1/problem.ts'
const PROBLEM = /^ {2}'([a-z0-9-]+)': (\d{3}),$/gm

/** Reasons that no client is ever told: only a response can have them, or whoever sent the message is gone. */
const UNTOLD_PROBLEMS: ReadonlySet<string> = new Set([
  'bad-status-line',
  'bad-status',
  'unexpected-upgrade',
  'truncated-head',
  'truncated-body',
])

/**
 * Compares the denials in the sources with the rows of docs/denials.md, both ways, by name and status, and gives the
 * differences as sentences.
 */
export function compareDenials(tree: SourceTree, document: string): readonly string[] {
  const problems: string[] = []
  const rows = new Map<string, string>()
  for (const [, name = '', status = '', rest = ''] of document.matchAll(ROW)) {
    if (rows.has(name)) problems.push(`docs/denials.md has two rows for ${name}`)
    if (!rest.includes(`<a id="${name}"></a>`)) problems.push(`docs/denials.md has no anchor in the row for ${name}`)
    rows.set(name, status)
  }
  const found = new Set<string>()
  for (const { file, name, status } of denialsIn(tree)) {
    found.add(name)
    const documented = rows.get(name)
    if (documented === undefined) problems.push(`docs/denials.md has no row for ${name} (${status}, ${file})`)
    else if (documented !== status)
      problems.push(`docs/denials.md says ${name} is ${documented}, ${file} says ${status}`)
  }
  for (const name of rows.keys())
    if (!found.has(name)) problems.push(`docs/denials.md has a row for ${name}, which nothing says`)
  return problems
}

/** Every denial that the product's sources define. */
export function denialsIn(
  tree: SourceTree,
): readonly { readonly file: string; readonly name: string; readonly status: string }[] {
  const denials = []
  for (const [file, source] of tree) {
    if (!/^(?:model|policies|contract|sidecar)\//.test(file) || isTest(file)) continue
    for (const pattern of DENIALS) {
      for (const [, name = '', status = ''] of source.matchAll(pattern)) denials.push({ file, name, status })
    }
    if (file !== PROBLEMS_FILE) continue
    for (const [, name = '', status = ''] of source.matchAll(PROBLEM)) {
      if (!UNTOLD_PROBLEMS.has(name)) denials.push({ file, name, status })
    }
  }
  return denials
}
