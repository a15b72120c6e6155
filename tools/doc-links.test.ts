import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { brokenLinks } from './doc-links.ts'

const ROOT = join(import.meta.dirname, '..')

test('every link of the pages leads to a file and a heading that are there', () => {
  const files = globSync(['*.md', 'docs/**/*.md', 'samples/*/*.md'], { cwd: ROOT })
  const pages = new Map(files.map((file) => [file, readFileSync(join(ROOT, file), 'utf8')]))
  assert.deepEqual(
    brokenLinks(pages, (path) => existsSync(join(ROOT, path))),
    [],
  )
})

test('links to missing files and headings are found, and nothing in code is a link', () => {
  const pages = new Map([
    [
      'docs/a.md',
      '[b](b.md) [up](../x.ts) [h](b.md#two-words) [row](b.md#row) [own](#here) [web](https://a.example/x#y)\n' +
        '[1](c.md) [2](b.md#three) [3](../y.ts) `[4](d.md)`\n```\n[5](e.md)\n```\n## Here\n',
    ],
    ['docs/b.md', '# Two words\n| <a id="row"></a> |\n```\n# three\n```\n'],
  ])
  assert.deepEqual(
    brokenLinks(pages, (path) => path === 'x.ts'),
    ['docs/a.md: c.md', 'docs/a.md: b.md#three', 'docs/a.md: ../y.ts'],
  )
})
