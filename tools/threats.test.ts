import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { documentedRows, RELEASE_ROWS, readRowTests, rowTests, threatReport, untestedRows } from './threats.ts'

const ROOT = join(import.meta.dirname, '..')
const tests = readRowTests(ROOT)
const document = readFileSync(join(ROOT, 'docs', 'security.md'), 'utf8')

test('every threat and fault of this release has a test that names it', () => {
  assert.deepEqual(untestedRows(tests), [])
})

test('docs/security.md has a row for every number that a test names, and for every threat of this release', () => {
  const documented = documentedRows(document)
  const named = new Set([...tests.map(({ row }) => row), ...RELEASE_ROWS])
  assert.deepEqual(
    [...named].filter((row) => !documented.has(row)),
    [],
  )
})

test('rows are found in names of tests, groups, cases and golden pairs, and nowhere else', () => {
  const tree = new Map([
    [
      'a/b.test.ts',
      [
        "describe('a thing (T06)', () => {",
        "  it('T01: one', () => {})",
        `  test("T02, T03: it's two", () => {})`,
        '  test(`T04: ${what} at ${place}`, () => {})',
        "  for (const name of ['T05: a case']) test(name, () => {})",
        '  // T07: a comment',
        "  const text = 'see T08'",
      ].join('\n'),
    ],
    ['a/b.ts', "it('T09: not in a test', () => {})"],
    ['a/b.kind.ts', "test('F01: on a cluster', () => {})"],
    ['e2e/cluster/scenarios/x.ts', "{ title: 'F02: a scenario' }"],
    ['e2e/cluster/x.ts', "{ title: 'F03: no scenario' }"],
  ])
  const found = rowTests(tree, ['x/testdata/F22-a-pair-of-files.in.yaml', 'x/testdata/F23-other.out.yaml'])
  assert.deepEqual(
    found.map(({ row, name }) => `${row} <- ${name}`),
    [
      'F01 <- F01: on a cluster',
      'F02 <- F02: a scenario',
      'F22 <- F22: a pair of files',
      'T01 <- T01: one',
      "T02 <- T02, T03: it's two",
      "T03 <- T02, T03: it's two",
      'T04 <- T04: … at …',
      'T05 <- T05: a case',
      'T06 <- a thing (T06)',
    ],
  )
  assert.deepEqual(untestedRows(found, ['T01', 'T07']), ['T07'])
})

test('the report shows names as they are', () => {
  const report = threatReport([{ row: 'T12', file: 'a/b.test.ts', name: 'T12: `x_y` <b>' }])
  assert.match(report, /## T12\n\n- T12: \\`x\\_y\\` \\<b\\> \(\[b\.test\.ts\]\(\.\.\/a\/b\.test\.ts\)\)/)
})
