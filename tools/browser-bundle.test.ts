import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { browserSources, bundleForBrowser } from './browser-bundle.ts'
import { readSourceTree } from './import-graph.ts'

const ROOT = join(import.meta.dirname, '..')
const scratch = mkdtempSync(join(tmpdir(), 'hauberk-bundle-'))
after(() => rmSync(scratch, { recursive: true }))

test('model, policies, contract, translate and compile bundle for a browser', async () => {
  const files = browserSources(readSourceTree(ROOT).keys())
  assert.ok(files.includes('model/verdict.ts'))
  assert.deepEqual(await bundleForBrowser(ROOT, files), [])
})

test('a node: import anywhere below fails and is named', async () => {
  mkdirSync(join(scratch, 'model'))
  writeFileSync(join(scratch, 'model', 'a.ts'), "import { b } from './b.ts'\nconsole.log(b as number)")
  writeFileSync(join(scratch, 'model', 'b.ts'), "import { readFileSync } from 'node:fs'\nexport const b = readFileSync")
  assert.deepEqual(await bundleForBrowser(scratch, ['model/a.ts']), ['model/b.ts:1 Could not resolve "node:fs"'])
})

test('tests and folders that need Node are not bundled', () => {
  assert.deepEqual(
    browserSources(['model/a.ts', 'model/a.test.ts', 'runtime/log.ts', 'sidecar/compile/c.ts', 'sidecar/serve/s.ts']),
    ['model/a.ts', 'sidecar/compile/c.ts'],
  )
})
