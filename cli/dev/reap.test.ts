import assert from 'node:assert/strict'
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { isRunning, markOf, signalGroup } from './process-tree.ts'
import type { ReaperMessage } from './reap.ts'

const PROGRAM = join(import.meta.dirname, '..', 'main.ts')

async function startReaper(t: TestContext) {
  const reaper = fork(PROGRAM, ['reap'], { stdio: 'ignore', execArgv: [] })
  t.after(() => reaper.kill('SIGKILL'))
  await once(reaper, 'message')
  return {
    reaper,
    send: (message: ReaperMessage) => new Promise<void>((sent) => void reaper.send(message, () => sent())),
  }
}

function startGroup(t: TestContext, script: string) {
  const child = spawn(process.execPath, ['-e', `${script}; setInterval(() => {}, 1_000)`], {
    detached: true,
    stdio: 'ignore',
  })
  const pid = child.pid ?? 0
  t.after(() => void signalGroup(pid, 'SIGKILL'))
  return { pid, mark: markOf(pid), exited: once(child, 'exit') }
}

test('what was watched ends with its starter, by its signal or by force; what was forgotten lives on', async (t) => {
  const { reaper, send } = await startReaper(t)
  const polite = startGroup(t, '')
  const deaf = startGroup(t, 'process.on("SIGTERM", () => {})')
  const forgotten = startGroup(t, '')
  for (const { pid } of [polite, deaf, forgotten]) await send({ type: 'watch', pid, signal: 'SIGTERM' })
  await send({ type: 'forget', pid: forgotten.pid })
  const ended = once(reaper, 'exit')
  reaper.disconnect()
  assert.deepEqual(await polite.exited, [null, 'SIGTERM'])
  await deaf.exited
  assert.deepEqual(await ended, [0, null])
  assert.ok(isRunning(forgotten.mark))
})

test('nobody who is asked to end first keeps the reaper from its work', async (t) => {
  const { reaper, send } = await startReaper(t)
  const group = startGroup(t, '')
  await send({ type: 'watch', pid: group.pid, signal: 'SIGKILL' })
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) reaper.kill(signal)
  reaper.disconnect()
  assert.deepEqual(await group.exited, [null, 'SIGKILL'])
})
