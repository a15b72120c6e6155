import { isTest, type SourceTree } from './import-graph.ts'

/** A row of docs/issues.md: `| <a id="..."></a>HBK0101 | \`yaml\` | error | ...`. */
const ROW = /^\|\s*(?:<a id="[^"]*"><\/a>)?(HBK\d{4})\s*\|\s*`([A-Za-z0-9-]+)`\s*\|/gm

/** How the sources spell a code: as the first argument of what makes issues, or as a member. */
const CODES: readonly RegExp[] = [
  /\b(?:issue|warning|finding)\(\s*'([A-Za-z0-9-]+)'/g,
  /\b(?:invalid|at)\(\s*\[[^\]]*\],\s*'([A-Za-z0-9-]+)'/g,
  /\bcode:\s*'([A-Za-z0-9-]+)',/g,
]

/** Where codes have their numbers. */
const CATALOGUE = 'cli/check/catalogue.ts'
const NUMBER = /^\s*'?([A-Za-z0-9-]+)'?: '(HBK\d{4})',$/gm

/**
 * Compares the codes of issues in the sources, their numbers in the catalogue, and the rows of docs/issues.md, and gives
 * the differences as sentences. A code may have a row and not be found: those of schema keywords are not spelled out.
 */
export function compareIssues(tree: SourceTree, document: string): readonly string[] {
  const problems: string[] = []
  const rows = new Map<string, string>()
  const numbers = new Map<string, string>()
  for (const [, number = '', code = ''] of document.matchAll(ROW)) {
    if (rows.has(code)) problems.push(`docs/issues.md has two rows for ${code}`)
    rows.set(code, number)
  }
  for (const [, code = '', number = ''] of (tree.get(CATALOGUE) ?? '').matchAll(NUMBER)) {
    const other = [...numbers].find(([, known]) => known === number)?.[0]
    if (other !== undefined) problems.push(`${number} is the number of ${other} and of ${code}`)
    numbers.set(code, number)
  }
  for (const [code, file] of issueCodesIn(tree)) {
    if (!numbers.has(code)) problems.push(`${CATALOGUE} has no number for ${code} (${file})`)
  }
  for (const [code, number] of numbers) {
    const row = rows.get(code)
    if (row === undefined) problems.push(`docs/issues.md has no row for ${code} (${number})`)
    else if (row !== number) problems.push(`docs/issues.md calls ${code} ${row}, ${CATALOGUE} ${number}`)
  }
  for (const code of rows.keys()) {
    if (!numbers.has(code)) problems.push(`docs/issues.md has a row for ${code}, which has no number`)
  }
  return problems
}

/** Every code that the product's sources spell, and a file that does. */
export function issueCodesIn(tree: SourceTree): ReadonlyMap<string, string> {
  const codes = new Map<string, string>()
  for (const [file, source] of tree) {
    if (!/^(?:model|policies|contract|operator|sidecar|runtime|cli|crds)\//.test(file) || isTest(file)) continue
    for (const pattern of CODES) {
      for (const [, code = ''] of source.matchAll(pattern)) codes.set(code, file)
    }
  }
  return codes
}
