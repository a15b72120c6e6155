import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { closeSync, constants, existsSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { systemClock } from './clock.ts'
import { createFileSink, createMemorySink } from './log-sink.ts'
import { createManualClock } from './manual-clock.ts'
import { createTurnMemory, openTurn } from './turns.ts'

const directory = mkdtempSync(join(tmpdir(), 'hauberk-log-sink-'))
after(() => rmSync(directory, { recursive: true }))

test('lines arrive in order, each once', async () => {
  const path = join(directory, 'plain.log')
  const fd = openSync(path, 'w')
  const sink = createFileSink({ fd, clock: systemClock })
  const expected: string[] = []
  for (let i = 0; i < 2_000; i++) {
    sink.write(`line ${i} é\n`)
    expected.push(`line ${i} é\n`)
    if (i % 500 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await sink.flush()
  closeSync(fd)
  assert.equal(readFileSync(path, 'utf8'), expected.join(''))
  assert.equal(sink.dropped, 0)
})

test('what is left is written on exit', () => {
  const path = join(directory, 'exit.log')
  const fd = openSync(path, 'w')
  const sink = createFileSink({ fd, clock: systemClock })
  sink.write('last words\n')
  sink.flushSync()
  closeSync(fd)
  assert.equal(readFileSync(path, 'utf8'), 'last words\n')
})

test('F11: with a full disk lines are dropped and counted, and nobody waits or throws', {
  skip: existsSync('/dev/full') ? false : 'this system has no /dev/full',
}, async () => {
  const fd = openSync('/dev/full', 'w')
  const sink = createFileSink({ fd, clock: systemClock })
  for (let i = 0; i < 100; i++) sink.write('lost\n')
  await sink.flush()
  assert.equal(sink.dropped, 100)
  sink.write('lost\n')
  sink.flushSync()
  assert.equal(sink.dropped, 101)
  closeSync(fd)
})

test('F11: behind a reader that does not read the queue is bounded, and afterwards the log says what was lost', async () => {
  const path = join(directory, 'pipe')
  execFileSync('mkfifo', [path])
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  const clock = createManualClock()
  const sink = createFileSink({ fd, clock, maxQueuedChars: 10_000 })
  const line = `${'x'.repeat(999)}\n`

  // A pipe holds 64 KiB; what is being written and what is queued come on top.
  for (let i = 0; i < 500; i++) {
    sink.write(line)
    if (i % 5 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  assert.ok(sink.dropped > 300, `${sink.dropped}`)
  const droppedBefore = sink.dropped

  let read = ''
  const buffer = Buffer.alloc(65_536)
  const flushed = sink.flush().then(() => true)
  const deadline = Date.now() + 30_000
  while (!(await Promise.race([flushed, clock.advance(100).then(() => false)]))) {
    assert.ok(Date.now() < deadline, 'the sink did not recover')
    read += drainPipe(reader, buffer)
  }
  read += drainPipe(reader, buffer)
  closeSync(fd)
  closeSync(reader)
  const lines = read.trimEnd().split('\n')
  assert.equal(lines.filter((text) => text.startsWith('x')).length, 500 - droppedBefore)
  const told = lines.filter((text) => text.startsWith('{')).map((text) => JSON.parse(text) as Record<string, unknown>)
  assert.ok(told.every((line) => line['message'] === 'log lines dropped'))
  assert.equal(
    told.reduce((sum, line) => sum + Number(line['log.dropped']), 0),
    droppedBefore,
  )
})

test('the memory sink keeps the newest lines', () => {
  const sink = createMemorySink(10)
  for (let i = 0; i < 25; i++) sink.write(`${i}`)
  assert.deepEqual(sink.lines, ['15', '16', '17', '18', '19', '20', '21', '22', '23', '24'])
  assert.equal(sink.dropped, 15)
})

function drainPipe(fd: number, buffer: Buffer): string {
  let text = ''
  for (;;) {
    try {
      const bytes = readSync(fd, buffer)
      if (bytes === 0) return text
      text += buffer.toString('utf8', 0, bytes)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return text
      throw error
    }
  }
}

test('writes only while it has the turn, where others write to the same descriptor', async (t) => {
  const path = join(directory, 'turns.log')
  const fd = openSync(path, 'a')
  t.after(() => closeSync(fd))
  const memory = createTurnMemory()
  const other = openTurn(memory, 2)
  assert.equal(other.take(), undefined)
  const sink = createFileSink({ fd, clock: systemClock, turn: openTurn(memory, 1) })
  sink.write('a\n')
  await new Promise(setImmediate)
  assert.equal(readFileSync(path, 'utf8'), '')
  other.give()
  await sink.flush()
  assert.equal(readFileSync(path, 'utf8'), 'a\n')
  assert.equal(other.take(), undefined)
})
