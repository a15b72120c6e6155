import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WorkloadId } from '../../model/workload-id.ts'
import { ACCEPTED, RESOLVED, type ResourceReport } from '../translate/report.ts'
import type { WorkloadStanding } from './conditions.ts'
import { routeParents } from './route-status.ts'

const CALLERS = ['lab/front' as WorkloadId, 'shop/web' as WorkloadId]

const REPORT: ResourceReport = {
  kind: 'HTTPRoute',
  namespace: 'shop',
  name: 'orders',
  generation: 3,
  issues: [],
  selected: CALLERS,
  parents: [
    {
      parentRef: { group: '', kind: 'Service', name: 'orders' },
      service: 'shop/orders',
      callers: CALLERS,
      accepted: ACCEPTED,
      resolvedRefs: RESOLVED,
    },
  ],
}

function standing(workload: string, more: Partial<WorkloadStanding> = {}): WorkloadStanding {
  return { workload, selected: 1, acknowledged: 1, rejected: 0, unmeshed: 0, ...more }
}

function programmed(...standings: readonly WorkloadStanding[]) {
  const [parent] = routeParents(REPORT, standings)
  assert.deepEqual(parent?.parentRef, { group: '', kind: 'Service', name: 'orders' })
  const found = parent.conditions.find(({ type }) => type === 'Programmed')
  return [found?.status, found?.reason, found?.message]
}

test('a route at a Service is programmed when the sidecars of all callers have acknowledged it', () => {
  const told = (acknowledged: number) => programmed(standing('lab/front'), standing('shop/web', { acknowledged }))
  assert.deepEqual(told(1), ['True', 'Programmed', 'All 2 sidecars obey it.'])
  assert.deepEqual(told(0), ['False', 'Reconciling', '1 of 2 sidecars have acknowledged it.'])
})

test('F20: a caller whose sidecar has no word for routes at Services does without, and the route says so', () => {
  const older = standing('shop/web', { unsupported: ['HTTPRoute/shop/orders@3'] })
  const [status, reason, message] = programmed(standing('lab/front'), older)
  assert.deepEqual([status, reason], ['False', 'UnsupportedBySidecar'])
  assert.match(message ?? '', /do without: shop\/web/)
  // A SecurityPolicy of the same name and generation is another resource.
  assert.equal(programmed(standing('lab/front', { unsupported: ['shop/orders@3'] }), standing('shop/web'))[0], 'True')
})

test('callers without a sidecar do not keep to it', () => {
  const [status, reason, message] = programmed(standing('lab/front', { unmeshed: 1 }), standing('shop/web'))
  assert.deepEqual([status, reason], ['False', 'Unmeshed'])
  assert.match(message ?? '', /do not obey it: lab\/front/)
})
