import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { renderPage } from './console-blocks.ts'

const ROOT = join(import.meta.dirname, '..')

for (const page of ['README.md', 'docs/explain.md', 'docs/injection.md', 'docs/issues.md']) {
  test(`every command of ${page} prints what the page shows (else: node tools/console-blocks.ts ${page})`, async () => {
    const text = readFileSync(join(ROOT, page), 'utf8')
    assert.equal(await renderPage(text), text)
  })
}

test('a command that fails shows its exit code, and other programs are not run', async () => {
  const rendered = await renderPage('a\n```console\n$ hauberk check\nold\n```\nb')
  assert.match(
    rendered,
    /^a\n```console\n\$ hauberk check\nhauberk check: say which files[^\n]*\n\[exit code 2\]\n```\nb$/,
  )
  await assert.rejects(renderPage('```console\n$ rm -rf /\n```'), /hauberk only/)
})
