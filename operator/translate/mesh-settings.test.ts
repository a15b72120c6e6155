import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { egressNames, readMeshSettings } from './mesh-settings.ts'

function settingsOf(spec: unknown) {
  return readMeshSettings({
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'MeshConfig',
    metadata: { name: 'default' },
    spec,
  })
}

const STRICTEST = {
  trustDomain: 'cluster.local',
  authorizationDefault: 'Deny',
  egress: [],
  trustedHops: 0,
  requestTimeoutMs: 30_000,
  certificateLifetimeMs: 86_400_000,
  rootGeneration: 1,
  distrustedRoots: [],
}

describe('the settings of the mesh', () => {
  it('are strict where nobody says anything', () => {
    assert.deepEqual(readMeshSettings(undefined), { settings: STRICTEST, issues: [] })
    assert.deepEqual(settingsOf({}), { settings: STRICTEST, issues: [] })
  })

  it('say whom spans are sent to, and how many', () => {
    const tracingOf = (tracing: unknown) => settingsOf({ telemetry: { tracing } })
    assert.equal(settingsOf({ telemetry: {} }).settings.tracing, undefined)
    assert.deepEqual(tracingOf({}).settings.tracing, { samplingRatio: 0.01 })
    for (const [endpoint, reference, path] of [
      ['http://collector.obs', { name: 'collector', namespace: 'obs', port: 80 }, '/v1/traces'],
      ['http://collector.obs.svc:4318/', { name: 'collector', namespace: 'obs', port: 4318 }, '/v1/traces'],
      ['http://c.obs.svc.cluster.local:1/a/b', { name: 'c', namespace: 'obs', port: 1 }, '/a/b/v1/traces'],
      ['https://otlp.example.com', { host: 'otlp.example.com', port: 443 }, '/v1/traces'],
      ['https://otlp.example.com:8443/otel/', { host: 'otlp.example.com', port: 8443 }, '/otel/v1/traces'],
    ] as const) {
      const { settings, issues } = tracingOf({ endpoint, samplingRatio: 1 })
      assert.deepEqual(issues, [])
      assert.deepEqual(settings.tracing, { samplingRatio: 1, collector: { reference, path } }, endpoint)
    }
    for (const endpoint of [
      'collector.obs:4318',
      'http://collector:4318',
      'http://otlp.example.com',
      'http://user:secret@collector.obs',
      'https://otlp.example.com/?key=secret',
      'https://otlp.example.com/#x',
      'grpc://collector.obs',
      'http://COLLECTOR.obs',
    ]) {
      assert.equal(tracingOf({ endpoint }).settings.tracing, undefined, endpoint)
      assert.equal(tracingOf({ endpoint }).issues[0]?.path, 'spec.telemetry.tracing.endpoint', endpoint)
    }
    for (const samplingRatio of [-0.1, 1.1, '1']) assert.equal(tracingOf({ samplingRatio }).issues.length, 1)
  })

  it('are what MeshConfig says', () => {
    const { settings, issues } = settingsOf({
      trustDomain: 'shop.example',
      certificates: {
        lifetime: '30s',
        rootGeneration: 3,
        distrustedRoots: ['AB:'.repeat(31) + 'AB', 'ab'.repeat(32), '01'.repeat(32)],
      },
      authorization: { default: 'Allow' },
      egress: [{ name: 'web', hosts: ['*.example'], cidrs: ['192.0.2.0/24'], ports: [443] }],
      trustedHops: 2,
      requestTimeout: '0s',
      maxTokenLifetime: '1h',
    })
    assert.deepEqual(issues, [])
    assert.deepEqual(settings, {
      trustDomain: 'shop.example',
      authorizationDefault: 'Allow',
      egress: [
        { name: 'web', host: '*.example', ports: [443] },
        { name: 'web', cidr: '192.0.2.0/24', ports: [443] },
      ],
      trustedHops: 2,
      requestTimeoutMs: 0,
      maxTokenLifetimeSeconds: 3_600,
      certificateLifetimeMs: 30_000,
      rootGeneration: 3,
      distrustedRoots: ['01'.repeat(32), 'ab'.repeat(32)],
    })
    assert.equal(egressNames(settings, 'a.example', 443), true)
    assert.equal(egressNames(settings, 'a.example', 80), false)
    assert.equal(egressNames(settings, 'example', 443), false)
  })

  it('F22: are strict, field by field, where something cannot be read', () => {
    const { settings, issues } = settingsOf({
      trustDomain: 'shop.example',
      certificates: { lifetime: '1s' },
      authorization: { default: 'Maybe' },
      egress: [{ name: 'web', cidrs: ['192.0.2.1/24'], ports: [443] }],
      trustedHops: -1,
      requestTimeout: '9999h',
      maxTokenLifetime: 5,
      typo: true,
    })
    assert.deepEqual(settings, { ...STRICTEST, trustDomain: 'shop.example', maxTokenLifetimeSeconds: 1 })
    assert.deepEqual(
      issues.map(({ path }) => path),
      [
        'spec.authorization.default',
        'spec.trustedHops',
        'spec.maxTokenLifetime',
        'spec.typo',
        'spec.egress[0].cidrs[0]',
        'spec.requestTimeout',
        'spec.certificates.lifetime',
      ],
    )
    assert.deepEqual(settingsOf('garbage').settings, STRICTEST)
  })
})
