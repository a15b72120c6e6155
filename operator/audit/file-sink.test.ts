import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { createAuditLog } from './audit-log.ts'
import { newChain, openAuditFile } from './file-sink.ts'
import { chained } from './record.ts'
import { createVerifier, type Verification } from './verify.ts'

async function directoryOf(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-audit-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  return join(directory, 'audit')
}

/** Writes events as one run of an operator does. */
async function write(directory: string, count: number): Promise<void> {
  const clock = createManualClock()
  const { sink, end } = await openAuditFile({ path: join(directory, 'audit.log') })
  const log = createAuditLog({
    sink,
    end: end ?? newChain('local', clock.now()),
    clock,
    log: silentLog,
    metrics: createMetrics(),
  })
  for (let i = 0; i < count; i++) {
    log.record({ action: 'policy-changed', fields: { 'hauberk.resource.name': `p${i}` } })
    await clock.advance(0)
  }
  await log.close()
}

async function verified(directory: string): Promise<Verification> {
  const verifier = createVerifier()
  const names = (await readdir(directory)).sort((a, b) => ageOf(b) - ageOf(a))
  for (const name of names) {
    const lines = (await readFile(join(directory, name), 'utf8')).split('\n')
    lines.forEach((line, i) => {
      verifier.add(name, i + 1, line)
    })
  }
  return verifier.result()
}

function ageOf(name: string): number {
  return Number(/\.(\d+)$/.exec(name)?.[1] ?? 0)
}

test('a chain goes on where it was when the operator is started again, in a file that only its owner reads', async (t) => {
  const directory = await directoryOf(t)
  for (const count of [3, 2, 1]) await write(directory, count)
  const result = await verified(directory)
  assert.ok(result.ok)
  assert.deepEqual(
    result.chains.map(({ records, end }) => [records, end.sequence]),
    [[6, 6]],
  )
  assert.equal((await stat(join(directory, 'audit.log'))).mode & 0o777, 0o600)
  assert.equal((await stat(directory)).mode & 0o777, 0o700)
})

test('files are bounded in size and number, and a chain goes through all of them', async (t) => {
  const directory = await directoryOf(t)
  const limits = { maxBytes: 2_000, maxFiles: 3 }
  const { sink } = await openAuditFile({ path: join(directory, 'audit.log'), ...limits })
  let end = newChain('local', 0)
  const append = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const record = chained({ action: 'policy-changed', fields: {} }, 0, end)
      end = { ...end, sequence: record['event.sequence'], hash: record['event.hash'] }
      await sink.append(`${JSON.stringify(record)}\n`)
    }
  }
  await append(6)
  const whole = await verified(directory)
  assert.ok(whole.ok)
  assert.equal(whole.chains[0]?.from, 1)
  await append(42)
  assert.deepEqual((await readdir(directory)).sort(), ['audit.log', 'audit.log.1', 'audit.log.2'])
  for (const name of await readdir(directory)) assert.ok((await stat(join(directory, name))).size <= 2_000)
  const rest = await verified(directory)
  assert.ok(rest.ok)
  assert.equal(rest.chains[0]?.end.sequence, 48)
  assert.ok((rest.chains[0]?.from ?? 0) > 1)
})

test('half a line that a crash has left is shown, and takes no other with it', async (t) => {
  const directory = await directoryOf(t)
  await write(directory, 2)
  await appendFile(join(directory, 'audit.log'), '{"event.dataset":"hauberk.audit","event.seq')
  await write(directory, 2)
  const result = await verified(directory)
  assert.ok(!result.ok)
  assert.equal(result.broken.line, 3)
  const lines = (await readFile(join(directory, 'audit.log'), 'utf8')).trimEnd().split('\n')
  assert.equal(lines.length, 5)
  assert.equal(JSON.parse(lines[3] ?? '')['event.sequence'], 3)
})

test('F11: a directory that takes nothing is told of by the write, and nothing is torn', async (t) => {
  const directory = await directoryOf(t)
  const { sink } = await openAuditFile({ path: join(directory, 'audit.log') })
  await rm(directory, { recursive: true })
  await assert.rejects(sink.append('{}\n'), { code: 'ENOENT' })
})
