import { globSync } from 'node:fs'
import { readSourceTree, type SourceTree } from './import-graph.ts'

/** A row of docs/security.md: `T` for a threat, `F` for a fault, and two digits. */
const ROW = /\b[TF]\d\d\b/g

/** The name of a test or of a group of tests, as it stands in the source. */
const NAMED = /\b(?:test|it|describe)\(\s*(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`)/g

/** A text that begins with rows and a colon: the name of a case in a table of cases. */
const CASE = /(?:'([TF]\d\d[^'\\\n]*?: (?:[^'\\\n]|\\.)*)'|"([TF]\d\d[^"\\\n]*?: (?:[^"\\\n]|\\.)*)")/g

/** A pair of files that is a test by itself: `F22-a-policy-that-cannot-be-read.in.yaml`. */
const GOLDEN = /(?:^|\/)([TF]\d\d-[^/]+)\.in\.yaml$/

/** Threats and faults that this release answers: each has a test that names it. */
export const RELEASE_ROWS: readonly string[] = [
  ...['T01', 'T02', 'T03', 'T04', 'T05', 'T06', 'T07', 'T08', 'T09', 'T10'],
  ...['T11', 'T12', 'T13', 'T14', 'T15', 'T16', 'T17'],
  ...['T18', 'T19', 'T20', 'T21', 'T22', 'T23', 'T24', 'T25'],
  ...['T26', 'T27', 'T28', 'T29', 'T30', 'T31', 'T32', 'T33', 'T35'],
  ...['F01', 'F02', 'F03', 'F04', 'F05', 'F06', 'F07', 'F08', 'F10', 'F11', 'F12'],
  ...['F13', 'F14', 'F15', 'F16', 'F17', 'F18', 'F19', 'F20', 'F21', 'F22', 'F23', 'F24'],
]

/** A test that names a row. */
export interface RowTest {
  readonly row: string
  /** From the root of the repository. */
  readonly file: string
  /** The whole name, as it is written; what is filled in when it runs is `…`. */
  readonly name: string
}

/** Every test below `root` that names a row. */
export function readRowTests(root: string): readonly RowTest[] {
  return rowTests(
    readSourceTree(root),
    globSync('{operator,sidecar,policies,e2e}/**/testdata/*.in.yaml', { cwd: root }),
  )
}

/** Every test that names a row of docs/security.md, by row, file and place. `pairs` are the golden pairs' input files. */
export function rowTests(tree: SourceTree, pairs: Iterable<string>): readonly RowTest[] {
  const found: RowTest[] = []
  const add = (file: string, name: string) => {
    for (const row of new Set(name.match(ROW))) found.push({ row, file, name })
  }
  for (const [file, source] of tree) {
    if (!isTest(file)) continue
    // The tests of this very scan hold names that are no tests.
    if (file.startsWith('tools/')) continue
    for (const name of namesIn(source)) add(file, name)
  }
  for (const file of pairs) {
    const name = GOLDEN.exec(file)?.[1]
    if (name !== undefined) add(file, name.replace('-', ': ').replaceAll('-', ' '))
  }
  return found.sort((a, b) => compare(a.row, b.row) || compare(a.file, b.file))
}

/** Scenarios are run under their titles, on whatever a mesh runs; what wants a cluster is run by `npm run e2e` and `npm run test:kind`, faults by `npm run faults`. */
function isTest(file: string): boolean {
  return /\.(?:test|kind)\.ts$/.test(file) || /^(?:e2e(?:\/cluster)?|bench\/faults)\/scenarios\//.test(file)
}

function namesIn(source: string): readonly string[] {
  const names = new Map<number, string>()
  for (const pattern of [NAMED, CASE]) {
    for (const match of source.matchAll(pattern)) {
      const written = match[1] ?? match[2] ?? match[3] ?? ''
      const end = match.index + match[0].length
      if (/[TF]\d\d/.test(written)) names.set(end, readable(written))
    }
  }
  return [...new Set([...names].sort(([a], [b]) => a - b).map(([, name]) => name))]
}

function readable(written: string): string {
  return written.replace(/\$\{[^}]*\}/g, '…').replace(/\\(.)/g, '$1')
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Rows of this release that no test names. */
export function untestedRows(tests: readonly RowTest[], rows: readonly string[] = RELEASE_ROWS): readonly string[] {
  const tested = new Set(tests.map(({ row }) => row))
  return rows.filter((row) => !tested.has(row))
}

/** The rows that docs/security.md has: `| T01 | ... |`. */
export function documentedRows(document: string): ReadonlySet<string> {
  return new Set([...document.matchAll(/^\|\s*([TF]\d\d)\s*\|/gm)].map(([, row = '']) => row))
}

/** docs/security-tests.md: every row that a test names, and those tests. */
export function threatReport(tests: readonly RowTest[]): string {
  const sections = [...Map.groupBy(tests, ({ row }) => row)].map(([row, ofRow]) => {
    const lines = ofRow.map(({ file, name }) => `- ${escaped(name)} ([${labelOf(file)}](../${file}))`)
    return `## ${row}\n\n${lines.join('\n')}\n`
  })
  return `${HEADER}\n${sections.join('\n')}`
}

const HEADER = `<!-- Generated from the names of the tests by \`npm run check -- --write\`. Changes here are overwritten. -->

# Tests by threat and fault

What each row means is in [security.md](security.md). A test stands under every row that its name has.
`

function labelOf(file: string): string {
  return file.endsWith('.in.yaml') ? 'golden pair' : file.replace(/^.*\//, '')
}

/** As Markdown shows it: nothing in a name is markup. */
function escaped(text: string): string {
  return text.replace(/[\\`*_{}[\]<>#|~]/g, '\\$&')
}
