import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'

const here = (path: string) => JSON.stringify(pathToFileURL(join(import.meta.dirname, path)).href)

test('F12: what was compiled is there for the next start, also where the process is killed', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'hauberk-compiled-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const source = `
    const { createManualClock } = await import(${here('../runtime/manual-clock.ts')})
    const { keepCompiled } = await import(${here('keep-compiled.ts')})
    const clock = createManualClock()
    keepCompiled(clock)
    await clock.advance(10_000)
    process.kill(process.pid, 'SIGKILL')`
  const { signal, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', source], {
    env: { NODE_COMPILE_CACHE: directory },
    encoding: 'utf8',
  })
  assert.deepEqual({ signal, stderr }, { signal: 'SIGKILL', stderr: '' })
  assert.ok(readdirSync(directory, { recursive: true }).length > 1, 'there is code in it')
})
