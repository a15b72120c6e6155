import assert from 'node:assert/strict'
import { basename, join } from 'node:path'
import { chdir, cwd } from 'node:process'
import { type TestContext, test } from 'node:test'
import type { JsonSchema } from '../../model/section.ts'
import { KINDS } from '../../operator/resources/kinds.ts'
import { SECTIONS } from '../../policies/sections.ts'
import { readFileMesh } from '../file-mesh.ts'
import { directoryOf, policyYaml, workloadYaml } from '../testing/files.ts'
import { runHauberk } from '../testing/run-hauberk.ts'
import { ISSUE_IDS } from './catalogue.ts'
import { compileIssues } from './compiled.ts'
import { formatFindings } from './findings-text.ts'
import { inspect } from './inspect.ts'

const SHOP = join(import.meta.dirname, '..', '..', 'samples', 'shop')

const plain = (_: unknown, text: string) => text

/** What is found in these files, as it is printed. */
async function found(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const directory = await directoryOf(t, files)
  const before = cwd()
  chdir(directory)
  try {
    return formatFindings(inspect(await readFileMesh(['.'])), plain).replaceAll(/ +$/gm, '')
  } finally {
    chdir(before)
  }
}

/** `file:line code` of each finding. */
async function codes(t: TestContext, files: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const directory = await directoryOf(t, files)
  const findings = inspect(await readFileMesh([directory]))
  return findings.map(({ location, code }) => `${location && `${basename(location.file)}:${location.line}`} ${code}`)
}

const FINE = `${workloadYaml('orders')}---\n${policyYaml('orders', '  authorization: {allow: [{name: all-read, to: {methods: [GET]}}]}\n')}`

test('mistakes are told by file, with line and column, number, and what would be right', async (t) => {
  const files = {
    'mesh.yaml': `apiVersion: hauberk.dev/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec:
  authorisation: {default: Deny}
  certificates: {lifetime: 5s}
`,
    'orders.yaml': `${workloadYaml('orders')}---
apiVersion: hauberk.dev/v1alpha1
kind: SecurityPolicy
metadata: {name: orders, namespace: shop}
spec:
  targetRefs: [{kind: Service, name: orders}]
  mode: enforce
  authorization:
    allow:
    - {name: own, to: {paths: ['/users//{id}']}, when: claims.sub = path.id}
`,
  }
  assert.equal(
    await found(t, files),
    `mesh.yaml
  5:3  error  HBK0108  MeshConfig/default  spec.authorisation: is not a field
                                           fix: did you mean authorization?

orders.yaml
  24:9  error  HBK0111  SecurityPolicy/shop/orders  spec.mode: "enforce" is none of Enforce, DryRun, Off
                                                    fix: did you mean Enforce?
`,
  )
})

test('names that lead nowhere are told, with the nearest there is', async (t) => {
  const policy = `  authentication: {jwt: {issuers: [{name: corp}]}}
  authorization:
    allow:
    - {name: from-web, from: {serviceAccounts: [shop/storefornt]}}
    - {name: from-dev, from: {namespaces: [dev]}}
`
  const files = {
    'a.yaml': `${workloadYaml('orders')}---\n${workloadYaml('storefront')}---\n${policyYaml('orders', policy)}`,
    'b.yaml': policyYaml('nothing', '  mtls: {mode: Strict}\n', 'paymets'),
  }
  assert.equal(
    await found(t, files),
    `a.yaml
  26:1   warning  HBK0401  Deployment/shop/storefront  no policy says who may call port 8080: every request is answered 403 no-policy
                                                       fix: write a SecurityPolicy with authorization.allow for it
  42:35  error    HBK0302  SecurityPolicy/shop/orders  spec.authentication.jwt.issuers: names the TokenIssuer corp, which does not exist or does not admit namespace shop
                                                       fix: create it, or add the namespace to its allowedNamespaces
  45:49  warning  HBK0310  SecurityPolicy/shop/orders  spec.authorization.allow[0].from.serviceAccounts[0]: no workload and no ServiceAccount here is shop/storefornt: it never calls
                                                       fix: did you mean shop/storefront?
  46:44  warning  HBK0311  SecurityPolicy/shop/orders  spec.authorization.allow[1].from.namespaces[0]: nothing here is in namespace dev
                                                       fix: one of shop

b.yaml
  5:15  error  HBK0301  SecurityPolicy/shop/nothing  spec.targetRefs: there is no Service paymets
`,
  )
})

test('while a file is broken, what it may have said is not missed', async (t) => {
  const files = {
    'a.yaml': `${workloadYaml('orders')}---\n${policyYaml('orders', '  authentication: {jwt: {issuers: [{name: corp}]}}\n')}`,
    'b.yaml':
      'apiVersion: hauberk.dev/v1alpha1\nkind: TokenIssuer\nmetadata: {name: corp}\nspec: {isuer: https://corp}\n',
  }
  assert.deepEqual(new Set(await codes(t, files)), new Set(['b.yaml:4 required', 'b.yaml:4 unknown-field']))
})

test('an HTTP rule for an opaque port, a weakened floor and an open port are told', async (t) => {
  const files = {
    'db.yaml': `${workloadYaml('db', { name: 'postgresql', number: 5432 })}---
${policyYaml('db', '  authorization:\n    allow:\n    - {name: by-path, to: {paths: [/a]}}\n    - {name: web, from: {serviceAccounts: [shop/db]}}\n')}`,
    'orders.yaml': `${workloadYaml('orders')}---
${policyYaml('orders', '  mtls: {mode: Permissive}\n  authorization: {allow: [{name: everybody}]}\n')}`,
    'web.yaml': `${workloadYaml('web')}---
${policyYaml('web', '  mtls: {mode: Disabled}\n  authorization: {allow: [{name: own, when: claims.sub == "a"}]}\n')}`,
    'floor.yaml': `apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {tier: prod}}
---
apiVersion: hauberk.dev/v1alpha1
kind: MeshSecurityPolicy
metadata: {name: floor}
spec:
  namespaceSelector: {matchLabels: {tier: prod}}
  floor: {mtls: {ports: [{port: 8080, mode: Permissive}]}}
`,
  }
  assert.deepEqual(await codes(t, files), [
    'db.yaml:23 not-applied',
    'orders.yaml:24 plaintext',
    'orders.yaml:25 allows-everybody',
    'web.yaml:24 plaintext',
    'web.yaml:24 weakens-floor',
    'web.yaml:25 rule-without-token',
  ])
})

test('routes that lead nowhere, or where they may not, are told', async (t) => {
  const gateway = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: hauberk}
spec: {controllerName: hauberk.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: shop}
spec: {gatewayClassName: hauberk, listeners: [{name: http, protocol: HTTP, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: shop}
spec:
  parentRefs: [{name: web}]
  rules:
  - backendRefs: [{name: orders, port: 80}, {name: auth, namespace: identity, port: 80}, {name: gone, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: lost, namespace: shop}
spec: {parentRefs: [{name: wbe}]}
`
  assert.deepEqual(await codes(t, { 'gateway.yaml': gateway, 'orders.yaml': FINE }), [
    'gateway.yaml:17 backend-not-resolved',
    'gateway.yaml:17 backend-not-resolved',
    'gateway.yaml:22 no-such-gateway',
  ])
})

test('routes at Services that nobody keeps to are told, and why', async (t) => {
  const route = (name: string, parent: string, more = '') => `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: ${name}, namespace: shop}
spec:
  parentRefs: [{${parent}}]
${more}  rules: [{backendRefs: [{name: orders, port: 80}]}]
`
  const files = {
    'orders.yaml': FINE,
    'db.yaml': workloadYaml('db', { name: 'postgresql', number: 5432 }) + POLICY_OF_DB,
    'routes.yaml': [
      route('fine', "group: '', kind: Service, name: orders"),
      route('gone', "group: '', kind: Service, name: ordres"),
      route('opaque', "group: '', kind: Service, name: db"),
      route('of-no-group', 'kind: Service, name: orders'),
      route('hosts', "group: '', kind: Service, name: orders", '  hostnames: [orders.example]\n'),
    ].join(''),
  }
  const told = await codes(t, files)
  assert.deepEqual(
    told.filter((line) => line.startsWith('routes.yaml')),
    [
      'routes.yaml:13 route-not-attached',
      'routes.yaml:20 route-not-attached',
      'routes.yaml:27 route-not-attached',
      'routes.yaml:35 not-applied',
    ],
  )
  assert.match(await found(t, files), /Service shop\/db is opaque TCP: nobody reads requests there/)
})

const POLICY_OF_DB = `---
${policyYaml('db', '  authorization: {allow: [{name: orders, from: {serviceAccounts: [shop/orders]}}]}\n')}`

test('what a sidecar would refuse is told before one is asked, at the policy that it comes from', async (t) => {
  const mesh = await readFileMesh([await directoryOf(t, { 'orders.yaml': FINE })])
  const config = [...mesh.translation.configs.values()].find(({ workload }) => workload === 'shop/orders')
  assert.ok(config)
  const broken = JSON.parse(JSON.stringify(config).replace('"methods":["GET"]', '"methodes":["GET"]'))
  const [only, ...others] = compileIssues([broken])
  assert.deepEqual(others, [])
  assert.equal(only?.code, 'refused-by-sidecar')
  assert.equal(only?.resource, 'SecurityPolicy/shop/orders')
  assert.match(only?.message ?? '', /^shop\/orders would refuse its configuration: listeners\[0\]\..*methodes/)
})

test('a Service without workload and policies that nobody obeys are told', async (t) => {
  const orphan = `apiVersion: v1
kind: Service
metadata: {name: orphan, namespace: shop}
spec: {selector: {app: gone}, ports: [{port: 80}]}
---
${policyYaml('orphan', '  mtls: {mode: Strict}\n')}---
${policyYaml('dry', '  mode: DryRun\n  authorization: {deny: [{name: never, to: {methods: [PUT]}}]}\n', 'orders')}`
  assert.deepEqual(await codes(t, { 'orders.yaml': FINE, 'orphan.yaml': orphan }), [
    'orphan.yaml:4 no-workload',
    'orphan.yaml:10 selects-nothing',
    'orphan.yaml:18 not-enforced',
  ])
})

test('what a cluster may not know of a route is told with the channel that it is of, and what a TrafficPolicy cannot mean', async (t) => {
  const directory = await directoryOf(t, {
    'orders.yaml': `${workloadYaml('orders')}---
${policyYaml('orders', '  authorization: {allow: [{name: all}]}\n')}---
apiVersion: hauberk.dev/v1alpha1
kind: TrafficPolicy
metadata: {name: orders, namespace: shop}
spec:
  targetRefs: [{kind: Service, name: orders}, {kind: Service, name: paymets}]
  timeouts: {request: 1s, try: 2s}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: shop}
spec:
  parentRefs: [{name: nobody}]
  rules: [{retry: {attempts: 2}, backendRefs: [{name: orders, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls, namespace: shop}
spec:
  parentRefs: [{name: nobody}]
  rules: [{sessionPersistence: {type: Cookie}, backendRefs: [{name: orders, port: 80}]}]
`,
  })
  const { stdout } = await runHauberk(['check', '-f', directory], { cwd: directory })
  assert.match(
    stdout,
    /info +HBK0509 +HTTPRoute\/shop\/orders +spec\.rules\[0\]\.retry: is of Gateway API's experimental channel/,
  )
  assert.match(stdout, /warning +HBK0307 +GRPCRoute\/shop\/calls +spec\.parentRefs\[0\]\.name: there is no Gateway/)
  assert.match(
    stdout,
    /info +HBK0509 +GRPCRoute\/shop\/calls +spec\.rules\[0\]\.sessionPersistence: is of Gateway API's/,
  )
  assert.match(
    stdout,
    /warning +HBK0416 +TrafficPolicy\/shop\/orders +spec\.timeouts\.try: is longer than timeouts\.request/,
  )
  assert.match(stdout, /error +HBK0301 +TrafficPolicy\/shop\/orders +spec\.targetRefs: there is no Service paymets/)
})

test('what a schema can refuse by has a number', () => {
  const keywords = new Set<string>()
  const collect = (schema: JsonSchema) => {
    for (const [keyword, value] of Object.entries(schema)) {
      if (keyword === 'properties') for (const inner of Object.values(value as object)) collect(inner)
      else if (['items', 'additionalProperties', 'not'].includes(keyword) && typeof value === 'object') {
        collect(value as JsonSchema)
      } else if (['allOf', 'anyOf', 'oneOf'].includes(keyword))
        for (const inner of value as JsonSchema[]) collect(inner)
      keywords.add(keyword)
    }
  }
  for (const { specSchema, partialSchema = {} } of KINDS) collect(specSchema?.(SECTIONS) ?? partialSchema)
  const silent = ['properties', 'items', 'additionalProperties', 'description', 'default', 'allOf', 'nullable', 'title']
  const told = [...keywords].filter((keyword) => !silent.includes(keyword) && !keyword.startsWith('x-kubernetes-'))
  assert.deepEqual(
    told.filter((keyword) => !Object.hasOwn(ISSUE_IDS, keyword)),
    [],
  )
})

test('the shop has no errors', async () => {
  const errors = inspect(await readFileMesh([SHOP])).filter(({ severity }) => severity === 'error')
  assert.deepEqual(errors, [])
})

test('the exit code says whether there are errors, and with --strict warnings', async (t) => {
  const directory = await directoryOf(t, {
    'fine.yaml': FINE,
    'bare.yaml': workloadYaml('bare'),
    'broken.yaml': 'kind: SecurityPolicy\n',
  })
  const check = (...args: readonly string[]) => runHauberk(['check', ...args], { cwd: directory })
  const [fine, warned, strict, broken, nothing, unknown, missing] = await Promise.all([
    check('-f', 'fine.yaml'),
    check('-f', 'fine.yaml', '-f', 'bare.yaml'),
    check('-f', 'bare.yaml', '--strict'),
    check('-f', '.', '-o', 'json'),
    check(),
    check('-f', 'fine.yaml', '--nonsense'),
    check('-f', 'missing.yaml'),
  ])
  assert.deepEqual(
    [fine, warned, strict, broken, nothing, unknown, missing].map(({ code }) => code),
    [0, 0, 79, 79, 2, 2, 1],
  )
  assert.equal(fine?.stdout, '✓ nothing to complain about (1 file, 3 resources, 1 workload)\n')
  assert.match(warned?.stdout ?? '', /\n! 1 warning \(2 files, 5 resources, 2 workloads\)\n$/)
  const { findings, summary } = JSON.parse(broken?.stdout ?? '')
  assert.deepEqual(summary, { errors: 1, warnings: 0, infos: 0, files: 3, resources: 5, workloads: 2 })
  assert.deepEqual(findings[0], {
    id: 'HBK0109',
    code: 'required',
    severity: 'error',
    path: 'apiVersion',
    message: 'is required',
    location: { file: 'broken.yaml', line: 1, column: 1 },
  })
  assert.match(missing?.stderr ?? '', /^missing\.yaml: no such file or directory\n$/)
})

test('T31: a password that is written into a Deployment is found with its place, and not told', async (t) => {
  const workload = workloadYaml('orders').replace(
    'name: app,',
    'name: app, env: [{name: DB_PASSWORD, value: hunter2}],',
  )
  const files = { 'orders.yaml': `${workload}---\n${FINE.split('---\n').at(-1)}` }
  const text = await found(t, files)
  assert.match(
    text,
    /error {2}HBK0235 {2}Deployment\/shop\/orders {2}spec\.template\.spec\.containers\[0\]\.env\[0\]\.value: is a secret, written into the variable DB_PASSWORD/,
  )
  assert.match(text, /have InlineSecrets allowed for namespace shop in optOuts of MeshConfig default/)
  assert(!text.includes('hunter2'))

  const mesh = `apiVersion: hauberk.dev/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec: {optOuts: [{name: old, namespaces: [shop], allow: [InlineSecrets]}]}
`
  assert.match(await found(t, { ...files, 'mesh.yaml': mesh }), /warning {2}HBK0235/)
})
