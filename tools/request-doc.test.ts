import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { FILTERS } from '../policies/filters.ts'

const ROOT = join(import.meta.dirname, '..')

test('docs/life-of-a-request.md has every limit of the data plane with its default', () => {
  const source = readFileSync(join(ROOT, 'sidecar/serve/limits.ts'), 'utf8')
  const defaults = source.slice(source.indexOf('DEFAULT_LIMITS'))
  const inSource = [...defaults.matchAll(/^ {2}(\w+): ([\d_]+),$/gm)].map(
    ([, name, value = '']) => `${name} ${Number(value.replaceAll('_', ''))}`,
  )
  const document = readFileSync(join(ROOT, 'docs/life-of-a-request.md'), 'utf8')
  const inDocument = [...document.matchAll(/^\| `(\w+)` \| ([\d,]+) \|/gm)].map(
    ([, name, value = '']) => `${name} ${Number(value.replaceAll(',', ''))}`,
  )
  assert.ok(inSource.length > 0)
  assert.deepEqual(inDocument, inSource)
})

test('docs/life-of-a-request.md has the filters in the order that a request meets them', () => {
  const document = readFileSync(join(ROOT, 'docs/life-of-a-request.md'), 'utf8')
  const rows = [...document.matchAll(/^ {3}\| `([a-z-]+)` \|.*\|([^|]*)\|$/gm)].map(([, name, tcp = '']) => ({
    name,
    tcp: tcp.trim() === 'yes',
  }))
  assert.deepEqual(
    rows,
    FILTERS.map(({ name, tcp }) => ({ name, tcp })),
  )
})
