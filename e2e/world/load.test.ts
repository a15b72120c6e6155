import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer } from './answer.ts'
import { type LoadTask, startLoad } from './load.ts'

const answer = (status: number): Answer => ({ status, headers: {}, body: '' })

const asking = (path: string, everyMs = 5): LoadTask => ({
  name: path,
  everyMs,
  run: async (send) => void (await send({ path })),
})

test('what is sent is answered or lost, whatever became of it', async () => {
  let sent = 0
  const load = startLoad([asking('/good'), asking('/refused'), asking('/reset')], async ({ path }) => {
    sent += 1
    await sleep(1)
    if (path === '/reset') throw Object.assign(new Error('gone'), { code: 'ECONNRESET' })
    return answer(path === '/good' ? 200 : 403)
  })
  while (sent < 30) await sleep(5)
  await load.stop()
  const count = await load.total.end()
  assert.equal(count.sent, sent)
  assert.equal(count.sent, count.ok + count.lost.length)
  assert.ok(count.ok >= 8)
  assert.deepEqual([...new Set(count.lost.map(({ why }) => why))].sort(), [
    'GET /refused: 403 ',
    'GET /reset: ECONNRESET',
  ])
})

test('a window waits for what was sent in it, and counts nothing that was sent before or after', async () => {
  const waiting: (() => void)[] = []
  const load = startLoad([asking('/slow')], async () => {
    await new Promise<void>((done) => waiting.push(done))
    return answer(204)
  })
  while (waiting.length < 2) await sleep(1)
  const before = waiting.length
  const window = load.window()
  while (waiting.length < before + 3) await sleep(1)
  const inside = waiting.length - before
  const ending = window.end()
  while (waiting.length < before + inside + 2) await sleep(1)
  const stopping = load.stop()
  for (const done of waiting) done()
  const count = await ending
  assert.deepEqual([count.sent, count.ok, count.lost], [inside, inside, []])
  await stopping
})

test('a task is begun at its times even while an earlier round of it hangs', async () => {
  let begun = 0
  const hanging: (() => void)[] = []
  const load = startLoad([asking('/hangs')], async () => {
    begun += 1
    await new Promise<void>((done) => hanging.push(done))
    return answer(200)
  })
  while (begun < 4) await sleep(1)
  const stopping = load.stop()
  for (const done of hanging) done()
  await stopping
})
