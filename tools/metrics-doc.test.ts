import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readSourceTree } from './import-graph.ts'
import { documentedMetrics, metricsIn } from './metrics-doc.ts'

const ROOT = join(import.meta.dirname, '..')

test('docs/metrics.md has every metric with its kind and labels, and no other', () => {
  const document = readFileSync(join(ROOT, 'docs', 'metrics.md'), 'utf8')
  assert.deepEqual(documentedMetrics(document), metricsIn(readSourceTree(ROOT)))
})

test('metrics are found however they are defined', () => {
  const tree = new Map([
    ['model/filter.ts', "export type FilterCounter = 'tokens_cached' | 'keys_evicted'\n"],
    [
      'sidecar/observe/metrics.ts',
      [
        "metrics.histogram({\n  name: 'hauberk_seconds',\n  help: 'It\\'s long, in seconds.',\n  labels: ['direction', 'route'],\n})",
        "metrics.counter({ name: `hauberk_${name}_total`, help, labels: ['issuer'] })",
        "gauge(\n  'hauberk_open', 'Open ones.', read)",
      ].join('\n'),
    ],
    ['operator/main.ts', "metrics.gauge({ name: 'hauberk_sessions', help: 'Sidecars.' })"],
    ['samples/a.ts', "metrics.gauge({ name: 'hauberk_of_a_sample', help: '' })"],
  ])
  assert.deepEqual(metricsIn(tree), [
    { name: 'hauberk_keys_evicted_total', kind: 'counter', labels: ['issuer'] },
    { name: 'hauberk_open', kind: 'gauge', labels: [] },
    { name: 'hauberk_seconds', kind: 'histogram', labels: ['direction', 'route'] },
    { name: 'hauberk_sessions', kind: 'gauge', labels: [] },
    { name: 'hauberk_tokens_cached_total', kind: 'counter', labels: ['issuer'] },
  ])
})

test('a metric that is defined in a way that cannot be read is not overlooked', () => {
  const tree = new Map([['sidecar/a.ts', "define('hauberk_new_total')"]])
  assert.throws(() => metricsIn(tree), /hauberk_new_total/)
})
