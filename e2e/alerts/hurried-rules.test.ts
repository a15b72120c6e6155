import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import { alertsIn, hurriedRules } from './hurried-rules.ts'

const RULES = `
groups:
- name: g
  rules:
  - record: r
    expr: sum by (a) (rate(x_total[5m]))
  - alert: A
    expr: r > 0.05 and y - time() < 30 * 86400
    for: 1m
    labels: {severity: warning}
`

test('ranges and `for` become shorter, and nothing else changes', () => {
  const { groups } = parse(hurriedRules(RULES, 20)) as { groups: { rules: unknown[] }[] }
  assert.deepEqual(groups[0]?.rules, [
    { record: 'r', expr: 'sum by (a) (rate(x_total[15s]))' },
    {
      alert: 'A',
      expr: 'r > 0.05 and y - time() < 30 * 86400',
      for: '3s',
      labels: { severity: 'warning' },
    },
  ])
  assert.deepEqual(alertsIn(RULES), [{ name: 'A', severity: 'warning' }])
})
