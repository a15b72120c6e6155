import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { SpiffeId } from '../model/spiffe-id.ts'
import { createTestCa } from '../model/x509/testing/test-ca.ts'
import type { ReportedResource, StatusReport } from '../operator/status/report.ts'
import { adminRoutes } from '../sidecar/admin/routes.ts'
import type { Pipeline } from '../sidecar/compile/pipeline.ts'
import { createIdentity } from '../sidecar/identity/identity.ts'
import { createDecisionRing } from '../sidecar/observe/decision-ring.ts'
import type { RequestRecord } from '../sidecar/serve/observation.ts'
import { viewOf } from './explain/asked.ts'
import { judge } from './explain/judge.ts'
import { pipelineOf } from './explain/testing/pipeline.ts'
import { directoryOf, policyYaml, workloadYaml } from './testing/files.ts'
import { runHauberk } from './testing/run-hauberk.ts'
import { runningMesh } from './testing/running-mesh.ts'

const ORDERS_YAML = [
  workloadYaml('orders'),
  policyYaml(
    'orders',
    '  authorization:\n    allow:\n    - {name: read, from: {serviceAccounts: [shop/web]}, to: {methods: [GET]}}\n',
  ),
].join('---\n')

const DECISION = '0123456789abcdef'

/** A sidecar of orders that has refused a call of cron, once. */
async function orders(notAfterMs = Date.now() + 3_600_000) {
  const pipeline = pipelineOf(ORDERS_YAML, 'shop/orders')
  const ca = await createTestCa('hauberk root')
  const spiffeId = pipeline.config.identity.spiffeId as SpiffeId
  const leaf = await ca.issue({ uris: [spiffeId], notBeforeMs: notAfterMs - 7_200_000, notAfterMs })
  const known = createIdentity({ ...leaf, trustBundle: [ca.root], receivedAtMs: 0 }, spiffeId, notAfterMs - 1_000)
  assert.ok(known.ok)
  const ring = createDecisionRing()
  ring.add(refusal(), evidence(pipeline))
  return {
    version: pipeline.version,
    proxy: {
      workload: 'shop/orders',
      role: 'sidecar' as const,
      spiffeId,
      routes: adminRoutes({
        workload: 'shop/orders',
        control: { pipeline: () => pipeline, endpoints: () => ({ contract: 1, version: '', endpoints: {} }) },
        explain: ring.explain,
        openTap: () => undefined,
        identity: () => known.value,
        serving: () => [],
      }),
    },
  }
}

const ASKED = {
  protocol: 'http',
  method: 'GET',
  path: '/orders',
  query: '',
  host: 'orders.shop',
  port: 8080,
  scheme: 'https',
  caller: 'spiffe://cluster.local/ns/shop/sa/cron',
  clientIp: '10.0.0.7',
  headers: [],
  claims: undefined,
} as const

function evidence(pipeline: Pipeline) {
  const judgement = judge(pipeline, ASKED)
  assert.ok(judgement.kind === 'judged')
  return { request: viewOf(ASKED), facts: {}, chain: judgement.chain, route: 'Service/shop/orders:80' }
}

function refusal(): RequestRecord {
  return {
    timeMs: Date.UTC(2026, 0, 1),
    durationMs: 1,
    decisionId: DECISION,
    requestId: 'r',
    direction: 'inbound',
    listener: '8080',
    spiffeId: ASKED.caller,
    clientIp: ASKED.clientIp,
    route: 'Service/shop/orders:80',
    upstream: '',
    endpoint: undefined,
    method: ASKED.method,
    host: ASKED.host,
    path: ASKED.path,
    status: 403,
    outcome: 'denied',
    refusal: {
      denial: 'not-allowed',
      filter: 'authorization',
      rule: undefined,
      origins: ['shop/orders@1'],
      detail: undefined,
    },
    rule: undefined,
    wouldDeny: undefined,
    issuer: undefined,
    subject: undefined,
    bytesIn: 0,
    bytesOut: 0,
    retried: false,
  }
}

const condition = (type: 'Accepted' | 'Programmed', status: 'True' | 'False', reason: string, message: string) => ({
  type,
  status,
  reason,
  message,
  observedGeneration: 1,
})

function statusOf(version: string, change: Partial<StatusReport> = {}): StatusReport {
  const policy: ReportedResource = {
    kind: 'SecurityPolicy',
    namespace: 'shop',
    name: 'orders',
    issues: [],
    status: {
      observedGeneration: 1,
      conditions: [
        condition('Accepted', 'True', 'Accepted', 'It is understood.'),
        condition('Programmed', 'True', 'Programmed', 'All 1 sidecars obey it.'),
      ],
      workloads: { selected: 1, acknowledged: 1, rejected: 0, summary: '1/1' },
    },
  }
  const workload = {
    workload: 'shop/orders',
    role: 'sidecar' as const,
    spiffeId: 'spiffe://cluster.local/ns/shop/sa/orders',
    version,
    sidecars: [{ pod: 'shop/orders-local', release: '0.1.0', acknowledged: version }],
  }
  return { resources: [policy], workloads: [workload], issuers: [], fileIssues: [], ...change }
}

async function meshOf(t: TestContext, change: Partial<StatusReport> = {}, notAfterMs?: number): Promise<string> {
  const { proxy, version } = await orders(notAfterMs)
  const files = [join(await directoryOf(t, { 'orders.yaml': ORDERS_YAML }), 'orders.yaml')]
  return runningMesh(t, { proxies: [proxy], status: statusOf(version, change), files })
}

test('a decision is explained by whoever made it, with the place of the policy', async (t) => {
  const state = await meshOf(t)
  const explain = (...args: readonly string[]) => runHauberk(['explain', ...args, '--state', state], { cwd: '/' })
  const [told, unknown, json] = await Promise.all([
    explain(DECISION),
    explain('ffffffffffffffff'),
    explain(DECISION, '-o', 'json', '--exit-code'),
  ])
  assert.equal(told.code, 0, told.stderr)
  assert.equal(
    told.stdout.replace(/\(\/.*orders\.yaml:/, '(orders.yaml:'),
    `GET /orders → shop/orders port 8080
  decision  ${DECISION} at 2026-01-01T00:00:00.000Z
  caller    spiffe://cluster.local/ns/shop/sa/cron
  token     none
  host      orders.shop
  route     Service/shop/orders:80

✓ mtls                       matches (mode: Strict; spiffe://cluster.local/ns/shop/sa/cron)
✗ authorization  allow read  does not match: from.serviceAccounts
                               expected  shop/web
                               got       shop/cron
✗ authorization              refuses: default
                               expected  a rule that allows it
                               got       no allow rule matched

✗ refused: 403 not-allowed, by authorization of shop/orders@1 (orders.yaml:23)

What the refusing rule asks for:
  → for read (shop/orders@1): call as shop/web
`,
  )
  assert.equal(unknown.code, 1)
  assert.match(unknown.stderr, /no sidecar remembers the decision ffffffffffffffff/)
  assert.equal(json.code, 79)
  assert.equal(JSON.parse(json.stdout).decisionId, DECISION)
})

test('a request is explained by what the sidecar that runs obeys', async (t) => {
  const state = await meshOf(t)
  const explain = (...args: readonly string[]) =>
    runHauberk(['explain', 'orders', ...args, '--state', state, '-o', 'json'], { cwd: '/' })
  const [web, cron] = await Promise.all([explain('GET', '/', '--from', 'web'), explain('GET', '/', '--from', 'cron')])
  assert.equal(web.code, 0, web.stderr)
  assert.deepEqual([JSON.parse(web.stdout).outcome, JSON.parse(web.stdout).rule], ['allowed', 'read'])
  assert.deepEqual(JSON.parse(cron.stdout).changes, [['call as shop/web']])
})

test('T31: certificates of the mesh are told, with who vouches for them, and no key', async (t) => {
  const state = await meshOf(t)
  const [table, json] = await Promise.all([
    runHauberk(['certs', '--state', state], { cwd: '/' }),
    runHauberk(['certs', '--state', state, '-o', 'json'], { cwd: '/' }),
  ])
  assert.equal(table.code, 0, table.stderr)
  assert.match(
    table.stdout,
    /^OF +NAME +SERIAL +NOT BEFORE +NOT AFTER +REMAINING +ISSUER +ROOT +VERDICT\nshop\/orders +spiffe:\/\/cluster\.local\/ns\/shop\/sa\/orders .* 5\dm\d+s +hauberk root +(?:[0-9A-F]{2}:){3}[0-9A-F]{2} +✓ sound\n$/,
  )
  const [row] = JSON.parse(json.stdout)
  assert.equal(row.kind, 'svid')
  assert.match(row.root, /^(?:[0-9A-F]{2}:){31}[0-9A-F]{2}$/)
  assert.ok(row.remainingSeconds > 3_000 && row.remainingSeconds <= 3_600)
  assert.doesNotMatch(table.stdout + json.stdout, /PRIVATE KEY/)
})

test('a certificate that has expired and a sidecar that is silent are findings', async (t) => {
  const { proxy, version } = await orders(Date.now() - 5_000)
  const silent = { ...proxy, workload: 'shop/silent', routes: [] }
  const state = await runningMesh(t, { proxies: [proxy, silent], status: statusOf(version) })
  const { code, stdout } = await runHauberk(['certs', '--state', state], { cwd: '/' })
  assert.equal(code, 79)
  assert.match(stdout, /shop\/orders .* expired \d+s ago .*✗ it has expired/)
  assert.match(stdout, /shop\/silent .*✗ it has no certificate yet/)
})

test('a mesh in which everybody obeys has nothing to complain about', async (t) => {
  const state = await meshOf(t)
  const { code, stdout, stderr } = await runHauberk(['check', '--live', '--state', state], { cwd: '/' })
  assert.equal(code, 0, stderr)
  assert.match(
    stdout.replaceAll(/5\dm\d+s/g, '59m00s'),
    /^RESOURCE +ACCEPTED +RESOLVEDREFS +PROGRAMMED +ACKNOWLEDGED\nSecurityPolicy\/shop\/orders +True +True +1\/1\n\nWORKLOAD +VERSION +OBEYED BY +CERTIFICATE\nshop\/orders +\S{12} +1\/1 +59m00s\n\n✓ nothing to complain about \(1 resource, 1 workload\)\n$/,
  )
})

test('what a mesh that runs does not do is told, and ends with 79', async (t) => {
  const { resources, workloads } = statusOf('v2')
  const [policy] = resources
  const [workload] = workloads
  assert.ok(policy && workload)
  const state = await meshOf(t, {
    resources: [
      {
        ...policy,
        status: {
          ...policy.status,
          conditions: [condition('Programmed', 'False', 'RejectedBySidecar', 'Sidecars refused the configuration.')],
          dryRun: { wouldDeny: 3, topRule: 'own' },
        },
      },
    ],
    workloads: [
      {
        ...workload,
        sidecars: [
          {
            pod: 'shop/orders-local',
            release: '0.1.0',
            acknowledged: 'v1',
            refused: {
              version: 'v2',
              issues: [{ code: 'contract', severity: 'error', path: 'a.b', message: 'is odd' }],
            },
          },
        ],
      },
    ],
    issuers: [{ name: 'corp', keys: 0, failure: 'connection refused' }],
    fileIssues: [
      {
        code: 'yaml',
        severity: 'error',
        path: '',
        message: 'is odd',
        location: { file: 'a.yaml', line: 1, column: 2 },
      },
    ],
  })
  const { code, stdout } = await runHauberk(['check', '--live', '--state', state, '-o', 'json'], { cwd: '/' })
  assert.equal(code, 79)
  const { findings, summary } = JSON.parse(stdout)
  assert.deepEqual(
    findings.map((found: { readonly code: string }) => found.code),
    ['yaml', 'would-deny', 'not-programmed', 'no-keys', 'refused-by-sidecar'],
  )
  assert.equal(summary.errors, 4)
})

test('without its operator a mesh still tells who shows which certificate', async (t) => {
  const { proxy } = await orders()
  const state = await runningMesh(t, { proxies: [proxy], status: undefined })
  const { code, stdout } = await runHauberk(['check', '--live', '--state', state], { cwd: '/' })
  assert.equal(code, 79)
  assert.match(
    stdout,
    /^WORKLOAD +CERTIFICATE\nshop\/orders +5\dm\d+s\n\n[^\n]*HBK0904 +Operator +the operator cannot be asked/,
  )
})

test('no mesh, or one that does not answer, is a failure that says so', async (t) => {
  const empty = await directoryOf(t, {})
  const none = await runHauberk(['check', '--live', '--state', empty], { cwd: '/' })
  assert.equal(none.code, 1)
  assert.match(none.stderr, /no mesh runs in .*: start one with hauberk dev/)
})
