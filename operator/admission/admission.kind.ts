import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { BlockList } from 'node:net'
import { networkInterfaces } from 'node:os'
import { after, before, test } from 'node:test'
import type { HostnamePattern } from '../../model/hostname.ts'
import type { Resource } from '../../model/resource.ts'
import { pemsOf } from '../../model/x509/bundle.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import type { Authority } from '../identity/authority.ts'
import { SETTINGS } from '../inject/testing/context.ts'
import { type KubernetesClient, openClient } from '../kubernetes/client.ts'
import { isNotFound, KubernetesError } from '../kubernetes/errors.ts'
import { type ResourcePath, resourcePath } from '../kubernetes/path.ts'
import { type StoredSnapshot, snapshotOf } from '../store/snapshot.ts'
import { DEPS, resourcesIn } from '../translate/testing/world.ts'
import { translate } from '../translate/translate.ts'
import { type Admission, startAdmission } from './admission.ts'
import type { WebhookConfiguration } from './ca-bundle.ts'
import { admissionMetrics } from './metrics.ts'
import { startAdmissionServer } from './server.ts'
import { openMemoryAuthority } from './testing/webhook-world.ts'

/**
 * The webhooks against a real API server, which calls this process through a Service without pods. Wants the CRDs of Hauberk
 * there, a node that reaches this machine by an address of its own network (kind does), and kubectl.
 *
 * No pod of it ever runs: what counts is what the API server stores.
 */

// biome-ignore lint/suspicious/noExplicitAny: whatever path a test looks at.
type Tree = any

const RUN = `inj-${randomBytes(4).toString('hex')}`
const SYSTEM = `${RUN}-system`
/** Opted in. */
const SHOP = `${RUN}-shop`
/** Opted in, with a level of Pod Security that refuses the init container. */
const STRICT = `${RUN}-strict`
/** Not opted in. */
const OUT = `${RUN}-out`
const SERVICE = { namespace: SYSTEM, name: 'hauberk-operator', port: 443 }
const OTHER_PORT = 444

const CONFIGURATIONS: readonly WebhookConfiguration[] = [
  {
    plural: 'mutatingwebhookconfigurations',
    name: `${RUN}-inject`,
    webhooks: [{ name: 'inject.hauberk.dev', leadsTo: 'inject' }],
  },
  {
    plural: 'validatingwebhookconfigurations',
    name: `${RUN}-pods`,
    webhooks: [
      { name: 'pods.hauberk.dev', leadsTo: 'pods' },
      { name: 'changes.hauberk.dev', leadsTo: 'pods' },
    ],
  },
  {
    plural: 'validatingwebhookconfigurations',
    name: `${RUN}-admission`,
    webhooks: [{ name: 'policies.hauberk.dev', leadsTo: 'policies' }],
  },
]

let client: KubernetesClient
let authority: Authority
let admission: Admission
/** The address of this machine in the network of the nodes. */
let hostAddress: string
let snapshot: StoredSnapshot = snapshotOf([])

before(async () => {
  client = await openClient({ config: { from: 'default' }, userAgent: 'hauberk-tests' })
  hostAddress = await findHostAddress()
  authority = await openMemoryAuthority(systemClock)
  const optedIn = { 'hauberk.dev/inject': 'enabled', 'inj.test/run': RUN }
  await namespace(SYSTEM, {})
  await namespace(SHOP, optedIn)
  await namespace(STRICT, { ...optedIn, 'pod-security.kubernetes.io/enforce': 'restricted' })
  await namespace(OUT, {})
  snapshot = snapshotOf(
    resourcesIn(`
apiVersion: v1
kind: Namespace
metadata: {name: ${STRICT}, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: hauberk.dev/v1alpha1
kind: MeshSecurityPolicy
metadata: {name: baseline}
spec: {floor: {mtls: {mode: Strict}}}
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: ${SHOP}}
spec: {selector: {app: orders}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: ${SHOP}}
spec:
  template:
    metadata: {labels: {app: orders}}
    spec: {serviceAccountName: orders, containers: [{name: app, ports: [{containerPort: 8080}]}]}
`),
  )
  admission = await start(0)
  await openService()
  await expose('webhook', admission.port)
  for (const each of configurations()) {
    await client.request({ method: 'POST', path: resourcePath(registration(each.plural)), body: each.object })
  }
  await eventually('the webhooks are in place', async () => admission.ready())
  // kube-proxy may take a moment for the Service.
  await eventually('the API server reaches them', () => create(SHOP, pod()))
})

after(async () => {
  for (const { plural, name } of CONFIGURATIONS) await remove({ ...registration(plural), name })
  await admission?.close()
  for (const name of [SHOP, STRICT, OUT, SYSTEM]) await remove({ apiVersion: 'v1', plural: 'namespaces', name })
  client?.close()
})

test('a pod of an opted-in namespace is stored with the sidecar first, and one of another as it is', async () => {
  const stored = await create(SHOP, pod({ initContainers: [{ name: 'migrate', image: 'orders' }] }))
  assert.deepEqual(
    stored.spec.initContainers.map(({ name }: Tree) => name),
    ['hauberk-init', 'hauberk-sidecar', 'migrate'],
  )
  assert.equal(stored.spec.initContainers[1].restartPolicy, 'Always')
  assert.equal(stored.metadata.annotations['hauberk.dev/injected'], '1')
  assert.equal(stored.spec.containers[0].readinessProbe.httpGet.path, '/app-health/app/readiness')
  assert.equal(stored.spec.containers[0].lifecycle.preStop.sleep.seconds, 3)
  const other = await create(OUT, pod())
  assert.equal(other.spec.initContainers, undefined)
})

test('pods of Deployments and Jobs are injected, and told the name of their workload', async () => {
  await request(
    'POST',
    { apiVersion: 'apps/v1', plural: 'deployments', namespace: SHOP },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'orders' },
      spec: {
        selector: { matchLabels: { app: 'orders' } },
        template: { metadata: { labels: { app: 'orders' } }, spec: pod().spec },
      },
    },
  )
  await request(
    'POST',
    { apiVersion: 'batch/v1', plural: 'cronjobs', namespace: SHOP },
    {
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: { name: 'report' },
      spec: {
        schedule: '* * * * *',
        suspend: true,
        jobTemplate: {
          spec: {
            template: { metadata: { labels: { app: 'report' } }, spec: { ...pod().spec, restartPolicy: 'Never' } },
          },
        },
      },
    },
  )
  await request(
    'POST',
    { apiVersion: 'batch/v1', plural: 'jobs', namespace: SHOP },
    {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: 'report-29384750' },
      spec: { template: { metadata: { labels: { app: 'report' } }, spec: { ...pod().spec, restartPolicy: 'Never' } } },
    },
  )
  for (const [app, workload] of [
    ['orders', `${SHOP}/orders`],
    ['report', `${SHOP}/report`],
  ]) {
    const [stored] = await eventually(`a pod of ${app}`, async () => {
      const { items } = await client.request<Tree>({
        path: resourcePath(pods(SHOP)),
        query: { labelSelector: `app=${app}` },
      })
      return items.length > 0 && items
    })
    assert.equal(told(stored).workload, workload)
  }
})

test('the limits that a LimitRange adds to our containers are no reason to refuse', async () => {
  await request(
    'POST',
    { apiVersion: 'v1', plural: 'limitranges', namespace: SHOP },
    {
      apiVersion: 'v1',
      kind: 'LimitRange',
      metadata: { name: 'limits' },
      spec: { limits: [{ type: 'Container', default: { cpu: '1' }, defaultRequest: { cpu: '50m' } }] },
    },
  )
  const stored = await create(SHOP, pod())
  const [, sidecar] = stored.spec.initContainers
  assert.deepEqual(sidecar.args, ['run'])
  await remove({ apiVersion: 'v1', plural: 'limitranges', namespace: SHOP, name: 'limits' })
})

test('every kind of probe is accepted by the API server where injection has put it', async () => {
  const handlers = [{ tcpSocket: { port: 'http' } }, { grpc: { port: 8080 } }, { httpGet: { path: '/x', port: 8080 } }]
  const containers = handlers.map((handler, i) => ({
    name: `app-${i}`,
    image: 'orders',
    ports: [{ name: 'http', containerPort: 8080 + i }],
    startupProbe: handler,
    livenessProbe: { ...handler, timeoutSeconds: 3 },
    lifecycle: { postStart: { httpGet: { port: 8080 } }, preStop: { httpGet: { path: 'bye', port: 8080 } } },
  }))
  const stored = await create(SHOP, pod({ containers }))
  assert.equal(told(stored).probes.length, 12)
})

test('T28: a pod that was injected is created again as it is, and a forged sidecar is made ours', async () => {
  const once = await create(SHOP, pod())
  const spec = { ...once.spec }
  const again = await create(SHOP, { metadata: { annotations: once.metadata.annotations }, spec })
  assert.deepEqual(again.spec.initContainers, once.spec.initContainers)
  const forged = structuredClone(spec)
  forged.initContainers[1].image = 'evil'
  forged.initContainers[1].env.push({ name: 'NODE_OPTIONS', value: '--require=/x' })
  const mended = await create(SHOP, { metadata: { annotations: once.metadata.annotations }, spec: forged })
  assert.deepEqual(mended.spec.initContainers, once.spec.initContainers)
})

test('T08: a pod that could get round its sidecar is refused with place and way out, until somebody allows it', async () => {
  const attacks: readonly (readonly [Tree, RegExp])[] = [
    [{ hostNetwork: true }, /spec\.hostNetwork/],
    [{ shareProcessNamespace: true }, /spec\.shareProcessNamespace/],
    [{ securityContext: { runAsUser: 15_013 } }, /spec\.securityContext\.runAsUser/],
    [
      { containers: [{ name: 'a', image: 'a', securityContext: { privileged: true } }] },
      /spec\.containers\[0\]\.securityContext\.privileged/,
    ],
    [{ containers: [{ name: 'hauberk-x', image: 'a' }] }, /spec\.containers\[0\]\.name/],
  ]
  for (const [attack, place] of attacks) {
    const message = await refusal(create(SHOP, pod(attack)))
    assert.match(message, /admission webhook "inject\.hauberk\.dev" denied the request/)
    assert.match(message, place)
  }
  assert.match(
    await refusal(create(SHOP, { ...pod(), metadata: { labels: { 'hauberk.dev/inject': 'disabled' } } })),
    /optOuts of MeshConfig/,
  )
  await withMeshConfig({ optOuts: [{ name: 'agents', namespaces: [SHOP], allow: ['HostNetwork'] }] }, async () => {
    const stored = await create(SHOP, pod({ hostNetwork: true }))
    assert.equal(stored.spec.initContainers, undefined)
  })
})

test('a namespace that enforces Pod Security is told so by name, before the API server refuses in other words', async () => {
  const message = await refusal(create(STRICT, pod()))
  assert.match(message, /inject\.hauberk\.dev.*pod-security\.kubernetes\.io\/enforce: restricted/)
  assert.match(message, /docs\/injection\.md#pod-security/)
})

test('T28: an ephemeral container may debug the app, and not be what gets round the sidecar, whatever label its namespace has by then', async () => {
  const name = await stored(pod())
  const debug = (container: Tree) =>
    client.request<Tree>({
      method: 'PATCH',
      path: resourcePath({ ...pods(SHOP), name, subresource: 'ephemeralcontainers' }),
      contentType: 'application/strategic-merge-patch+json',
      body: { spec: { ephemeralContainers: [{ name: 'debug', image: 'tools', ...container }] } },
    })
  for (const container of [
    { securityContext: { privileged: true } },
    { securityContext: { capabilities: { add: ['NET_ADMIN'] } } },
    { securityContext: { runAsUser: 15_013 } },
    { targetContainerName: 'hauberk-sidecar' },
    { volumeMounts: [{ name: 'hauberk-state', mountPath: '/state' }] },
  ]) {
    assert.match(
      await refusal(debug(container)),
      /admission webhook "changes\.hauberk\.dev" denied the request: spec\.ephemeralContainers\[0\]/,
    )
  }
  await labelled(null, async () => {
    // The pod has its sidecar still, and with it an identity of the mesh.
    assert.match(await refusal(debug({ securityContext: { privileged: true } })), /"changes\.hauberk\.dev" denied/)
    const other = await create(SHOP, pod())
    assert.equal(other.spec.initContainers, undefined)
  })
  const { spec } = await debug({
    targetContainerName: 'app',
    securityContext: { capabilities: { add: ['SYS_PTRACE'] } },
  })
  assert.equal(spec.ephemeralContainers.length, 1)
})

test('T28: the image of the sidecar of a pod cannot be changed, that of the app can', async () => {
  const name = await stored(pod())
  const patch = (body: Tree) =>
    client.request<Tree>({
      method: 'PATCH',
      path: resourcePath({ ...pods(SHOP), name }),
      contentType: 'application/strategic-merge-patch+json',
      body,
    })
  assert.match(
    await refusal(patch({ spec: { initContainers: [{ name: 'hauberk-sidecar', image: 'evil' }] } })),
    /admission webhook "changes\.hauberk\.dev" denied the request: spec\.initContainers\[1\]\.image/,
  )
  const { spec } = await patch({ spec: { containers: [{ name: 'app', image: 'orders:2' }] } })
  assert.equal(spec.containers[0].image, 'orders:2')
})

test('T28: what a webhook after ours makes of the sidecar is mended, and refused where it insists', async () => {
  let asked = 0
  const other = await startAdmissionServer({
    host: hostAddress,
    port: 0,
    authority,
    dnsNames: [`${SERVICE.name}.${SERVICE.namespace}.svc` as HostnamePattern],
    secret: 'other',
    handlers: {
      inject: () => {
        asked += 1
        return {
          allowed: true,
          patch: [{ op: 'replace', path: '/spec/initContainers/1/image', value: 'evil' }],
          warnings: [],
        }
      },
      pods: () => ({ allowed: true, warnings: [] }),
      policies: () => ({ allowed: true, warnings: [] }),
    },
    clock: systemClock,
    log: silentLog,
    metrics: admissionMetrics(createMetrics()),
  })
  const path = registration('mutatingwebhookconfigurations')
  const name = `${RUN}-other`
  const [ours] = configurations()
  const insist = async (reinvocationPolicy: string) => {
    const service = { namespace: SYSTEM, name: SERVICE.name, port: OTHER_PORT, path: '/inject/other' }
    const caBundle = Buffer.from(pemsOf(authority.trustBundle()).join('')).toString('base64')
    const webhook = { ...ours?.object.webhooks?.[0], name: 'other.hauberk.test', reinvocationPolicy }
    await request('POST', path, {
      ...ours?.object,
      metadata: { name },
      webhooks: [
        {
          ...webhook,
          objectSelector: { matchLabels: { attack: reinvocationPolicy } },
          clientConfig: { service, caBundle },
        },
      ],
    })
  }
  const attacked = (reinvocationPolicy: string) => {
    return create(SHOP, { ...pod(), metadata: { labels: { attack: reinvocationPolicy } } })
  }
  try {
    await expose('other', other.port)
    await insist('Never')
    await eventually('the other webhook is asked', async () => {
      const { spec } = await attacked('Never')
      assert.equal(spec.initContainers[1].image, SETTINGS.image)
      return asked > 0
    })
    await remove({ ...path, name })
    await insist('IfNeeded')
    await eventually('it insists', async () => {
      const message = await refusal(attacked('IfNeeded'))
      return /"pods\.hauberk\.dev" denied the request: spec\.initContainers\[1\]\.image/.test(message)
    })
  } finally {
    await remove({ ...path, name })
    await other.close()
  }
})

test('a policy that weakens the floor is refused with its path, and what is missing is a warning', async () => {
  const policy = (name: string, spec: Tree) => ({
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'SecurityPolicy',
    metadata: { name, namespace: SHOP },
    spec: { targetRefs: [{ kind: 'Service', name: 'orders' }], ...spec },
  })
  const lax = await kubectl('apply', policy('lax', { mtls: { mode: 'Permissive' } }))
  assert.equal(lax.code, 1)
  assert.match(
    lax.stderr,
    /admission webhook "policies\.hauberk\.dev" denied the request: spec\.mtls: asks for less than the floor/,
  )
  const wrong = await kubectl(
    'apply',
    policy('wrong', { authorization: { allow: [{ name: 'a', when: 'claims.sub ==' }] } }),
  )
  assert.match(wrong.stderr, /denied the request: spec\.authorization\.allow\[0\]\.when/)
  const early = await kubectl(
    'apply',
    policy('early', { targetRefs: [{ kind: 'Service', name: 'later' }], mtls: { mode: 'Strict' } }),
  )
  assert.equal(early.code, 0, early.stderr)
  assert.match(early.stderr, /Warning: SecurityPolicy\/.*\/early: spec\.targetRefs: there is no Service later/)
})

test('injection answers in time: 200 pods, one after the other', async (t) => {
  const times: number[] = []
  for (let i = 0; i < 200; i++) {
    const startedAt = performance.now()
    await create(SHOP, pod())
    times.push(performance.now() - startedAt)
  }
  times.sort((a, b) => a - b)
  const [p50 = 0, p99 = 0] = [times[100], times[198]].map((ms) => Math.round(ms ?? 0))
  t.diagnostic(`creating a pod, injection and review included (dry run): p50 ${p50} ms, p99 ${p99} ms`)
  assert.ok(p99 < 1_000)
})

test('F21: certificates that somebody broke are put right within 60 s, and pods are refused meanwhile', async () => {
  const [configuration] = CONFIGURATIONS
  assert(configuration)
  await client.request({
    method: 'PATCH',
    path: resourcePath({ ...registration(configuration.plural), name: configuration.name }),
    contentType: 'application/json-patch+json',
    // Of another authority, and well-formed: the API server takes no other.
    body: [{ op: 'replace', path: '/webhooks/0/clientConfig/caBundle', value: await foreignBundle() }],
  })
  await eventually('refused', () =>
    create(SHOP, pod()).then(
      () => false,
      (error) => /certificate/.test(String(error)),
    ),
  )
  await create(OUT, pod())
  await eventually('healed', () => create(SHOP, pod()), 60_000)
})

test('F21: with the webhooks down only opted-in namespaces are refused, pods that are there are let go, and it heals alone', async () => {
  const name = await stored(pod(), { finalizers: ['inj.test/hold'] })
  const { port } = admission
  await admission.close()
  assert.match(await refusal(create(SHOP, pod())), /failed calling webhook "inject\.hauberk\.dev"/)
  await create(OUT, pod())
  const change = (body: Tree) =>
    client.request<Tree>({
      method: 'PATCH',
      path: resourcePath({ ...pods(SHOP), name }),
      contentType: 'application/merge-patch+json',
      body,
    })
  assert.match(
    await refusal(change({ spec: { activeDeadlineSeconds: 5 } })),
    /failed calling webhook "changes\.hauberk\.dev"/,
  )
  await change({ metadata: { labels: { a: 'b' } } })
  await remove({ ...pods(SHOP), name })
  await change({ metadata: { finalizers: null } })
  admission = await start(port)
  await eventually('healed', () => create(SHOP, pod()), 60_000)
})

function start(port: number): Promise<Admission> {
  const translation = translate(snapshot, DEPS)
  return startAdmission({
    client,
    authority,
    snapshot: () => snapshot,
    translation: () => translation,
    settings: SETTINGS,
    listen: { host: hostAddress, port },
    service: SERVICE,
    configurations: CONFIGURATIONS,
    isLeading: () => true,
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    metrics: createMetrics(),
  })
}

/** A Service of two ports without pods. */
function openService(): Promise<Tree> {
  return request(
    'POST',
    { apiVersion: 'v1', plural: 'services', namespace: SYSTEM },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: SERVICE.name },
      spec: {
        ports: [
          { name: 'webhook', port: SERVICE.port },
          { name: 'other', port: OTHER_PORT },
        ],
      },
    },
  )
}

/** Has one port of it lead to this process. */
function expose(name: string, port: number): Promise<Tree> {
  return request(
    'POST',
    { apiVersion: 'discovery.k8s.io/v1', plural: 'endpointslices', namespace: SYSTEM },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, labels: { 'kubernetes.io/service-name': SERVICE.name } },
      addressType: 'IPv4',
      ports: [{ name, port, protocol: 'TCP' }],
      endpoints: [{ addresses: [hostAddress], conditions: { ready: true } }],
    },
  )
}

async function findHostAddress(): Promise<string> {
  const { items } = await client.request<Tree>({ path: '/api/v1/nodes' })
  const nodes: string[] = items.flatMap(({ status }: Tree) =>
    status.addresses.filter(({ type }: Tree) => type === 'InternalIP').map(({ address }: Tree) => address),
  )
  for (const { address, cidr, family } of Object.values(networkInterfaces()).flatMap((list) => list ?? [])) {
    const [network = '', prefix = ''] = (cidr ?? '').split('/')
    if (family !== 'IPv4') continue
    const block = new BlockList()
    block.addSubnet(network, Number(prefix), 'ipv4')
    if (nodes.some((node) => block.check(node, 'ipv4'))) return address
  }
  return assert.fail('no node is in a network of this machine')
}

/** As the chart has them, but for this test's own namespaces alone. */
function configurations() {
  const common = {
    admissionReviewVersions: ['v1'],
    sideEffects: 'None',
    matchPolicy: 'Equivalent',
    failurePolicy: 'Fail',
    timeoutSeconds: 5,
    namespaceSelector: { matchLabels: { 'hauberk.dev/inject': 'enabled', 'inj.test/run': RUN } },
    clientConfig: { service: SERVICE },
  }
  const rule = (resources: readonly string[], operations: readonly string[], group = '', version = 'v1') => ({
    operations,
    apiGroups: [group],
    apiVersions: [version],
    resources,
    scope: 'Namespaced',
  })
  const webhooks: readonly (readonly Tree[])[] = [
    [{ ...common, name: 'inject.hauberk.dev', reinvocationPolicy: 'IfNeeded', rules: [rule(['pods'], ['CREATE'])] }],
    [
      { ...common, name: 'pods.hauberk.dev', rules: [rule(['pods'], ['CREATE'])] },
      {
        ...common,
        name: 'changes.hauberk.dev',
        namespaceSelector: { matchLabels: { 'inj.test/run': RUN } },
        rules: [rule(['pods', 'pods/ephemeralcontainers'], ['UPDATE'])],
        matchConditions: [
          {
            name: 'has-a-sidecar',
            expression:
              "has(oldObject.spec.initContainers) && oldObject.spec.initContainers.exists(c, c.name == 'hauberk-sidecar')",
          },
          { name: 'what-runs-changes', expression: 'object.spec != oldObject.spec' },
        ],
      },
    ],
    [
      {
        ...common,
        name: 'policies.hauberk.dev',
        rules: [rule(['securitypolicies'], ['CREATE', 'UPDATE'], 'hauberk.dev', 'v1alpha1')],
      },
    ],
  ]
  return CONFIGURATIONS.map(({ plural, name }, i) => ({
    plural,
    object: {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: plural.startsWith('mutating') ? 'MutatingWebhookConfiguration' : 'ValidatingWebhookConfiguration',
      metadata: { name },
      webhooks: webhooks[i],
    },
  }))
}

function registration(plural: string): ResourcePath {
  return { apiVersion: 'admissionregistration.k8s.io/v1', plural }
}

function pods(namespace: string): ResourcePath {
  return { apiVersion: 'v1', plural: 'pods', namespace }
}

function request(method: 'POST', path: ResourcePath, body: Tree): Promise<Tree> {
  return client.request({ method, path: resourcePath(path), body })
}

function namespace(name: string, labels: Readonly<Record<string, string>>): Promise<Tree> {
  const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }
  return request('POST', { apiVersion: 'v1', plural: 'namespaces' }, body)
}

/** A pod that no scheduler takes. */
function pod(spec: Tree = {}): Tree {
  return {
    metadata: { generateName: 'pod-' },
    spec: {
      schedulerName: 'nobody',
      containers: [
        {
          name: 'app',
          image: 'orders',
          ports: [{ name: 'http', containerPort: 8080 }],
          readinessProbe: { httpGet: { path: '/ready', port: 'http' } },
        },
      ],
      ...spec,
    },
  }
}

/** What the API server would store of a pod: every admission plugin has been asked. */
function create(namespace: string, { metadata, spec }: Tree): Promise<Tree> {
  const body = { apiVersion: 'v1', kind: 'Pod', metadata: { generateName: 'pod-', ...metadata }, spec }
  return client.request({ method: 'POST', path: resourcePath(pods(namespace)), query: { dryRun: 'All' }, body })
}

/** Stores a pod and gives its name. */
async function stored({ spec }: Tree, metadata: Tree = {}): Promise<string> {
  const body = { apiVersion: 'v1', kind: 'Pod', metadata: { generateName: 'pod-', ...metadata }, spec }
  const made = await request('POST', pods(SHOP), body)
  return made.metadata.name
}

function told(stored: Tree): Tree {
  return JSON.parse(stored.spec.initContainers[1].env.find(({ name }: Tree) => name === 'HAUBERK_SIDECAR').value)
}

async function refusal(asked: Promise<unknown>): Promise<string> {
  try {
    await asked
  } catch (error) {
    if (error instanceof KubernetesError) return error.message
    throw error
  }
  return assert.fail('it was not refused')
}

async function remove(path: ResourcePath): Promise<void> {
  await client.request({ method: 'DELETE', path: resourcePath(path) }).catch((error: unknown) => {
    if (!isNotFound(error)) throw error
  })
}

/** Asks until the answer is neither false nor an error, and says the last error when the time is over. */
async function eventually<T>(what: string, look: () => Promise<T | false>, deadlineMs = 30_000): Promise<T> {
  const end = Date.now() + deadlineMs
  for (;;) {
    let problem: unknown
    try {
      const found = await look()
      if (found !== false) return found
    } catch (error) {
      problem = error
    }
    assert.ok(Date.now() < end, `in time: ${what}: ${problem}`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

/** With another label of injection on the namespace. */
async function labelled(value: string | null, run: () => Promise<void>): Promise<void> {
  const label = (to: string | null) =>
    client.request({
      method: 'PATCH',
      path: resourcePath({ apiVersion: 'v1', plural: 'namespaces', name: SHOP }),
      contentType: 'application/merge-patch+json',
      body: { metadata: { labels: { 'hauberk.dev/inject': to } } },
    })
  await label(value)
  try {
    await eventually('the API server goes by it', async () => {
      return (await create(SHOP, pod())).spec.initContainers === undefined
    })
    await run()
  } finally {
    await label('enabled')
    await eventually('and back', async () => (await create(SHOP, pod())).spec.initContainers !== undefined)
  }
}

async function withMeshConfig(spec: Tree, run: () => Promise<void>): Promise<void> {
  const before = snapshot
  const resource: Resource = {
    apiVersion: 'hauberk.dev/v1alpha1',
    kind: 'MeshConfig',
    metadata: { name: 'default' },
    spec,
  }
  snapshot = snapshot.with([{ kind: 'MeshConfig', namespace: undefined, name: 'default', resource }])
  try {
    await run()
  } finally {
    snapshot = before
  }
}

async function foreignBundle(): Promise<string> {
  const foreign = await openMemoryAuthority(systemClock)
  return Buffer.from(pemsOf(foreign.trustBundle()).join('')).toString('base64')
}

function kubectl(verb: string, object: unknown): Promise<{ readonly code: number; readonly stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile('kubectl', [verb, '-f', '-'], (error, _stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stderr })
    })
    child.stdin?.end(JSON.stringify(object))
  })
}
