import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SECTIONS } from '../../policies/sections.ts'
import { createValidator } from '../schema/validator.ts'
import { readTrafficPolicy } from './traffic-policy.ts'

const validate = createValidator(SECTIONS)

function written(spec: object) {
  return {
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'TrafficPolicy',
    metadata: { name: 'orders', namespace: 'shop' },
    spec: { targetRefs: [{ kind: 'Service', name: 'orders' }], ...spec },
  }
}

/** By the schema, as the API server has it, and by us. */
function issuesOf(spec: object): readonly string[] {
  const found = validate(structuredClone(written(spec)))
  const bySchema = found.kind === 'invalid' ? found.issues.map(({ issue: { path } }) => path) : []
  const byReading = readTrafficPolicy(written(spec)).issues.map(({ path }) => path)
  assert.deepEqual(bySchema.length > 0, byReading.length > 0, JSON.stringify({ bySchema, byReading }))
  return byReading
}

test('a TrafficPolicy that cannot be meant is refused where it is written', () => {
  assert.deepEqual(issuesOf({}), [])
  assert.deepEqual(issuesOf({ targetRefs: [] }), ['spec.targetRefs'])
  assert.deepEqual(issuesOf({ targetRefs: [{ kind: 'Gateway', name: 'x' }] }), ['spec.targetRefs[0].kind'])
  assert.deepEqual(issuesOf({ timeouts: { request: '25h' } }), ['spec.timeouts.request'])
  assert.deepEqual(issuesOf({ timeouts: { connect: '0s' } }), ['spec.timeouts.connect'])
  assert.deepEqual(issuesOf({ retry: { statusCodes: [200] } }), ['spec.retry.statusCodes[0]'])
  assert.deepEqual(issuesOf({ retry: { methods: ['GET /'] } }), ['spec.retry.methods[0]'])
  assert.deepEqual(issuesOf({ loadBalancing: { hash: {} } }), ['spec.loadBalancing.hash'])
  assert.deepEqual(issuesOf({ loadBalancing: { hash: { header: 'a', cookie: 'b' } } }), ['spec.loadBalancing.hash'])
  assert.deepEqual(issuesOf({ outlierEjection: { maxEjectedPercent: 0 } }), ['spec.outlierEjection.maxEjectedPercent'])
})

test('what the API server puts in is what holds where nobody put anything in', () => {
  const spec = { retry: { budget: {} }, circuitBreaker: {}, outlierEjection: {}, loadBalancing: { zonePreference: {} } }
  const found = validate(structuredClone(written(spec)))
  assert.ok(found.kind === 'valid')
  assert.deepEqual(readTrafficPolicy(found.resource).parts, readTrafficPolicy(written(spec)).parts)
})

test('the longest time is never shorter than the first', () => {
  const spec = { retry: { backoff: { base: '2s' } }, outlierEjection: { ejection: '1h' } }
  const { retry, outlier } = readTrafficPolicy(written(spec)).parts
  assert.deepEqual([retry?.settings.backoffMs, retry?.settings.maxBackoffMs], [2_000, 2_000])
  assert.deepEqual([outlier?.ejectionMs, outlier?.maxEjectionMs], [3_600_000, 3_600_000])
})

test('parts that come to nothing beside each other are told, and hold all the same', () => {
  const told = (spec: object) =>
    readTrafficPolicy(written(spec)).issues.map(({ code, severity, path }) => `${severity} ${code} ${path}`)
  const warning = (path: string) => [`warning traffic-without-effect ${path}`]
  assert.deepEqual(told({ timeouts: { request: '1s', try: '2s' } }), warning('spec.timeouts.try'))
  assert.deepEqual(told({ retry: { conditions: [] } }), warning('spec.retry.conditions'))
  assert.deepEqual(told({ retry: { conditions: ['Timeout'] } }), warning('spec.retry.conditions'))
  assert.deepEqual(told({ retry: { conditions: ['Timeout'] }, timeouts: { try: '1s' } }), [])
})
