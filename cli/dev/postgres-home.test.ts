import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { openPostgresHome } from './postgres-home.ts'
import { openState } from './state.ts'

const IS_ROOT = process.getuid?.() === 0

async function scratch(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-pg-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  return directory
}

async function openHome(t: TestContext, path: string) {
  const state = await openState(path)
  t.after(() => state.release())
  const home = await openPostgresHome(state, ['a.db'])
  await home.prepare('a.db')
  const outside = [home.dataDirectory('a.db'), home.socketDirectory('a.db')]
    .map((directory) => dirname(dirname(directory)))
    .find((directory) => !directory.startsWith(state.path))
  if (outside !== undefined) t.after(() => rm(outside, { recursive: true, force: true }))
  return { home, state, outside }
}

test('root keeps databases where somebody else may go, everybody else in the state directory', async (t) => {
  const { home, state } = await openHome(t, join(await scratch(t), '.hauberk'))
  const data = home.dataDirectory('a.db')
  assert.equal(data.startsWith(state.path), !IS_ROOT)
  if (IS_ROOT) assert.equal((await stat(dirname(data))).mode & 0o001, 0o001)
})

test('the path of a socket is never too long', async (t) => {
  const { home } = await openHome(t, join(await scratch(t), 'x'.repeat(100), '.hauberk'))
  assert.ok(Buffer.byteLength(join(home.socketDirectory('a.db'), '.s.PGSQL.5432')) <= 103)
})

test('a state directory finds its databases again, and one that is removed leaves none', async (t) => {
  const top = await scratch(t)
  const path = join(top, 'x'.repeat(100), '.hauberk')
  const first = await openHome(t, path)
  assert.ok(first.outside)
  await mkdir(first.home.socketDirectory('a.db'))
  await writeFile(join(first.home.socketDirectory('a.db'), 'x'), '')
  await first.state.release()
  const again = await openHome(t, path)
  assert.equal(again.outside, first.outside)
  assert.ok(await stat(join(first.home.socketDirectory('a.db'), 'x')))
  await again.state.release()

  await rm(path, { recursive: true })
  const afresh = await openHome(t, path)
  assert.notEqual(afresh.outside, first.outside)
  await assert.rejects(stat(first.outside), { code: 'ENOENT' })
})
