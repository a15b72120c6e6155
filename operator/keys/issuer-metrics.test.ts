import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMetrics } from '../../runtime/metrics.ts'
import type { IssuerState } from './issuer-keys.ts'
import { addIssuerMetrics } from './issuer-metrics.ts'

test('each issuer is told of with the age of its keys and whether they can be fetched, and forgotten when it is gone', async () => {
  const metrics = createMetrics()
  let states: readonly IssuerState[] = [
    { name: 'shop', keys: 2, fetchedAt: 5_000 },
    { name: 'never', keys: 0, failure: 'refused' },
  ]
  addIssuerMetrics(metrics, () => states)
  const lines = async () => (await metrics.text()).split('\n').filter((line) => line.startsWith('hauberk_issuer'))
  assert.deepEqual(await lines(), [
    'hauberk_issuer_keys_fetched_seconds{issuer="shop"} 5',
    'hauberk_issuer_keys_failing{issuer="shop"} 0',
    'hauberk_issuer_keys_failing{issuer="never"} 1',
  ])
  states = []
  assert.deepEqual(await lines(), [])
})
