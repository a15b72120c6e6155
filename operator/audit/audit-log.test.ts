import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from '#fast-check'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import type { AuditEvent } from './audit.ts'
import { createAuditLog, MAX_QUEUED_EVENTS } from './audit-log.ts'
import { newChain } from './file-sink.ts'
import { GENESIS } from './record.ts'
import { createVerifier, type Verification } from './verify.ts'

function event(i: number): AuditEvent {
  return { action: 'certificate-issued', fields: { 'x509.serial_number': String(i), 'user.name': undefined } }
}

function start(append: (lines: string) => Promise<void>) {
  const clock = createManualClock()
  const metrics = createMetrics()
  const end = newChain('operator-0', clock.now())
  const log = createAuditLog({ sink: { append }, end, clock, log: silentLog, metrics })
  return {
    clock,
    log,
    async counted(): Promise<readonly string[]> {
      return (await metrics.text()).split('\n').filter((line) => line.startsWith('hauberk_audit_'))
    },
  }
}

async function written(count: number): Promise<readonly string[]> {
  let text = ''
  const { log } = start(async (lines) => {
    text += lines
  })
  for (let i = 0; i < count; i++) log.record(event(i))
  await log.close()
  return text.trimEnd().split('\n')
}

function verified(lines: readonly string[]): Verification {
  const verifier = createVerifier()
  lines.forEach((line, i) => {
    verifier.add('audit.log', i + 1, line)
  })
  return verifier.result()
}

test('an event becomes a record of ECS that names its chain, its place in it and the record before', async () => {
  const [first = '', second = ''] = await written(2)
  const { 'event.hash': hash, ...rest } = JSON.parse(first)
  assert.deepEqual(rest, {
    '@timestamp': '2026-01-01T00:00:00.000Z',
    'log.level': 'info',
    message: 'audit',
    'ecs.version': '8.10.0',
    'event.dataset': 'hauberk.audit',
    'event.kind': 'event',
    'event.category': ['iam'],
    'event.type': ['creation'],
    'event.action': 'certificate-issued',
    'event.sequence': 1,
    'hauberk.audit.chain': 'operator-0@2026-01-01T00:00:00.000Z',
    'hauberk.audit.previous': GENESIS,
    'x509.serial_number': '0',
  })
  assert.match(hash, /^[0-9a-f]{64}$/)
  assert.equal(JSON.parse(second)['hauberk.audit.previous'], hash)
})

test('a log that nobody has touched holds, and says where it ends', async () => {
  const lines = await written(700)
  const result = verified(lines)
  assert.ok(result.ok)
  assert.deepEqual(
    result.chains.map(({ records, from, lost, end }) => [records, from, lost, end.sequence, end.hash]),
    [[700, 1, 0, 700, JSON.parse(lines.at(-1) ?? '')['event.hash']]],
  )
})

test('the first record that was changed, taken out, put in or moved is found, and said what is wrong with', async () => {
  const lines = await written(6)
  const at = (changed: readonly string[]) => {
    const result = verified(changed)
    assert.ok(!result.ok)
    return `${result.broken.line} ${result.broken.sequence}: ${result.broken.reason}`
  }
  const other = JSON.stringify({ ...JSON.parse(lines[2] ?? ''), 'x509.serial_number': '99' })
  assert.equal(at(lines.with(2, other)), '3 3: its hash is that of another record: it was changed')
  assert.equal(at(lines.toSpliced(2, 2)), '3 5: records 3 to 4 are missing before it')
  assert.equal(at([lines[0]!, lines[2]!, lines[1]!]), '2 3: records 2 to 2 are missing before it')
  assert.equal(at(lines.toSpliced(3, 0, lines[1]!)), '4 2: record 3 stands before it: it was put in, or moved')
  assert.equal(at(lines.with(4, (lines[4] ?? '').slice(0, 200))), '5 undefined: it is a part of a record, or of none')

  // A record that is whole in itself, made by somebody who knows how, does not fit to the next one.
  const [, forged = ''] = await writtenWith(['0', 'x'])
  const second = at(lines.with(1, forged))
  assert.equal(second, '3 3: it does not follow the record 2 that stands before it: one of both was replaced')
})

async function writtenWith(serials: readonly string[]): Promise<readonly string[]> {
  let text = ''
  const { log } = start(async (lines) => {
    text += lines
  })
  for (const serial of serials) log.record({ action: 'certificate-issued', fields: { 'x509.serial_number': serial } })
  await log.close()
  return text.trimEnd().split('\n')
}

test('whichever character of whichever record becomes another one, it is found', async () => {
  const lines = await written(4)
  fc.assert(
    fc.property(fc.nat(3), fc.nat(), fc.integer({ min: 0x20, max: 0x7e }), (index, place, code) => {
      const line = lines[index] ?? ''
      const at = place % line.length
      const changed = line.slice(0, at) + String.fromCharCode(code) + line.slice(at + 1)
      if (changed === line) return
      const result = verified(lines.with(index, changed))
      // What is no record of the audit log any more is missed by its neighbours: at either end there is none, and the chain is shorter.
      const chain = result.ok ? result.chains[0] : undefined
      const isGone = chain !== undefined && (chain.from > 1 || chain.end.sequence < 4)
      assert.ok(!result.ok || isGone, changed)
    }),
  )
})

test('several chains and other lines may stand in one log', async () => {
  const ours = await written(3)
  const lines = [
    '{"message":"translated"}',
    ours[0]!,
    'not JSON at all',
    JSON.stringify({ message: 'the dataset hauberk.audit is written' }),
    ours[1]!,
    ours[2]!,
  ]
  const result = verified(lines)
  assert.ok(result.ok)
  assert.equal(result.chains[0]?.records, 3)
  assert.deepEqual(verified(ours.slice(1)), {
    ok: true,
    chains: [{ chain: 'operator-0@2026-01-01T00:00:00.000Z', from: 2, records: 2, lost: 0, end: endOf(ours[2]!) }],
  })
})

function endOf(line: string) {
  const record = JSON.parse(line)
  return { chain: record['hauberk.audit.chain'], sequence: record['event.sequence'], hash: record['event.hash'] }
}

test('F11: a disk that is full holds nobody up, and what could not be written meanwhile is written later', async () => {
  let text = ''
  let isFull = true
  const { log, clock, counted } = start(async (lines) => {
    if (isFull) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
    text += lines
  })
  for (let i = 0; i < 3; i++) log.record(event(i))
  await clock.advance(5_000)
  assert.equal(log.end().sequence, 0)
  isFull = false
  log.record(event(3))
  await clock.advance(1_000)
  const result = verified(text.trimEnd().split('\n'))
  assert.ok(result.ok)
  assert.equal(result.chains[0]?.records, 4)
  assert.deepEqual(await counted(), ['hauberk_audit_records_total 4', 'hauberk_audit_events_lost_total 0'])
})

test('F11: more events than may wait are lost, and the next record says how many', async () => {
  let text = ''
  let isFull = true
  const { log, clock, counted } = start(async (lines) => {
    if (isFull) throw new Error('no space left')
    text += lines
  })
  for (let i = 0; i < MAX_QUEUED_EVENTS + 7; i++) log.record(event(i))
  await clock.advance(0)
  isFull = false
  await clock.advance(1_000)
  log.record(event(0))
  await log.close()
  const result = verified(text.trimEnd().split('\n'))
  assert.ok(result.ok)
  assert.equal(result.chains[0]?.records, MAX_QUEUED_EVENTS + 1)
  assert.equal(result.chains[0]?.lost, 7)
  assert.deepEqual(await counted(), [
    `hauberk_audit_records_total ${MAX_QUEUED_EVENTS + 1}`,
    'hauberk_audit_events_lost_total 7',
  ])
})

test('the end of the process writes what waits', async () => {
  const lines = await written(1_200)
  assert.equal(lines.length, 1_200)
})
