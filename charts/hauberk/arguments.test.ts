import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ClusterOptions, readClusterOptions } from '../../operator/cluster/options.ts'
import { find, type RenderOptions, render, WITH_HELM } from './testing/helm.ts'

const POD = { POD_NAME: 'a', POD_NAMESPACE: 'hauberk-system', POD_UID: 'b', POD_IP: '192.0.2.1' }

/** What the operator makes of the command line that the chart gives it. */
async function understood(values: RenderOptions['values']): Promise<ClusterOptions> {
  const { spec } = find(await render({ values: values ?? {} }), 'Deployment', 'hauberk-operator').spec.template
  const [{ args, env }] = spec.containers
  assert.deepEqual(env.map(({ name }: { readonly name: string }) => name).sort(), Object.keys(POD).sort())
  const options = readClusterOptions(args, POD)
  assert.ok(typeof options === 'object')
  return options
}

test('the operator understands each argument that the chart gives it', WITH_HELM, async () => {
  const { sidecar, metrics, defaultResources, ports, auditDirectory } = await understood({})
  assert.equal(auditDirectory, '/var/lib/hauberk/audit')
  assert.equal(sidecar.image, 'hauberk-sidecar:0.1.0')
  assert.deepEqual(sidecar.resources?.limits, { memory: '256Mi' })
  assert.deepEqual(metrics, { plaintext: false, client: { namespace: 'monitoring', serviceAccount: 'prometheus' } })
  assert.deepEqual(
    defaultResources.map(({ kind, metadata }) => `${kind} ${metadata.name}`),
    ['GatewayClass hauberk', 'MeshConfig default'],
  )
  assert.deepEqual(ports, { mesh: 15_012, webhook: 15_017, metrics: 15_014, probes: 15_020, admin: 15_000 })
})

test('the operator understands what a value makes of them', WITH_HELM, async () => {
  const { sidecar, metrics, defaultResources, drainDelayMs, logLevel } = await understood({
    'operator.drainDelay': '12s',
    'operator.logLevel': 'debug',
    sidecar: { resources: {}, initResources: {}, decisionLog: 'all', drain: '20s', preStop: '0s', stateSize: '32Mi' },
    'sidecar.image.pullPolicy': 'Never',
    metrics: { plaintext: true, client: '' },
    'gatewayClass.create': false,
    'meshConfig.spec': { trustDomain: 'prod.example', egress: [] },
  })
  assert.equal(drainDelayMs, 12_000)
  assert.equal(logLevel, 'debug')
  const { imagePullPolicy, decisionLog, drainSeconds, preStopSeconds, stateSizeLimit } = sidecar
  assert.deepEqual(
    { imagePullPolicy, decisionLog, drainSeconds, preStopSeconds, stateSizeLimit },
    { imagePullPolicy: 'Never', decisionLog: 'all', drainSeconds: 20, preStopSeconds: 0, stateSizeLimit: '32Mi' },
  )
  assert.deepEqual(metrics, { plaintext: true })
  assert.deepEqual(
    defaultResources.map(({ kind, spec }) => [kind, spec]),
    [['MeshConfig', { trustDomain: 'prod.example', egress: [] }]],
  )
})
