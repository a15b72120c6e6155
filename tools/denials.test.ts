import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { FILTERS } from '../policies/filters.ts'
import { compareDenials, denialsIn } from './denials.ts'
import { readSourceTree } from './import-graph.ts'

const ROOT = join(import.meta.dirname, '..')

test('every denial has its row in docs/denials.md, and every row its denial', () => {
  const document = join(ROOT, 'docs', 'denials.md')
  assert.deepEqual(existsSync(document) ? compareDenials(readSourceTree(ROOT), readFileSync(document, 'utf8')) : [], [])
})

test('what the filters say they can refuse with is found in the sources', () => {
  const found = new Set(denialsIn(readSourceTree(ROOT)).map(({ name, status }) => `${name} ${status}`))
  for (const filter of FILTERS) {
    for (const { name, status } of filter.denials) assert.ok(found.has(`${name} ${status}`), `${filter.name}: ${name}`)
  }
})

test('denials are found however they are spelled, and reasons for which a request is malformed', () => {
  const tree = new Map([
    ['policies/a/filter.ts', "export const A: Denial = {\n  name: 'as-a-value',\n  status: 403,\n  title: 'No.',\n}"],
    ['sidecar/serve/denials.ts', "export const B = denial(\n  'as-a-call',\n  503,\n  'Later.',\n)"],
    ['sidecar/serve/http1/problem.ts', "const REASONS = {\n  'bad-method': 400,\n  'truncated-body': 400,\n} as const"],
  ])
  assert.deepEqual(
    denialsIn(tree).map(({ name, status }) => `${name} ${status}`),
    ['as-a-value 403', 'as-a-call 503', 'bad-method 400'],
  )
})

test('a missing row, a stale row, a second row, another status and a missing anchor are found', () => {
  const tree = new Map([
    ['policies/a/filter.ts', "const A: Denial = { name: 'missing', status: 403, title: 'No.' }"],
    ['sidecar/serve/refuse.ts', "const B = {\n  name: 'other',\n  status: 503,\n  title: 'Later.',\n}"],
    ['policies/a/filter.test.ts', "const C = { name: 'only-in-a-test', status: 403, title: 'No.' }"],
  ])
  const document =
    '| denial | status |\n| --- | --- |\n| `other` | 500 | x |\n' +
    '| `stale` | 403 | <a id="stale"></a> x |\n| `stale` | 403 | <a id="stale"></a> x |\n'
  assert.deepEqual(compareDenials(tree, document), [
    'docs/denials.md has no anchor in the row for other',
    'docs/denials.md has two rows for stale',
    'docs/denials.md has no row for missing (403, policies/a/filter.ts)',
    'docs/denials.md says other is 500, sidecar/serve/refuse.ts says 503',
    'docs/denials.md has a row for stale, which nothing says',
  ])
})
