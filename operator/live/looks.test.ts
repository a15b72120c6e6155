import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EdgeCounts } from '../../contract/edges.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createLooks, type Looked, MAX_ASKED, MAX_LOOKS } from './looks.ts'
import { createEdgeTable, edgesSince, MAX_EDGES, mergeReports } from './mesh-edges.ts'

const ORDERS = { workload: 'shop/orders', spiffeId: 'spiffe://mesh/ns/shop/sa/orders' }

function counts(peer: string, requests = 1, change: Partial<EdgeCounts> = {}): EdgeCounts {
  const security = peer === '' ? 'plaintext' : 'mtls'
  const none = { denied: 0, failed: 0, connections: 0, open: 0 }
  return { direction: 'inbound', peer, security, requests, ...none, latencies: [[4, requests]], ...change }
}

function world(sidecars: number, contract = 3) {
  const clock = createManualClock(0)
  const looks = createLooks<number>(clock)
  const asked: (readonly [sidecar: number, id: number])[] = []
  const all = new Map<number, Looked>(
    Array.from({ length: sidecars }, (_, i) => [i, { teller: ORDERS, contract, ask: (id) => asked.push([i, id]) }]),
  )
  return { clock, looks, asked, all }
}

test('a look ends when all have answered, and what the sidecars of one workload tell is one', async () => {
  const { looks, asked, all } = world(2)
  const looked = looks.edges(all)
  for (const [sidecar, id] of asked) looks.answer(sidecar, id, [counts('', sidecar + 1)], 1)
  const report = await looked
  assert.equal(report?.told, 2)
  assert.equal(report?.omitted, 2)
  assert.deepEqual(
    report?.edges.map(({ from, to, requests }) => [from.name, to.name, requests]),
    [['unidentified', 'shop/orders', 3]],
  )
})

test('whoever does not answer in time is silent, and heard no more; nobody answers twice', async () => {
  const { clock, looks, asked, all } = world(2)
  const looked = looks.edges(all)
  const [[first, id] = [0, 0], [second] = [0, 0]] = asked
  looks.answer(first, id, [counts('')], 0)
  looks.answer(first, id, [counts('')], 0)
  await clock.advance(2_000)
  const report = await looked
  assert.deepEqual([report?.told, report?.silent, report?.edges[0]?.requests], [1, 1, 1])
  looks.answer(second, id, [counts('')], 0)
})

test('T27: looks, those who are asked, and the edges of one report are bounded', async () => {
  const { clock, looks, asked, all } = world(MAX_ASKED + 5)
  const waiting = Array.from({ length: MAX_LOOKS }, () => looks.edges(all))
  assert.equal(await looks.edges(all), undefined)
  assert.equal(asked.length, MAX_LOOKS * MAX_ASKED)
  await clock.advance(2_000)
  for (const report of await Promise.all(waiting)) assert.equal(report?.notAsked, 5)
  assert.equal((await looks.edges(new Map()))?.told, 0)

  const table = createEdgeTable()
  for (let i = 0; i < MAX_EDGES + 7; i++) table.add({ ...ORDERS, workload: `shop/w${i}` }, [counts('')], 0)
  assert.equal(table.edges().length, MAX_EDGES)
  assert.equal(table.omitted, 7)
})

test('what several operators tell of their own sidecars is one, and what one of them forgot counts as nothing rather than less', () => {
  const report = (edges: readonly EdgeCounts[]) => {
    const table = createEdgeTable()
    table.add(ORDERS, edges, 0)
    return { edges: table.edges(), omitted: 0, told: 1, silent: 0, unable: 0, notAsked: 0 }
  }
  const web = 'spiffe://mesh/ns/shop/sa/web'
  const both = mergeReports([report([counts(web, 5)]), report([counts(web, 2), counts('', 9)])])
  assert.deepEqual(
    both.edges.map(({ from, requests, latencies }) => [from.name, requests, latencies]),
    [
      ['unidentified', 9, [[4, 9]]],
      ['shop/web', 7, [[4, 7]]],
    ],
  )
  assert.equal(both.told, 2)
  const later = report([counts(web, 11), counts('', 4)])
  assert.deepEqual(
    edgesSince(both.edges, later.edges).map(({ from, requests, p50Ms }) => [from.name, requests, p50Ms]),
    [
      ['shop/web', 4, 0.2],
      ['unidentified', 0, undefined],
    ],
  )
})

test('ends are called by what they have proven, and by what they are where they have proven nothing', () => {
  const table = createEdgeTable()
  const outbound = { direction: 'outbound', security: 'opaque' } as const
  table.add(
    ORDERS,
    [
      counts('*'),
      counts('', 1, { direction: 'gateway', security: 'tls' }),
      counts('egress/web', 1, outbound),
      counts('', 1, outbound),
      counts('*', 1, outbound),
    ],
    0,
  )
  const ends = table.edges().map(({ from, to }) => `${from.name} -> ${to.name}`)
  assert.deepEqual(ends.sort(), [
    'others -> shop/orders',
    'outside -> shop/orders',
    'shop/orders -> egress/web',
    'shop/orders -> others',
    'shop/orders -> undeclared',
  ])
})
