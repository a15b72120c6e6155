import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'

const GUARD = pathToFileURL(join(import.meta.dirname, 'leak-guard.ts')).href
const scratch = mkdtempSync(join(tmpdir(), 'hauberk-leak-guard-'))
after(() => rmSync(scratch, { recursive: true }))

function runTests(source: string): Promise<{ readonly failed: boolean; readonly output: string }> {
  const file = join(scratch, 'it.test.mjs')
  writeFileSync(file, source)
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  return new Promise((resolve) => {
    execFile(process.execPath, ['--import', GUARD, '--test', file], { env }, (error, stdout, stderr) => {
      resolve({ failed: error !== null, output: stdout + stderr })
    })
  })
}

test('a test file that leaves a server open fails and says so, instead of running for ever', async () => {
  const { failed, output } = await runTests(
    "import { createServer } from 'node:net'\nimport { test } from 'node:test'\ntest('passes', () => createServer().listen(0))",
  )
  assert.equal(failed, true)
  assert.match(output, /it\.test\.mjs does not end: still open are .*TCPServerWrap/)
})

test('a test file that ends by itself is not held up', async () => {
  const startedAt = performance.now()
  const { failed } = await runTests("import { test } from 'node:test'\ntest('passes', () => {})")
  assert.equal(failed, false)
  assert.ok(performance.now() - startedAt < 15_000)
})
