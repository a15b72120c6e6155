import assert from 'node:assert/strict'
import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { type ChainedRecord, chained, endWith, newChain } from '../operator/audit/record.ts'
import { inOrder } from './audit/audit-files.ts'
import { directoryOf } from './testing/files.ts'
import { runHauberk } from './testing/run-hauberk.ts'
import { runningMesh } from './testing/running-mesh.ts'

function recordsOf(count: number): readonly ChainedRecord[] {
  let end = newChain('local', Date.UTC(2026, 0, 1))
  return Array.from({ length: count }, (_, i) => {
    const record = chained({ action: 'policy-changed', fields: { 'hauberk.resource.name': `p${i}` } }, 0, end)
    end = endWith(record)
    return record
  })
}

const RECORDS = recordsOf(4)
const TEXT = RECORDS.map((record) => `${JSON.stringify(record)}\n`)
const ANCHOR = `4:${RECORDS[3]?.['event.hash']}`

test('a log that holds ends with 0, and with the anchor that finds records cut off its end the next time', async (t) => {
  const cwd = await directoryOf(t, { 'audit.log.1': TEXT.slice(0, 2).join(''), 'audit.log': TEXT.slice(2).join('') })
  const whole = await runHauberk(['audit', 'verify', 'audit.log', 'audit.log.1'], { cwd })
  assert.equal(whole.code, 0)
  assert.equal(
    whole.stdout,
    `CHAIN                            RECORDS   LOST   CUT   ITS END
local@2026-01-01T00:00:00.000Z   1 to 4    0      0     open

4 records hold.
anchor: ${ANCHOR}
`,
  )
  const { size } = { size: Buffer.byteLength(TEXT[2] ?? '') }
  await truncate(join(cwd, 'audit.log'), size)
  const [without, anchored] = await Promise.all([
    runHauberk(['audit', 'verify', 'audit.log.1', 'audit.log'], { cwd }),
    runHauberk(['audit', 'verify', 'audit.log.1', 'audit.log', '--anchor', ANCHOR], { cwd }),
  ])
  assert.equal(without.code, 0)
  assert.equal(anchored.code, 79)
  assert.match(anchored.stdout, /broken {3}record 4: record 4 is missing at the end/)
})

test('what does not hold ends with 79 and is named by file and line; half a record at the end is only cut', async (t) => {
  const changed = TEXT.with(1, (TEXT[1] ?? '').replace('"p1"', '"p9"')).join('')
  const cwd = await directoryOf(t, { changed, cut: TEXT.join('').slice(0, -20), none: '', other: 'no log\n' })
  const run = (...args: readonly string[]) => runHauberk(['audit', 'verify', ...args], { cwd })
  const [found, cut, none, other, missing, wrong] = await Promise.all([
    run('changed', '-o', 'json'),
    run('cut'),
    run('none'),
    run('other', '--mixed'),
    run('missing'),
    run('cut', '--anchor', '4'),
  ])
  assert.equal(found.code, 79)
  assert.deepEqual(JSON.parse(found.stdout).broken, [
    { file: 'changed', line: 2, sequence: 2, reason: 'its hash is that of another record: it was changed' },
  ])
  assert.equal(cut.code, 0)
  assert.match(cut.stdout, /^cut {6}cut:4: the last record is cut after \d+ bytes: the operator was killed/)
  assert.deepEqual([none.code, other.code, missing.code, wrong.code], [79, 79, 1, 2])
  assert.match(missing.stderr, /missing cannot be read/)
})

test('what an operator printed is looked at as it is piped in', async (t) => {
  const cwd = await directoryOf(t, {})
  const input = `{"message":"started"}\n${TEXT.join('{"message":"translated"}\n')}`
  const { code, stdout } = await runHauberk(['audit', 'verify', '--mixed', '-'], { cwd, input })
  assert.equal(code, 0)
  assert.match(stdout, /^4 records hold\.$/m)
})

test('without a file it is the log of the mesh of this machine, to the last record that its operator wrote', async (t) => {
  const end = endWith(RECORDS[3]!)
  const state = await runningMesh(t, {
    proxies: [],
    status: { resources: [], workloads: [], issuers: [], audit: end, fileIssues: [] },
  })
  const run = () => runHauberk(['audit', 'verify', '--state', state], { cwd: state })
  const nothing = await run()
  assert.equal(nothing.code, 1)
  assert.match(nothing.stderr, /there is no audit log in/)
  await mkdir(join(state, 'audit'))
  const file = join(state, 'audit', 'audit.log')
  await writeFile(file, TEXT.join(''))
  assert.equal((await run()).code, 0)
  const text = await readFile(file, 'utf8')
  await writeFile(file, text.slice(0, text.length - (TEXT[3] ?? '').length))
  const short = await run()
  assert.equal(short.code, 79)
  assert.match(short.stdout, /record 4 is missing at the end: record 4 is known to have been written/)
})

test('older files of a log are looked at first, however they were named', () => {
  assert.deepEqual(inOrder(['a.log', 'a.log.1', 'b.log.10', 'a.log.2', 'b.log.9']), [
    'a.log.2',
    'a.log.1',
    'a.log',
    'b.log.10',
    'b.log.9',
  ])
})
