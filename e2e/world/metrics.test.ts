import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMetrics } from '../../runtime/metrics.ts'
import { parseMetrics, sumOf } from './metrics.ts'

test('what our own metrics print is read back, with every label', async () => {
  const metrics = createMetrics()
  const counter = metrics.counter({ name: 'hauberk_things_total', help: 'Things.', labels: ['rule', 'policy'] })
  counter.handle({ rule: 'a "quoted" \\ one', policy: 'shop/orders@1' }).add()
  counter.handle({ rule: 'b', policy: 'shop/orders@2' }).add(2)
  const samples = parseMetrics(await metrics.text())
  assert.equal(sumOf(samples, 'hauberk_things_total'), 3)
  assert.equal(sumOf(samples, 'hauberk_things_total', { rule: 'a "quoted" \\ one' }), 1)
  assert.equal(sumOf(samples, 'hauberk_things_total', { policy: 'shop/orders@*' }), 3)
  assert.equal(sumOf(samples, 'hauberk_things_total', { policy: 'shop/orders@2' }), 2)
  assert.equal(sumOf(samples, 'hauberk_nothing_total'), 0)
})
