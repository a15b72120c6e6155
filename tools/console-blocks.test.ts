import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { renderPage } from './console-blocks.ts'

const DOCS = join(import.meta.dirname, '..', 'docs')

for (const page of ['explain.md', 'issues.md']) {
  test(`every command of docs/${page} prints what the page shows (else: node tools/console-blocks.ts docs/${page})`, async () => {
    const text = readFileSync(join(DOCS, page), 'utf8')
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
