import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createAcknowledgementTable, type SidecarStanding } from '../push/acknowledgements.ts'
import { createDryRunTable } from '../status/dry-run-counts.ts'
import { everyoneOf } from './everyone.ts'
import type { ReplicaUpdate } from './messages.ts'
import { createReplicaTable, MAX_REPLICAS, type ReplicaTableOptions } from './replica-table.ts'

function sidecar(change: Partial<SidecarStanding> = {}): SidecarStanding {
  const documents = { config: { acknowledged: 'v1' } }
  return {
    workload: 'shop/orders',
    pod: 'shop/orders-1',
    connected: true,
    release: '0',
    contract: 1,
    since: 0,
    documents,
    ...change,
  }
}

function update(change: Partial<ReplicaUpdate>): ReplicaUpdate {
  return { type: 'update', sidecars: [], left: [], dryRuns: [], forgotten: [], ...change } as ReplicaUpdate
}

const told = (key: string, change: Partial<SidecarStanding> = {}) =>
  update({ sidecars: [{ key, sidecar: sidecar(change) }] } as Partial<ReplicaUpdate>)

function start(options: Partial<ReplicaTableOptions> = {}) {
  const clock = createManualClock()
  const table = createReplicaTable({ clock, log: silentLog, ...options })
  const pods = () => table.of('shop/orders').map(({ pod }) => pod)
  return { clock, table, pods }
}

test('what a replica tells counts once it has told everything, and each change from then on', () => {
  const { table, pods } = start()
  let changes = 0
  table.onChange(() => {
    changes += 1
  })
  const stream = table.begin('b', '0')
  stream.update(told('1', { pod: 'shop/orders-1' }))
  assert.deepEqual(pods(), [])
  stream.whole()
  assert.deepEqual(pods(), ['shop/orders-1'])
  stream.update(told('2', { pod: 'shop/orders-2' }))
  stream.update(update({ left: ['1'] }))
  assert.deepEqual(pods(), ['shop/orders-2'])
  assert.ok(changes >= 4)
})

test('a replica that comes back in time is counted by what it told before until it has told everything anew', async () => {
  const { clock, table, pods } = start({ graceMs: 1_000 })
  const first = table.begin('b', '0')
  first.update(told('1'))
  first.whole()
  first.end()
  await clock.advance(900)
  const second = table.begin('b', '0')
  await clock.advance(60_000)
  assert.deepEqual(pods(), ['shop/orders-1'])
  second.update(told('9', { pod: 'shop/orders-9' }))
  assert.deepEqual(pods(), ['shop/orders-1'])
  second.whole()
  assert.deepEqual(pods(), ['shop/orders-9'])
})

test('a replica that does not come back counts no longer after a grace', async () => {
  const { clock, table, pods } = start({ graceMs: 1_000 })
  const stream = table.begin('b', '0')
  stream.update(told('1'))
  stream.whole()
  stream.end()
  assert.deepEqual(table.replicas(), [{ replica: 'b', release: '0', connected: false, sidecars: 1 }])
  await clock.advance(1_100)
  assert.deepEqual(pods(), [])
  assert.deepEqual(table.replicas(), [])
})

test('only the newest connection of a replica tells, and the end of an older one ends nothing', async () => {
  const { clock, table, pods } = start({ graceMs: 1_000 })
  const older = table.begin('b', '0')
  const newer = table.begin('b', '0')
  newer.update(told('2', { pod: 'shop/orders-2' }))
  newer.whole()
  assert.equal(older.update(told('1')), false)
  older.whole()
  older.end()
  await clock.advance(60_000)
  assert.deepEqual(pods(), ['shop/orders-2'])
})

test('an operator that stops leading forgets what it was told', async () => {
  const { clock, table, pods } = start({ graceMs: 1_000 })
  const stream = table.begin('b', '0')
  stream.update(told('1'))
  stream.whole()
  table.clear()
  assert.deepEqual(pods(), [])
  assert.equal(stream.update(told('1')), false)
  stream.end()
  await clock.advance(60_000)
  assert.deepEqual(table.replicas(), [])
})

test('replicas and what one of them tells are bounded', () => {
  const { table } = start({ maxSidecars: 10 })
  const stream = table.begin('b', '0')
  for (let i = 0; i < 10; i++) assert.equal(stream.update(told(`${i}`)), true)
  assert.equal(stream.update(told('one too many')), false)
  for (let i = 0; i < MAX_REPLICAS + 5; i++) table.begin(`r${i}`, '0')
  assert.equal(table.replicas().length, MAX_REPLICAS)
  assert.equal(table.begin('another', '0').update(told('1')), false)
})

test('a sidecar that went from one operator to another counts by its newer session', () => {
  const { table } = start()
  const own = { acknowledgements: createAcknowledgementTable(), dryRuns: createDryRunTable() }
  const everyone = everyoneOf(own, table)
  const newest = () => new Map(everyone.acknowledgements.of('shop/orders').map((one) => [one.pod, one.since]))
  own.acknowledgements.connect('here', sidecar({ since: 5 }))
  const stream = table.begin('b', '0')
  stream.update(told('there', { since: 7 }))
  stream.whole()
  assert.deepEqual([...newest()], [['shop/orders-1', 7]])
  stream.update(told('there', { since: 3 }))
  assert.deepEqual([...newest()], [['shop/orders-1', 5]])
  assert.equal(everyone.acknowledgements.all().length, 2)
})

test('what dry runs counted adds up over operators, for one generation of a policy', () => {
  const { table } = start()
  const own = { acknowledgements: createAcknowledgementTable(), dryRuns: createDryRunTable() }
  const everyone = everyoneOf(own, table)
  own.dryRuns.add('shop/orders@3', 'a', 1)
  const stream = table.begin('b', '0')
  stream.update(update({ dryRuns: [{ policy: 'shop/orders', generation: 3, counts: { a: 2, b: 4 } }] }))
  stream.whole()
  assert.deepEqual([...(everyone.dryRunsOf('shop/orders', 3) ?? [])].sort(), [
    ['a', 3],
    ['b', 4],
  ])
  stream.update(update({ dryRuns: [{ policy: 'shop/orders', generation: 4, counts: { a: 9 } }] }))
  assert.deepEqual([...(everyone.dryRunsOf('shop/orders', 3) ?? [])], [['a', 1]])
  assert.deepEqual([...(everyone.dryRunsOf('shop/orders', 4) ?? [])], [['a', 9]])
  stream.update(update({ forgotten: ['shop/orders'] }))
  assert.equal(everyone.dryRunsOf('shop/orders', 4), undefined)
})
