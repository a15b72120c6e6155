import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readSourceTree } from './import-graph.ts'
import { compareIssues } from './issues.ts'

const ROOT = join(import.meta.dirname, '..')

test('every code of an issue has a number and a row in docs/issues.md, and every row its code', () => {
  const document = readFileSync(join(ROOT, 'docs', 'issues.md'), 'utf8')
  assert.deepEqual(compareIssues(readSourceTree(ROOT), document), [])
})

test('a code without a number, a number given twice, and rows that are missing, stale or wrong are found', () => {
  const tree = new Map([
    ['model/a.ts', "fail(issue('known', '', 'x'))\nissue(\n  'unnumbered',\n  'p',\n)"],
    ['model/a.test.ts', "issue('only-in-a-test', '', 'x')"],
    ['operator/b.ts', "return at([], 'type', 'x')\nconst c = { code: 'twice', severity: 'error' }"],
    [
      'cli/check/catalogue.ts',
      "  known: 'HBK0101',\n  'twice': 'HBK0101',\n  type: 'HBK0103',\n  minLength: 'HBK0104',\n",
    ],
  ])
  const document = [
    '| <a id="HBK0101"></a>HBK0101 | `known` | error |',
    '| HBK0109 | `twice` | error |',
    '| HBK0103 | `type` | error |',
    '| HBK0103 | `type` | error |',
    '| HBK0105 | `stale` | error |',
  ].join('\n')
  assert.deepEqual(compareIssues(tree, document), [
    'docs/issues.md has two rows for type',
    'HBK0101 is the number of known and of twice',
    'cli/check/catalogue.ts has no number for unnumbered (model/a.ts)',
    'docs/issues.md calls twice HBK0109, cli/check/catalogue.ts HBK0101',
    'docs/issues.md has no row for minLength (HBK0104)',
    'docs/issues.md has a row for stale, which has no number',
  ])
})
