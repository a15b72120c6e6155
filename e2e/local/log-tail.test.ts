import assert from 'node:assert/strict'
import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { until } from '../world/until.ts'
import { followLogs } from './log-tail.ts'

async function follow(t: TestContext, options?: { fromStart: boolean }) {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-logs-'))
  await writeFile(join(directory, 'a.log'), 'old\n')
  const lines: string[] = []
  const { promise: began, resolve } = Promise.withResolvers<void>()
  const tail = followLogs(
    directory,
    (line, file) => (line === 'mark' ? resolve() : lines.push(`${file} ${line}`)),
    options,
  )
  t.after(async () => {
    await tail.stop()
    await rm(directory, { recursive: true })
  })
  // A file that comes later is read from its beginning, so the first look is over when its line is here.
  await writeFile(join(directory, 'mark.log'), '')
  const marking = setInterval(() => void appendFile(join(directory, 'mark.log'), 'mark\n'), 20)
  await began
  clearInterval(marking)
  return { directory, lines }
}

test('lines that are added are told whole, and a file that is rotated is read on', async (t) => {
  const { directory, lines } = await follow(t)
  const file = join(directory, 'a.log')
  await appendFile(file, 'half')
  await appendFile(file, ' and half\nsecond\n')
  await until('both lines', () => lines.length === 2)
  assert.deepEqual(lines, ['a.log half and half', 'a.log second'])
  await appendFile(file, 'last of the old one\n')
  await rename(file, join(directory, 'a.log.1'))
  await writeFile(file, 'first of the new one\n')
  await until('the line of the new file', () => lines.length === 4)
  assert.deepEqual(lines.slice(2), ['a.log last of the old one', 'a.log first of the new one'])
})

test('from the start, what was there before is told too', async (t) => {
  const { lines } = await follow(t, { fromStart: true })
  await until('the old line', () => lines.length === 1)
  assert.deepEqual(lines, ['a.log old'])
})
