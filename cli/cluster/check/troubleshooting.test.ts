import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { docsOf, TROUBLESHOOTING } from './check.ts'
import { SECTIONS } from './checks.ts'

const CHECKS = SECTIONS.flatMap(({ checks }) => checks)
const page = await readFile(join(import.meta.dirname, '../../..', TROUBLESHOOTING), 'utf8')
const anchors = [...page.matchAll(/^### (\S+)$/gm)].map(([, name = '']) => name)

test('every check has a place in the page on troubleshooting, in the order of the checks, and no place is nobody’s', () => {
  assert.deepEqual(
    anchors,
    CHECKS.map(({ id }) => id),
  )
  const sections = [...page.matchAll(/^## (.+)$/gm)].map(([, title]) => title)
  assert.deepEqual(
    sections,
    SECTIONS.map(({ title }) => title),
  )
})

test('there are more than 25 checks, each with a name of its own that is an anchor', () => {
  assert.ok(CHECKS.length >= 25, String(CHECKS.length))
  assert.equal(new Set(CHECKS.map(({ id }) => id)).size, CHECKS.length)
  for (const check of CHECKS) {
    assert.match(check.id, /^[a-z]+(-[a-z]+)*$/)
    assert.equal(docsOf(check), `docs/troubleshooting.md#${check.id}`)
  }
})

test('the README says how many checks there are', async () => {
  const readme = await readFile(join(import.meta.dirname, '../../../README.md'), 'utf8')
  assert.equal(/\b(\d+) checks from the API server/.exec(readme)?.[1], String(CHECKS.length))
})
