import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ReportedResource, StatusReport } from '../../operator/status/report.ts'
import { runHauberk } from '../testing/run-hauberk.ts'
import { runningMesh } from '../testing/running-mesh.ts'
import { ofNamespace } from './of-namespace.ts'
import { formatStatus } from './status-text.ts'

function resource(
  kind: string,
  namespace: string | undefined,
  name: string,
  status: 'True' | 'False',
): ReportedResource {
  const condition = { type: 'Programmed' as const, status, reason: 'Unmeshed', message: 'Pods without a sidecar.' }
  return {
    ...{ kind, name, ...(namespace !== undefined && { namespace }), issues: [] },
    status: {
      observedGeneration: 1,
      conditions: [{ ...condition, observedGeneration: 1 }],
      workloads: { selected: 2, acknowledged: 1, rejected: 0, summary: '1/2' },
    },
  }
}

const workload = (name: string, role: 'sidecar' | 'gateway' = 'sidecar') => ({
  ...{ workload: name, role, spiffeId: `spiffe://cluster.local/${name}`, version: 'v'.repeat(20) },
  sidecars: [
    { pod: `${name}-1`, release: '0.1.0', acknowledged: 'v'.repeat(20) },
    { pod: `${name}-2`, release: '0.1.0' },
  ],
})

const REPORT: StatusReport = {
  resources: [
    resource('SecurityPolicy', 'shop', 'orders', 'False'),
    resource('SecurityPolicy', 'other', 'web', 'True'),
    resource('MeshSecurityPolicy', undefined, 'baseline', 'True'),
    resource('Gateway', 'shop', 'front', 'True'),
  ],
  workloads: [workload('shop/orders'), workload('other/web'), workload('hauberk-system/gateway-shop-front', 'gateway')],
  issuers: [{ name: 'corp', keys: 2 }],
  fileIssues: [],
}

test('of one namespace one sees its own, what is of no namespace, and the workloads of its Gateways', () => {
  const { resources, workloads } = ofNamespace(REPORT, 'shop')
  assert.deepEqual(
    resources.map(({ name }) => name),
    ['orders', 'baseline', 'front'],
  )
  assert.deepEqual(
    workloads.map((each) => each.workload),
    ['shop/orders', 'hauberk-system/gateway-shop-front'],
  )
})

test('a route is shown with what its parents are told', () => {
  const route = resource('HTTPRoute', 'shop', 'orders', 'True')
  const at = (name: string, status: 'True' | 'False') => ({
    parentRef: { kind: 'Gateway', name },
    conditions: resource('Gateway', 'shop', name, status).status.conditions,
  })
  const shown = (...parents: readonly ReturnType<typeof at>[]) => {
    const bare = { ...route, status: { ...route.status, conditions: [] }, parents }
    const text = formatStatus({ ...REPORT, resources: [bare] }, (_, cell) => cell)
    return text.split('\n').filter((line) => line.startsWith('HTTPRoute'))
  }
  const [line = '', ...others] = shown(at('front', 'True'))
  assert.match(line, /^HTTPRoute\/shop\/orders +True +1\/2$/)
  assert.deepEqual(others, [])
  const [first = '', second = ''] = shown(at('front', 'True'), at('back', 'False'))
  assert.match(first, /^HTTPRoute\/shop\/orders at Gateway\/front +True /)
  assert.match(second, /^HTTPRoute\/shop\/orders at Gateway\/back +False +1\/2 +Unmeshed: Pods without a sidecar/)
})

test('policies are shown with what keeps them from being in force, and workloads with who obeys', async (t) => {
  const state = await runningMesh(t, { proxies: [], status: REPORT })
  const [table, json] = await Promise.all([
    runHauberk(['status', '--state', state], { cwd: '/' }),
    runHauberk(['status', '--state', state, '-o', 'json'], { cwd: '/' }),
  ])
  assert.equal(table.code, 0, table.stderr)
  assert.match(table.stdout, /^SecurityPolicy\/shop\/orders +False +1\/2 +Unmeshed: Pods without a sidecar\.$/m)
  assert.match(table.stdout, /^shop\/orders +sidecar +1\/2 +v{12} +0\.1\.0 +spiffe:/m)
  assert.match(table.stdout, /^corp +2 +never$/m)
  assert.deepEqual(JSON.parse(json.stdout), REPORT)
})
