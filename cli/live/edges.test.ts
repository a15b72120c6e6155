import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EdgesReport, MeshEdge } from '../../operator/live/mesh-edges.ts'
import { runHauberk } from '../testing/run-hauberk.ts'
import { runningMesh } from '../testing/running-mesh.ts'
import { formatEdges } from './edges-text.ts'

const EDGE: MeshEdge = {
  from: { name: 'shop/storefront', identity: 'spiffe://mesh/ns/shop/sa/storefront' },
  to: { name: 'shop/orders', identity: 'spiffe://mesh/ns/shop/sa/orders' },
  ...{ security: 'mtls', requests: 120, denied: 3, failed: 0, connections: 0, open: 0 },
  ...{ latencies: [[17, 120]], p50Ms: 1.9, p99Ms: 1.9 },
}
const REPORT: EdgesReport = {
  edges: [
    EDGE,
    {
      from: { name: 'outside' },
      to: { name: 'hauberk-system/gateway-shop-front', identity: 'spiffe://mesh/ns/hauberk-system/sa/gateway' },
      ...{ security: 'plaintext', requests: 0, denied: 0, failed: 0, connections: 4, open: 2, latencies: [] },
    },
  ],
  ...{ omitted: 0, told: 2, silent: 1, unable: 0, notAsked: 0 },
}

/** An operator that has counted 30 more requests each time that it is asked. */
function meshWith(t: Parameters<typeof runningMesh>[0], report: EdgesReport) {
  let asked = 0
  const handle = () => {
    const more = 30 * asked++
    if (!Array.isArray(report.edges)) return { body: JSON.stringify(report) }
    const [first, ...rest] = report.edges
    const grown = first && { ...first, requests: first.requests + more, latencies: [[17, 120 + more] as const] }
    return { body: JSON.stringify({ ...report, edges: [...(grown ? [grown] : []), ...rest] }) }
  }
  return runningMesh(t, {
    proxies: [],
    status: { resources: [], workloads: [], issuers: [], fileIssues: [] },
    operatorRoutes: [{ method: 'GET', path: '/edges', handle }],
  })
}

test('edges are a table with who has proven to be whom, and say who did not answer', async (t) => {
  const state = await meshWith(t, REPORT)
  const { code, stdout, stderr } = await runHauberk(['edges', '--state', state], { cwd: '/' })
  assert.equal(code, 0, stderr)
  assert.match(
    stdout,
    /^shop\/storefront +shop\/orders +mTLS +120 +3 +0 +1\.9ms +1\.9ms +- +spiffe:\S+storefront +spiffe:\S+orders$/m,
  )
  assert.match(stdout, /^outside +\S+ +plaintext +0 +0 +0 +- +- +6 \(2 open\) +- +spiffe:/m)
  assert.equal(stderr, '1 sidecar did not answer\n')
})

test('top tells what came since it looked before', async (t) => {
  const state = await meshWith(t, REPORT)
  const args = ['top', '--state', state, '--count', '1', '--interval', '1', '-o', 'json']
  const { code, stdout, stderr } = await runHauberk(args, { cwd: '/' })
  assert.equal(code, 0, stderr)
  const { seconds, edges } = JSON.parse(stdout)
  assert.ok(seconds >= 1)
  assert.deepEqual(
    edges.map(({ requests, denied, open, latencies }: MeshEdge) => ({ requests, denied, open, latencies })),
    [
      { requests: 30, denied: 0, open: 0, latencies: [[17, 30]] },
      { requests: 0, denied: 0, open: 2, latencies: [] },
    ],
  )
})

test('T32: whatever a name holds, it does not write to the terminal', async (t) => {
  const name = 'evil\u001b[2J\u202e'
  const state = await meshWith(t, { ...REPORT, edges: [{ ...EDGE, from: { name, identity: name } }] })
  const table = await runHauberk(['edges', '--state', state], { cwd: '/' })
  const json = await runHauberk(['edges', '--state', state, '-o', 'json'], { cwd: '/' })
  for (const { stdout } of [table, json]) assert.doesNotMatch(stdout, /[\u001b\u202e]/)
  assert.match(table.stdout, /evil\\u\{1b\}\[2J\\u\{202e\}/)
})

test('an operator of another release is said to be one', async (t) => {
  const state = await meshWith(t, { edges: 'what?' } as unknown as EdgesReport)
  const { code, stderr } = await runHauberk(['edges', '--state', state], { cwd: '/' })
  assert.equal(code, 1)
  assert.match(stderr, /operator/)
})

test('latencies are told in a unit that can be read', () => {
  const of = (p50Ms: number, p99Ms: number) =>
    formatEdges({ ...REPORT, edges: [{ ...EDGE, p50Ms, p99Ms }] }, (_, text) => text)
  assert.match(of(0.14, 12.6), /0\.1ms +13ms/)
  assert.match(of(999, 1_234), /999ms +1\.2s/)
})
