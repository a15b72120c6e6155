import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../runtime/clock.ts'
import { LAST_LINES, openLogFile } from './log-file.ts'

async function logPath(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-log-'))
  t.after(() => rm(directory, { recursive: true }))
  return join(directory, 'x.log')
}

test('lines are appended to what is there, for the owner alone', async (t) => {
  const path = await logPath(t)
  for (const line of ['one', 'two']) {
    const log = openLogFile(path, systemClock)
    log.write(line)
    await log.close()
  }
  assert.equal(await readFile(path, 'utf8'), 'one\ntwo\n')
  assert.equal((await stat(path)).mode & 0o777, 0o600)
})

test('a log never takes more than two files of its size, and keeps the newest lines', async (t) => {
  const path = await logPath(t)
  const log = openLogFile(path, systemClock, 1_000)
  for (let i = 0; i < 1_000; i++) log.write(`line ${i}`)
  await log.close()
  const text = (await readFile(`${path}.1`, 'utf8')) + (await readFile(path, 'utf8'))
  assert.ok(text.length <= 2_100, `${text.length}`)
  assert.ok(text.endsWith('line 998\nline 999\n'))
})

test('the last lines are at hand', async (t) => {
  const log = openLogFile(await logPath(t), systemClock)
  for (let i = 0; i < 100; i++) log.write(`line ${i}`)
  assert.equal(log.last().length, LAST_LINES)
  assert.equal(log.last().at(-1), 'line 99')
  await log.close()
})
