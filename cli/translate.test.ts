import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import { createTestCa } from '../model/x509/testing/test-ca.ts'
import { directoryOf, policyYaml, workloadYaml } from './testing/files.ts'
import { runHauberk } from './testing/run-hauberk.ts'

const ORDERS = [
  workloadYaml('orders'),
  policyYaml('orders', '  mtls: {mode: Permissive}\n  authorization: {allow: [{name: read, to: {methods: [GET]}}]}\n'),
].join('---\n')

const GATEWAY = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: hauberk}
spec: {controllerName: hauberk.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: shop}
spec:
  gatewayClassName: hauberk
  listeners:
  - {name: https, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: tls}]}}
`

test('without a workload everybody is listed, with ports, policies and version', async (t) => {
  const cwd = await directoryOf(t, { 'orders.yaml': ORDERS, 'web.yaml': workloadYaml('web') })
  const { code, stdout } = await runHauberk(['translate', '-f', '.'], { cwd })
  assert.equal(code, 0)
  assert.equal(
    stdout.replaceAll(/[\w-]{12}$/gm, 'VERSION-----'),
    `WORKLOAD      LISTENERS              POLICIES      VERSION
shop/orders   8080/http Permissive   shop/orders   VERSION-----
shop/web      8080/http Strict       none          VERSION-----
`,
  )
})

test('a workload is printed as its sidecar would get it, and found by its name alone', async (t) => {
  const cwd = await directoryOf(t, { 'orders.yaml': ORDERS })
  const [yaml, json, unknown] = await Promise.all([
    runHauberk(['translate', '-f', '.', 'orders'], { cwd }),
    runHauberk(['translate', '-f', '.', 'shop/orders', '-o', 'json'], { cwd }),
    runHauberk(['translate', '-f', '.', 'payments'], { cwd }),
  ])
  const document = parse(yaml.stdout)
  assert.deepEqual(document, JSON.parse(json.stdout))
  assert.equal(document.config.workload, 'shop/orders')
  assert.equal(document.config.listeners[0].mtls, 'Permissive')
  assert.deepEqual(document.endpoints.endpoints, {})
  assert.equal(unknown.code, 1)
  assert.match(unknown.stderr, /there is no workload payments; there is shop\/orders/)
})

test('T31: the private key of a listener is not printed', async (t) => {
  const { chain, privateKey } = await (await createTestCa()).issue({ uris: [], dnsNames: ['shop.localhost'] })
  const secret = JSON.stringify({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'tls', namespace: 'shop' },
    stringData: { 'tls.crt': chain, 'tls.key': privateKey },
  })
  const cwd = await directoryOf(t, { 'gateway.yaml': GATEWAY, 'secret.json': secret })
  for (const args of [['gateway'], ['-o', 'json'], ['gateway', '-o', 'json']]) {
    const { code, stdout, stderr } = await runHauberk(['translate', '-f', '.', ...args], { cwd })
    assert.equal(code, 0, stderr)
    assert.ok(stdout.includes('BEGIN CERTIFICATE'))
    assert.ok(stdout.includes('[redacted]'))
    assert.doesNotMatch(stdout, /PRIVATE KEY/)
    assert.ok(!stdout.includes((privateKey.split('\n')[1] ?? '').slice(0, 40)))
  }
})

test('files with mistakes translate to nothing, and the mistakes are told', async (t) => {
  const cwd = await directoryOf(t, { 'orders.yaml': ORDERS, 'b.yaml': 'apiVersion: v1\nkind: Service\nmetadata: {}\n' })
  const { code, stdout, stderr } = await runHauberk(['translate', '-f', '.'], { cwd })
  assert.deepEqual([code, stdout], [79, ''])
  assert.match(stderr, /^b\.yaml\n/)
})

test('a pipe gets no colours, unless somebody insists; NO_COLOR is respected', async (t) => {
  const cwd = await directoryOf(t, { 'web.yaml': workloadYaml('web') })
  const escapes = async (env: Readonly<Record<string, string>>) =>
    (await runHauberk(['check', '-f', '.'], { cwd, env })).stdout.includes('\u001b[')
  assert.deepEqual(await Promise.all([escapes({}), escapes({ FORCE_COLOR: '1' }), escapes({ NO_COLOR: '1' })]), [
    false,
    true,
    false,
  ])
})

test('every verb has help with examples', async () => {
  for (const verb of ['check', 'translate', 'explain', 'certs']) {
    const { code, stdout } = await runHauberk([verb, '--help'], { cwd: '/' })
    assert.equal(code, 0)
    assert.match(stdout, new RegExp(`\\nExamples:\\n  hauberk ${verb}`))
    assert.match(stdout, /\nExit codes: 0 /)
  }
})
