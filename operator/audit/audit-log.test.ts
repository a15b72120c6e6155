import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import type { AuditEvent } from './audit.ts'
import { type AuditTail, createAuditLog } from './audit-log.ts'
import { endWith, GENESIS } from './record.ts'
import { verifyText } from './testing/verify-text.ts'

function event(i: number): AuditEvent {
  return { action: 'certificate-issued', fields: { 'x509.serial_number': String(i), 'user.name': undefined } }
}

/** More than are written at once. */
const MAX_QUEUED = 600

function start(append: (lines: string) => Promise<void>, tail: AuditTail = { end: undefined }) {
  const clock = createManualClock()
  const metrics = createMetrics()
  const store = { open: async () => tail, append }
  const log = createAuditLog({ store, name: 'operator-0', maxQueued: MAX_QUEUED, clock, log: silentLog, metrics })
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

test('an event becomes a record of ECS that names its chain, its place in it and the record before', async () => {
  const [first = '', second = ''] = await written(2)
  const { 'event.hash': hash, ...rest } = JSON.parse(first)
  assert.deepEqual(rest, {
    '@timestamp': '2026-01-01T00:00:00.000Z',
    'log.level': 'info',
    message: 'audit',
    'ecs.version': '8.10.0',
    'service.name': 'hauberk-operator',
    'event.dataset': 'hauberk.audit',
    'event.kind': 'event',
    'event.category': ['iam'],
    'event.type': ['creation'],
    'event.outcome': 'success',
    'event.action': 'certificate-issued',
    'event.sequence': 1,
    'hauberk.audit.chain': 'operator-0@2026-01-01T00:00:00.000Z',
    'hauberk.audit.previous': GENESIS,
    'x509.serial_number': '0',
  })
  assert.match(hash, /^[0-9a-f]{64}$/)
  assert.equal(JSON.parse(second)['hauberk.audit.previous'], hash)
})

test('F11: a disk that is full holds nobody up, and what could not be written meanwhile is written later', async () => {
  let text = ''
  let isFull = true
  const { log, clock, counted } = start(async (lines) => {
    if (isFull) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
    text += lines
  })
  for (let i = 0; i < 3; i++) log.record(event(i))
  await clock.advance(5_000)
  assert.equal(log.end(), undefined)
  isFull = false
  log.record(event(3))
  await clock.advance(1_000)
  const result = verifyText(text)
  assert.deepEqual(result.broken, [])
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
  for (let i = 0; i < MAX_QUEUED + 7; i++) log.record(event(i))
  await clock.advance(0)
  isFull = false
  await clock.advance(1_000)
  log.record(event(0))
  await log.close()
  const result = verifyText(text)
  assert.deepEqual(result.broken, [])
  assert.equal(result.chains[0]?.records, MAX_QUEUED + 1)
  assert.equal(result.chains[0]?.lost, 7)
  assert.deepEqual(await counted(), [
    `hauberk_audit_records_total ${MAX_QUEUED + 1}`,
    'hauberk_audit_events_lost_total 7',
  ])
})

test('the end of the process writes what waits', async () => {
  const lines = await written(599)
  assert.equal(lines.length, 599)
})

test('a write that may have failed has the log looked at anew before the next one, so that the chain goes on from what is there', async () => {
  let text = ''
  let opened = 0
  const clock = createManualClock()
  const log = createAuditLog({
    store: {
      async open() {
        opened += 1
        const last = text.trimEnd().split('\n').at(-1) ?? ''
        return { end: last === '' ? undefined : endWith(JSON.parse(last)) }
      },
      async append(lines) {
        text += lines
        // It was written, and nobody was told.
        if (opened === 1) throw new Error('input/output error')
      },
    },
    name: 'operator-0',
    clock,
    log: silentLog,
    metrics: createMetrics(),
  })
  log.record(event(0))
  await clock.advance(1_000)
  await log.close()
  const { chains, broken } = verifyText(text)
  assert.deepEqual(broken, [])
  // Told twice is better than not at all.
  assert.equal(chains[0]?.records, 2)
})

test('what somebody else wrote into a field has a bound', async () => {
  let text = ''
  const { log } = start(async (lines) => {
    text += lines
  })
  log.record({
    action: 'policy-refused',
    fields: { 'user.name': 'u'.repeat(10_000), 'hauberk.issues': new Array(500).fill('i'.repeat(10_000)) },
  })
  await log.close()
  assert.ok(text.length < 20_000, String(text.length))
})
