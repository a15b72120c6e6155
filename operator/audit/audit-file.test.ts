import assert from 'node:assert/strict'
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from '#fast-check'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { auditFile } from './audit-file.ts'
import { createAuditLog } from './audit-log.ts'
import { chained, endWith, newChain } from './record.ts'
import { verifyText } from './testing/verify-text.ts'
import type { Verification } from './verify.ts'

async function directoryOf(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-audit-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  return join(directory, 'audit')
}

/** Writes events as one run of an operator does. */
async function write(directory: string, count: number): Promise<void> {
  const clock = createManualClock()
  const store = auditFile({ path: join(directory, 'audit.log') })
  const log = createAuditLog({ store, name: 'local', clock, log: silentLog, metrics: createMetrics() })
  for (let i = 0; i < count; i++) {
    log.record({ action: 'policy-changed', fields: { 'hauberk.resource.name': `p${i}` } })
    await clock.advance(0)
  }
  await log.close()
}

async function verified(directory: string): Promise<Verification> {
  const names = (await readdir(directory)).sort((a, b) => ageOf(b) - ageOf(a))
  return verifyText(await Promise.all(names.map((name) => readFile(join(directory, name)))))
}

function ageOf(name: string): number {
  return Number(/\.(\d+)$/.exec(name)?.[1] ?? 0)
}

test('a chain goes on where it was when the operator is started again, in a file that only its owner reads', async (t) => {
  const directory = await directoryOf(t)
  for (const count of [3, 2, 1]) await write(directory, count)
  const { chains, broken } = await verified(directory)
  assert.deepEqual(broken, [])
  assert.deepEqual(
    chains.map(({ records, end }) => [records, end.sequence]),
    [[6, 6]],
  )
  assert.equal((await stat(join(directory, 'audit.log'))).mode & 0o777, 0o600)
  assert.equal((await stat(directory)).mode & 0o777, 0o700)
})

test('files are bounded in size and number, and a chain goes through all of them', async (t) => {
  const directory = await directoryOf(t)
  const store = auditFile({ path: join(directory, 'audit.log'), maxBytes: 2_000, maxFiles: 3 })
  await store.open()
  let end = newChain('local', 0)
  const append = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const record = chained({ action: 'policy-changed', fields: {} }, 0, end)
      end = endWith(record)
      await store.append(`${JSON.stringify(record)}\n`)
    }
  }
  await append(6)
  const whole = await verified(directory)
  assert.deepEqual(whole.broken, [])
  assert.equal(whole.chains[0]?.from, 1)
  await append(42)
  assert.deepEqual((await readdir(directory)).sort(), ['audit.log', 'audit.log.1', 'audit.log.2'])
  for (const name of await readdir(directory)) assert.ok((await stat(join(directory, name))).size <= 2_000)
  const rest = await verified(directory)
  assert.deepEqual(rest.broken, [])
  assert.equal(rest.chains[0]?.end.sequence, 48)
  assert.ok((rest.chains[0]?.from ?? 0) > 1)
  assert.deepEqual((await store.open()).end, end)
})

test('F11: a record that was cut, wherever, is told of by the next one, and nobody can put another in its place', async (t) => {
  const directory = await directoryOf(t)
  const file = join(directory, 'audit.log')
  await write(directory, 4)
  const { size } = await stat(file)
  const whole = await readFile(file)
  const lastAt = whole.lastIndexOf(0x0a, size - 2) + 1
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: lastAt, max: size }), fc.boolean(), async (length, isTwice) => {
      await rm(directory, { recursive: true, force: true })
      await mkdir(directory, { recursive: true })
      await appendFile(file, whole)
      await truncate(file, length)
      const half = length > lastAt && length < size - 1
      assert.deepEqual((await verified(directory)).cutAtEnd !== undefined, half)
      // Killed again, in the middle of the record that was to tell.
      if (half && isTwice) await appendFile(file, '\n{"@timestamp":"2026')
      await write(directory, 2)
      const { broken, chains } = await verified(directory)
      assert.deepEqual(broken, [])
      assert.deepEqual(
        chains.map(({ cuts, end }) => [cuts, end.sequence]),
        [[half ? 1 : 0, length >= size - 1 ? 6 : 5]],
      )
      if (!half) return
      const text = await readFile(file, 'utf8')
      const lines = text.split('\n')
      assert.notDeepEqual(verifyText(lines.with(3, `${lines[3]} `).join('\n')).broken, [])
      assert.notDeepEqual(verifyText(lines.toSpliced(3, isTwice ? 2 : 1).join('\n')).broken, [])
    }),
    { numRuns: 25 },
  )
})

test('a record that was cut before its file was full is told of in the next file', async (t) => {
  const directory = await directoryOf(t)
  const path = join(directory, 'audit.log')
  await write(directory, 2)
  await appendFile(path, '{"@timestamp":"2026-01')
  const { size } = await stat(path)
  const clock = createManualClock()
  const store = auditFile({ path, maxBytes: size + 10 })
  const log = createAuditLog({ store, name: 'local', clock, log: silentLog, metrics: createMetrics() })
  log.record({ action: 'policy-changed', fields: {} })
  await log.close()
  assert.deepEqual((await readdir(directory)).sort(), ['audit.log', 'audit.log.1'])
  const { broken, chains } = await verified(directory)
  assert.deepEqual(broken, [])
  assert.deepEqual([chains[0]?.records, chains[0]?.cuts], [3, 1])
})

test('F11: a directory that takes nothing is told of by the write, and the log goes on when it takes some again', async (t) => {
  const directory = await directoryOf(t)
  await mkdir(join(directory, '..'), { recursive: true })
  // What is no directory takes no file, whoever asks.
  await appendFile(directory, '')
  const clock = createManualClock()
  const store = auditFile({ path: join(directory, 'audit.log') })
  await assert.rejects(store.open())
  const log = createAuditLog({ store, name: 'local', clock, log: silentLog, metrics: createMetrics() })
  log.record({ action: 'policy-changed', fields: {} })
  await log.close()
  assert.equal(log.end(), undefined)
  await rm(directory)
  await write(directory, 1)
  assert.equal((await verified(directory)).chains[0]?.records, 1)
})
