import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type ClusterOptions, readClusterOptions, USAGE, UsageError } from './options.ts'

const ENV = { POD_NAME: 'op-1', POD_NAMESPACE: 'hauberk-system', POD_UID: 'u', POD_IP: '10.0.0.1' }
const IMAGE = '--sidecar-image=hauberk-sidecar:0.1.0'

function read(args: readonly string[] = [], env: Readonly<Record<string, string | undefined>> = ENV): ClusterOptions {
  const options = readClusterOptions([IMAGE, ...args], env)
  assert.ok(typeof options === 'object')
  return options
}

function mistakes(args: readonly string[], env: Readonly<Record<string, string | undefined>> = ENV): readonly string[] {
  try {
    readClusterOptions(args, env)
  } catch (error) {
    assert.ok(error instanceof UsageError)
    return error.message.split('\n')
  }
  return []
}

test('what is not said is as the help says', () => {
  assert.deepEqual(read(), {
    pod: { name: 'op-1', uid: 'u', ip: '10.0.0.1' },
    ports: { mesh: 15_012, webhook: 15_017, metrics: 15_014, probes: 15_020, admin: 15_000 },
    client: { from: 'in-cluster' },
    logLevel: 'info',
    drainDelayMs: 5_000,
    defaultResources: [],
    sidecar: { image: 'hauberk-sidecar:0.1.0' },
    metrics: { plaintext: false },
  })
})

test('each option is read', () => {
  const options = read([
    '--sidecar-pull-policy=Always',
    '--sidecar-resources={"requests":{"cpu":1,"memory":"64Mi"}}',
    '--sidecar-drain=1500ms',
    '--sidecar-pre-stop=0s',
    '--default-resources=[{"apiVersion":"hauberk.dev/v1alpha1","kind":"MeshConfig","metadata":{"name":"default"},"spec":{}}]',
    '--metrics=plaintext',
    '--metrics-client=monitoring/prometheus',
    '--log-level=debug',
    '--drain-delay=0s',
    '--host=127.0.0.1',
    '--mesh-port=0',
    '--kubeconfig=/x',
  ])
  assert.deepEqual(options.sidecar.resources, { requests: { cpu: '1', memory: '64Mi' } })
  assert.deepEqual([options.sidecar.drainSeconds, options.sidecar.preStopSeconds], [1.5, 0])
  assert.equal(options.sidecar.imagePullPolicy, 'Always')
  assert.equal(options.defaultResources[0]?.kind, 'MeshConfig')
  assert.deepEqual(options.metrics, {
    plaintext: true,
    client: { namespace: 'monitoring', serviceAccount: 'prometheus' },
  })
  assert.deepEqual([options.host, options.ports.mesh, options.drainDelayMs], ['127.0.0.1', 0, 0])
  assert.deepEqual(options.client, { from: 'kubeconfig', path: '/x' })
})

test('every mistake is told at once', () => {
  const args = [
    '--sidecar-pull-policy=Maybe',
    '--sidecar-resources={"request":{}}',
    '--default-resources=[{"apiVersion":"v1","kind":"Job","metadata":{"name":"x"}}]',
    '--metrics-client=prometheus',
    '--log-level=loud',
    '--drain-delay=soon',
    '--mesh-port=70000',
    '--webhook-client-names=api',
  ]
  const found = mistakes(args, { POD_NAMESPACE: 'default', POD_IP: 'here' })
  for (const what of [
    'POD_NAME is',
    'POD_UID is',
    'POD_NAMESPACE: is default',
    'POD_IP: here',
    '--sidecar-image: is needed',
    '--sidecar-pull-policy',
    '--sidecar-resources',
    '--default-resources: v1 Job',
    '--metrics-client',
    '--log-level',
    '--drain-delay',
    '--mesh-port',
    '--webhook-client-ca',
  ]) {
    assert.equal(found.filter((line) => line.includes(what)).length, 1, what)
  }
})

test('an option that there is not is refused, and so is a word without one', () => {
  assert.match(mistakes([IMAGE, '--secrets=named'])[0] ?? '', /--secrets/)
  assert.equal(mistakes([IMAGE, 'run']).length, 1)
})

test('the certificates of API servers come from a file, with the names that they must have', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'hauberk-options-'))
  t.after(() => rm(directory, { recursive: true }))
  const file = join(directory, 'ca.crt')
  await writeFile(file, 'PEM')
  const { webhookClients } = read([`--webhook-client-ca=${file}`, '--webhook-client-names=a,b'])
  assert.deepEqual(webhookClients, { authorities: 'PEM', names: ['a', 'b'] })
  const missing = mistakes([IMAGE, `--webhook-client-ca=${file}x`, '--webhook-client-names=a'])
  assert.match(missing[0] ?? '', /--webhook-client-ca: ENOENT/)
})

test('the help names every option, and needs none', () => {
  assert.equal(readClusterOptions(['--help'], {}), 'help')
  assert.equal(readClusterOptions(['--version'], {}), 'version')
  for (const option of [
    'sidecar-image',
    'sidecar-state-size',
    'metrics-client',
    'webhook-client-names',
    'drain-delay',
    'admin-port',
    'kubeconfig',
  ]) {
    assert.ok(USAGE.includes(`--${option}`), option)
  }
})
