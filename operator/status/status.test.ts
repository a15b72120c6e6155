import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WorkloadId } from '../../model/workload-id.ts'
import { ACCEPTED, RESOLVED, type ResourceReport } from '../translate/report.ts'
import { statusOf, type WorkloadStanding } from './conditions.ts'
import { createDryRunTable, MAX_POLICIES, MAX_RULES } from './dry-run-counts.ts'

function report(change: Partial<ResourceReport> = {}): ResourceReport {
  return {
    kind: 'SecurityPolicy',
    namespace: 'shop',
    name: 'orders',
    generation: 3,
    issues: [],
    accepted: ACCEPTED,
    resolvedRefs: RESOLVED,
    selected: ['shop/orders' as WorkloadId],
    ...change,
  }
}

function standing(change: Partial<WorkloadStanding> = {}): WorkloadStanding {
  return { workload: 'shop/orders', selected: 2, acknowledged: 2, rejected: 0, unmeshed: 0, ...change }
}

function programmed(...[found, standings]: [ResourceReport, readonly WorkloadStanding[]]) {
  const { conditions } = statusOf(found, standings)
  const condition = conditions.find(({ type }) => type === 'Programmed')
  return condition && `${condition.status} ${condition.reason}`
}

test('Programmed is said only when every selected sidecar obeys it', () => {
  assert.equal(programmed(report(), [standing()]), 'True Programmed')
  assert.equal(programmed(report(), [standing({ acknowledged: 1 })]), 'False Reconciling')
  assert.equal(programmed(report(), [standing({ acknowledged: 1, rejected: 1 })]), 'False RejectedBySidecar')
  assert.equal(programmed(report(), [standing({ unmeshed: 1 })]), 'False Unmeshed')
  assert.equal(programmed(report(), [standing(), standing({ acknowledged: 0 })]), 'False Reconciling')
  assert.equal(programmed(report({ selected: [] }), []), 'True NoWorkloads')
})

test('F20: only the policy that a sidecar has no words for is unsupported there', () => {
  const older = standing({ unsupported: ['shop/orders@3'] })
  assert.equal(programmed(report(), [older, standing()]), 'False UnsupportedBySidecar')
  assert.equal(programmed(report({ name: 'other' }), [older]), 'True Programmed')
  assert.equal(programmed(report({ generation: 4 }), [older]), 'True Programmed')
})

test('what translation knows to be out of force is not made true by acknowledgements', () => {
  const overridden = { status: 'False', reason: 'Overridden', message: 'by another' } as const
  assert.equal(programmed(report({ programmed: overridden }), [standing()]), 'False Overridden')
  const invalid = { status: 'False', reason: 'Invalid', message: 'no' } as const
  assert.equal(programmed(report({ accepted: invalid }), [standing()]), 'False Invalid')
})

test('every condition names the generation that it speaks of', () => {
  const { conditions, observedGeneration } = statusOf(report(), [standing()])
  assert.equal(observedGeneration, 3)
  for (const condition of conditions) assert.equal(condition.observedGeneration, 3)
})

test('what a dry run counted is of one generation, and is gone after an edit', () => {
  const table = createDryRunTable()
  table.add('shop/orders@1', 'a', 2)
  table.add('shop/orders@1', 'b', 3)
  assert.deepEqual(statusOf(report(), [], table.of('shop/orders', 1)).dryRun, { wouldDeny: 5, topRule: 'b' })
  table.add('shop/orders@2', 'a', 1)
  table.add('shop/orders@1', 'a', 9)
  assert.equal(table.of('shop/orders', 1), undefined)
  assert.deepEqual([...(table.of('shop/orders', 2) ?? [])], [['a', 1]])
  table.keepOnly(new Set())
  assert.equal(table.of('shop/orders', 2), undefined)
})

test('policies and rules that are counted are bounded', () => {
  const table = createDryRunTable()
  for (let i = 0; i < MAX_RULES + 10; i++) table.add('p@1', `r${i}`, 1)
  assert.equal(table.of('p', 1)?.size, MAX_RULES + 1)
  assert.equal(table.of('p', 1)?.get('other'), 10)
  for (let i = 0; i < MAX_POLICIES + 10; i++) table.add(`q${i}@1`, 'r', 1)
  assert.equal(table.of(`q${MAX_POLICIES + 5}`, 1), undefined)
})
