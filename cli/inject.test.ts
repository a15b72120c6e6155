import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse, parseAllDocuments } from 'yaml'
import { directoryOf } from './testing/files.ts'
import { runHauberk } from './testing/run-hauberk.ts'

const ORDERS = `# Orders of everybody.
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}   # stays as it is
spec: {selector: {app: orders},
       ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: orders
  namespace: shop
spec:
  selector: {matchLabels: {app: orders}}
  template:
    metadata: {labels: {app: orders}}
    spec:
      containers:
      - name: app
        image: orders # the newest
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /ready, port: http}}
`

interface Injected {
  readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> }
  readonly spec: {
    readonly initContainers: readonly {
      readonly name: string
      readonly env: readonly { readonly name: string; readonly value?: string }[]
    }[]
  }
}

/** What the sidecar of a pod is told. */
function told({ spec }: Injected) {
  const text = spec.initContainers[1]?.env.find(({ name }) => name === 'HAUBERK_SIDECAR')?.value ?? ''
  return JSON.parse(text) as {
    readonly workload: string
    readonly trustDomain: string
    readonly probes: readonly object[]
  }
}

test('a Deployment is injected in its place, and everything around it stays as it was written', async (t) => {
  const cwd = await directoryOf(t, { 'orders.yaml': ORDERS })
  const { code, stdout, stderr } = await runHauberk(['inject', '-f', 'orders.yaml'], { cwd })
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
  assert.ok(stdout.startsWith(ORDERS.slice(0, ORDERS.indexOf('---'))), 'the Service is printed as it was read')
  assert.match(stdout, /image: orders # the newest\n/)
  const [, deployment] = parseAllDocuments(stdout).map(
    (document) => document.toJS() as { spec: { template: Injected } },
  )
  assert(deployment)
  const { template } = deployment.spec
  assert.deepEqual(
    template.spec.initContainers.map(({ name }) => name),
    ['hauberk-init', 'hauberk-sidecar'],
  )
  assert.equal(told(template).workload, 'shop/orders')
  assert.equal(told(template).probes.length, 1)
})

test('what is injected already is printed as it is', async (t) => {
  const cwd = await directoryOf(t, { 'orders.yaml': ORDERS })
  const once = await runHauberk(['inject', '-f', 'orders.yaml'], { cwd })
  const twice = await runHauberk(['inject', '-f', '-'], { cwd, input: once.stdout })
  assert.deepEqual([twice.code, twice.stderr], [0, ''])
  assert.equal(twice.stdout, once.stdout)
})

test('every kind that makes pods is injected under the name of its workload, Lists and JSON too', async (t) => {
  const pod = { spec: { containers: [{ name: 'app' }] } }
  const items = [
    { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'pod' }, ...pod },
    ...['StatefulSet', 'DaemonSet', 'ReplicaSet'].map((kind) => {
      return { apiVersion: 'apps/v1', kind, metadata: { name: kind.toLowerCase() }, spec: { template: pod } }
    }),
    { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'job' }, spec: { template: pod } },
    {
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: { name: 'cronjob' },
      spec: { jobTemplate: { spec: { template: pod } } },
    },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'other' } },
  ]
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
  const { code, stdout } = await runHauberk(['inject', '-n', 'shop', '-f', '-'], {
    cwd: await directoryOf(t, {}),
    input,
  })
  assert.equal(code, 0)
  const workloads = [...stdout.matchAll(/\\"workload\\":\\"([^\\]*)\\"/g)].map(([, name]) => name)
  const names = ['pod', 'statefulset', 'daemonset', 'replicaset', 'job', 'cronjob'].flatMap((name) => [
    `shop/${name}`,
    `shop/${name}`,
  ])
  assert.deepEqual(workloads, names)
  assert.deepEqual((JSON.parse(stdout) as { items: unknown[] }).items.at(-1), items.at(-1))
})

test('a pod that cannot be in the mesh is told of with file, line and column, and nothing is printed', async (t) => {
  const cwd = await directoryOf(t, {
    'a.yaml': ORDERS.replace('      containers:', '      hostNetwork: true\n      containers:'),
    'b.yaml': ORDERS.replace('port: http', 'port: web'),
  })
  const { code, stdout, stderr } = await runHauberk(['inject', '-f', '.'], { cwd })
  assert.equal(code, 79)
  assert.equal(stdout, '')
  assert.match(
    stderr,
    /a\.yaml\n {2}18:20 +error +HBK1002 +Deployment\/shop\/orders +spec\.template\.spec\.hostNetwork: /,
  )
  assert.match(
    stderr,
    /b\.yaml\n {2}22:56 +error +HBK1010 .*readinessProbe\.httpGet\.port: .*\n.*fix: one of http, or a number/,
  )
  assert.match(stderr, /2 errors: nothing is printed\n$/)
})

test('T08: opt-outs of the MeshConfig in the files count, and are told of', async (t) => {
  const mesh = `---
apiVersion: hauberk.dev/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec:
  trustDomain: shop.example
  optOuts: [{name: agents, namespaces: [shop], allow: [SkipInjection, Privileged]}]
`
  const agent = (name: string, labels: string, container: string) => `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: shop, labels: {${labels}}}
spec: {containers: [{name: app, ${container}}]}
`
  const cwd = await directoryOf(t, {
    'all.yaml':
      mesh +
      agent('one', 'hauberk.dev/inject: disabled', 'image: a') +
      agent('two', '', 'securityContext: {privileged: true}'),
  })
  const { code, stdout, stderr } = await runHauberk(['inject', '-f', 'all.yaml'], { cwd })
  assert.equal(code, 0)
  assert.match(stderr, /warning +HBK1014 +Pod\/shop\/one /)
  assert.match(stderr, /warning +HBK1003 +Pod\/shop\/two /)
  const [, one, two] = parseAllDocuments(stdout).map((document) => document.toJS() as Injected)
  assert(one && two)
  assert.equal(one.spec.initContainers, undefined)
  assert.equal(told(two).trustDomain, 'shop.example')
})

test('pods of the system namespaces are never injected, and parts that several share are written out', async (t) => {
  const cwd = await directoryOf(t, {
    'system.yaml':
      'apiVersion: v1\nkind: Pod\nmetadata: {name: dns, namespace: kube-system}\nspec: {hostNetwork: true, containers: [{name: a}]}\n',
    'shared.yaml': `apiVersion: v1
kind: Pod
metadata: {name: shared}
spec:
  containers:
  - {name: a, readinessProbe: &probe {tcpSocket: {port: 80}}}
  - {name: b, readinessProbe: *probe}
`,
  })
  const system = await runHauberk(['inject', '-f', 'system.yaml'], { cwd })
  assert.equal(system.stdout, readFileSync(join(cwd, 'system.yaml'), 'utf8'))
  const { stdout } = await runHauberk(['inject', '-f', 'shared.yaml'], { cwd })
  const { spec } = parse(stdout) as { spec: { containers: { readinessProbe: { httpGet: { path: string } } }[] } }
  assert.deepEqual(
    spec.containers.map(({ readinessProbe }) => readinessProbe.httpGet.path),
    ['/app-health/a/readiness', '/app-health/b/readiness'],
  )
})

test('files that are no YAML, paths that name nothing and missing options end it', async (t) => {
  const cwd = await directoryOf(t, { 'bad.yaml': 'a: [b\n' })
  const bad = await runHauberk(['inject', '-f', 'bad.yaml'], { cwd })
  assert.equal(bad.code, 79)
  assert.match(bad.stderr, /bad\.yaml\n {2}2:1 +error +HBK0101/)
  assert.equal((await runHauberk(['inject', '-f', 'none.yaml'], { cwd })).code, 1)
  assert.equal((await runHauberk(['inject'], { cwd })).code, 2)
  const options = ['--trust-domain', 'A B']
  assert.equal((await runHauberk(['inject', '-f', '-', ...options], { cwd, input: ORDERS })).code, 2)
})
