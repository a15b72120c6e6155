import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PeakEwma } from './latency.ts'

test('bad news is believed at once, good news little by little', () => {
  const latency = new PeakEwma()
  assert.equal(latency.at(0), 0)
  latency.observe(10, 0)
  assert.equal(latency.at(0), 10)
  latency.observe(500, 1_000)
  assert.equal(latency.at(1_000), 500)
  latency.observe(10, 2_000)
  const afterOne = latency.at(2_000)
  assert.ok(afterOne > 400 && afterOne < 500, String(afterOne))
  for (let nowMs = 3_000; nowMs <= 60_000; nowMs += 1_000) latency.observe(10, nowMs)
  const afterMany = latency.at(60_000)
  assert.ok(afterMany >= 10 && afterMany < 12, String(afterMany))
})

test('whoever was slow once is not slow for ever: silence fades', () => {
  const latency = new PeakEwma()
  latency.observe(1_000, 0)
  assert.equal(latency.at(10_000), 500)
  assert.ok(latency.at(600_000) < 20)
})
