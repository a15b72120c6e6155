import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { startTimeOf } from './process-tree.ts'
import { openState, StateDirectoryError } from './state.ts'

async function scratch(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-state-'))
  t.after(() => rm(directory, { recursive: true }))
  return directory
}

test('the directory is made for its owner alone, also where it was open before', async (t) => {
  const path = join(await scratch(t), 'a', '.hauberk')
  await mkdir(path, { recursive: true })
  await chmod(path, 0o755)
  const state = await openState(path)
  for (const directory of [
    path,
    ...['join', 'logs', 'run/pods', 'secrets', 'workloads'].map((name) => join(path, name)),
  ]) {
    assert.equal((await stat(directory)).mode & 0o777, 0o700, directory)
  }
  await state.release()
})

test('what somebody else may have put there is not taken', async (t) => {
  const directory = await scratch(t)
  await mkdir(join(directory, 'real'))
  await symlink(join(directory, 'real'), join(directory, 'link'))
  await writeFile(join(directory, 'file'), '')
  await assert.rejects(openState(join(directory, 'link')), StateDirectoryError)
  await assert.rejects(openState(join(directory, 'file')), StateDirectoryError)
})

test('one mesh at a time has it, and of many that try at once one wins', async (t) => {
  const path = join(await scratch(t), '.hauberk')
  const results = await Promise.allSettled(Array.from({ length: 8 }, () => openState(path)))
  const won = results.filter(({ status }) => status === 'fulfilled')
  assert.equal(won.length, 1)
  for (const result of results) {
    if (result.status === 'rejected')
      assert.match(result.reason.message, /in use by a mesh that runs already \(process \d+\)/)
  }
  for (const result of results) if (result.status === 'fulfilled') await result.value.release()
  const again = await openState(path)
  await again.release()
  assert.deepEqual(
    (await readdir(path)).filter((name) => name.startsWith('lock')),
    [],
  )
})

test('the lock of a process that is gone, or whose number another one has now, counts for nothing', async (t) => {
  const path = join(await scratch(t), '.hauberk')
  await mkdir(path)
  const gone = spawn(process.execPath, ['-e', ''])
  await once(gone, 'exit')
  const locks = [
    JSON.stringify({ pid: gone.pid, startTime: startTimeOf(process.pid) }),
    JSON.stringify({ pid: gone.pid }),
    'not json',
    ...(startTimeOf(process.pid) === undefined ? [] : [JSON.stringify({ pid: process.pid, startTime: '1' })]),
  ]
  for (const lock of locks) {
    await writeFile(join(path, 'lock'), lock)
    const state = await openState(path)
    await state.release()
  }
})
