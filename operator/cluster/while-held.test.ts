import assert from 'node:assert/strict'
import { test } from 'node:test'
import { scriptServer } from '../kubernetes/testing/api-server.ts'
import { whileHeld } from './while-held.ts'

test('F02: a leader that was frozen sends nothing any more, although nobody has told it yet', async (t) => {
  const { client, asked } = await scriptServer(t, (_, answer) => answer.json(200, {}))
  let isHeld = true
  const leaders = whileHeld(client, { isHeld: () => isHeld })
  await leaders.request({ method: 'PATCH', path: '/status' })
  await leaders.stream({ path: '/watch' }, () => {})
  isHeld = false
  for (const work of [
    leaders.request({ method: 'PATCH', path: '/status' }),
    leaders.stream({ path: '/watch' }, () => {}),
  ]) {
    await assert.rejects(work, { reason: 'NotLeading' })
  }
  assert.deepEqual(
    asked.map(({ path }) => path),
    ['/status', '/watch'],
  )
})
