import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../runtime/clock.ts'
import { type ChildOptions, type Exit, MAX_LINE, type Running, startChild } from './child-process.ts'
import { isRunning, markOf } from './process-tree.ts'
import { type Supervised, type SuperviseOptions, supervise } from './supervise.ts'

const LIVES = 'setInterval(() => {}, 1_000); console.log("up")'

function node(script: string, options: Partial<ChildOptions> = {}): ChildOptions {
  return { argv: [process.execPath, '-e', script], environment: {}, ipc: false, onLine: () => {}, ...options }
}

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `waited in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** A supervised child, what was told about it, and a promise of its n-th line. */
function watch(t: TestContext, script: string, options: Partial<SuperviseOptions> = {}) {
  const lines: string[] = []
  const started: Running[] = []
  const ended: (Exit | Error)[] = []
  const supervised: Supervised = supervise({
    name: 'child',
    start: () => startChild(node(script, { onLine: (line) => lines.push(line) })),
    onStarted: (running) => started.push(running),
    onEnded: (how) => ended.push(how),
    clock: systemClock,
    random: () => 0,
    ...options,
  })
  t.after(() => supervised.kill())
  return { supervised, lines, started, ended }
}

test('a child that was killed is started again', async (t) => {
  const { supervised, lines, ended } = watch(t, LIVES)
  await until(() => lines.length === 1, 'it was up')
  const first = supervised.pid
  process.kill(first ?? 0, 'SIGKILL')
  await until(() => lines.length === 2, 'it was up again')
  assert.notEqual(supervised.pid, first)
  assert.equal(supervised.restarts, 1)
  assert.deepEqual(ended, [{ code: null, signal: 'SIGKILL' }])
  await supervised.stop(1_000)
})

test('a child that ends again and again is started with growing pauses', async (t) => {
  const waits: number[] = []
  const { supervised } = watch(t, 'process.exit(3)', {
    random: () => 1 - 2 ** -20,
    onEnded: (_, waitMs) => waits.push(waitMs),
  })
  await until(() => waits.length >= 3, 'it ended three times')
  assert.ok(
    waits.every((wait, i) => i === 0 || wait > (waits[i - 1] ?? 0)),
    `${waits}`,
  )
  await supervised.stop(1_000)
})

test('what cannot be started at all is tried again, and said', async (t) => {
  let attempts = 0
  const { supervised, ended, lines } = watch(t, '', {
    start: () => {
      attempts += 1
      if (attempts < 3) return startChild({ ...node(''), argv: ['/nonexistent/program'] })
      return startChild(node(LIVES, { onLine: (line) => lines.push(line) }))
    },
  })
  await until(() => lines.length === 1, 'it was up')
  assert.match(String(ended[0]), /\/nonexistent\/program cannot be started/)
  await supervised.stop(1_000)
})

test('a stop asks, waits, and starts nothing any more', async (t) => {
  const script = `process.on('SIGTERM', () => { console.log('asked'); setTimeout(() => process.exit(0), 50) }); ${LIVES}`
  const { supervised, lines, started, ended } = watch(t, script)
  await until(() => lines.length === 1, 'it was up')
  await supervised.stop(10_000)
  assert.deepEqual(await started[0]?.exited, { code: 0, signal: null })
  await until(() => lines.length === 2, 'its last line came')
  assert.deepEqual(lines, ['up', 'asked'])
  assert.deepEqual(ended, [])
  assert.equal(supervised.pid, undefined)
})

test('a child that does not listen is made to end, with everything that it started', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-supervise-'))
  t.after(() => rm(directory, { recursive: true }))
  const file = join(directory, 'pid')
  const script = `
    const child = require('node:child_process').spawn(process.execPath, ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000)'])
    require('node:fs').writeFileSync(${JSON.stringify(file)}, String(child.pid))
    process.on('SIGTERM', () => {})
    ${LIVES}`
  const { supervised, lines, started } = watch(t, script)
  await until(() => lines.length === 1, 'it was up')
  const grandchild = markOf(Number(await readFile(file, 'utf8')))
  await supervised.stop(100)
  assert.deepEqual(await started[0]?.exited, { code: null, signal: 'SIGKILL' })
  await until(() => !isRunning(grandchild), 'its child was gone')
})

test('a stop during a start, or during a pause, ends it too', async (t) => {
  const starting = watch(t, LIVES)
  await starting.supervised.stop(1_000)
  assert.equal(starting.supervised.pid, undefined)

  const pausing = watch(t, 'process.exit(1)', { random: () => 1 - 2 ** -20 })
  await until(() => pausing.ended.length > 2, 'it paused')
  await pausing.supervised.stop(1_000)
})

test('a restart that was asked for does not wait', async (t) => {
  const { supervised, lines, ended } = watch(t, LIVES)
  await until(() => lines.length === 1, 'it was up')
  await supervised.restart(1_000)
  await until(() => lines.length === 2, 'it was up again')
  assert.deepEqual(ended, [])
  await supervised.stop(1_000)
})

test('lines come whole, whatever the pieces, and endless ones in parts', async () => {
  const lines: string[] = []
  const script = `
    process.stdout.write('ä'.repeat(${MAX_LINE + 10}) + '\\n')
    process.stdout.write('one\\r\\ntwo\\n')
    process.stdout.write('no end')`
  const running = await startChild(node(script, { onLine: (line) => lines.push(line) }))
  await running.exited
  await until(() => lines.includes('no end'), 'the last line came')
  assert.deepEqual(
    lines.map((line) => line.length),
    [MAX_LINE, 10, 3, 3, 6],
  )
  assert.equal(lines[2], 'one')
})

test('a child has the environment that it was given, and nothing else', async () => {
  const lines: string[] = []
  const script = 'console.log(JSON.stringify(process.env))'
  const running = await startChild(node(script, { environment: { A: 'b' }, onLine: (line) => lines.push(line) }))
  await running.exited
  await until(() => lines.length === 1, 'it was told')
  const { __CF_USER_TEXT_ENCODING: _, ...environment } = JSON.parse(lines[0] ?? '{}')
  assert.deepEqual(environment, { A: 'b' })
})
