import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withTransitionTimes } from './transition-times.ts'

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678)
const accepted = { type: 'Accepted', status: 'True', reason: 'Accepted', message: '', observedGeneration: 2 }

test('a condition keeps its time as long as its status is the same, whatever else changes', () => {
  const before = [{ ...accepted, reason: 'Other', observedGeneration: 1, lastTransitionTime: '2025-01-01T00:00:00Z' }]
  assert.deepEqual(withTransitionTimes([accepted], before, NOW), [
    { ...accepted, lastTransitionTime: '2025-01-01T00:00:00Z' },
  ])
})

test('a condition that changes, or is new, has the time of now in whole seconds', () => {
  const changed = [{ ...accepted, status: 'False', lastTransitionTime: '2025-01-01T00:00:00Z' }]
  for (const before of [changed, [], undefined, null, 'x', [null, 7]]) {
    const [condition] = withTransitionTimes([accepted], before, NOW)
    assert.equal(condition?.lastTransitionTime, '2026-01-02T03:04:05Z')
  }
})
