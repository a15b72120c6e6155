import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, type TestContext, test } from 'node:test'
import { TRUST_ANCHORS_CONFIG_MAP, TRUST_ANCHORS_KEY } from '../../contract/pod.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { createIssuerKeysStore } from '../keys/issuer-keys.ts'
import { type ApplicableObject, applyObject } from '../kubernetes/apply.ts'
import { type KubernetesClient, openClient } from '../kubernetes/client.ts'
import { createOnly } from '../kubernetes/create.ts'
import { isNotFound } from '../kubernetes/errors.ts'
import type { EventFields } from '../kubernetes/events.ts'
import type { KubernetesObject } from '../kubernetes/object.ts'
import { type ResourcePath, resourcePath } from '../kubernetes/path.ts'
import { createReflectorMetrics } from '../kubernetes/reflector-metrics.ts'
import { createOperation } from '../operation.ts'
import { createAcknowledgementTable } from '../push/acknowledgements.ts'
import { createKubernetesSource } from '../sources/kubernetes.ts'
import { createDryRunTable } from '../status/dry-run-counts.ts'
import { createStore } from '../store/store.ts'
import { resourcesIn } from '../translate/testing/world.ts'
import { SUPPORTED_FEATURES } from './class-status.ts'
import { runGatewayController } from './controller.ts'
import { gatewayCounters } from './counters.ts'
import { MANAGED_KINDS } from './mirror.ts'
import { gatewayObjects } from './objects.ts'
import { gatewayIn, SETTINGS } from './testing/world.ts'

/**
 * The controller against a real API server, with the real source and translation. Wants the CRDs of Gateway API and of
 * Hauberk there, and Kubernetes' own controllers: pods are made, of an image that no node has.
 */

// biome-ignore lint/suspicious/noExplicitAny: whatever path a test looks at.
type Tree = any

const NAMESPACE = `gw-${randomBytes(4).toString('hex')}`
const CLASS = `hauberk-${NAMESPACE}`
const OTHER_CLASS = `other-${NAMESPACE}`
const SYSTEM = 'hauberk-system'
/** Of the test's own, in the range that clusters have. */
const NODE_PORT = 30_000 + (randomBytes(2).readUInt16BE() % 2_700)

const PLURALS: Readonly<Record<string, string>> = {
  Namespace: 'namespaces',
  Service: 'services',
  GatewayClass: 'gatewayclasses',
  Gateway: 'gateways',
  HTTPRoute: 'httproutes',
  GatewayParameters: 'gatewayparameters',
}
const GATEWAY = { apiVersion: 'gateway.networking.k8s.io/v1', plural: 'gateways', namespace: NAMESPACE }

let client: KubernetesClient
let isAnchorOurs = false
before(async () => {
  client = await openClient({ config: { from: 'default' }, userAgent: 'hauberk-tests' })
  await apply(`
apiVersion: v1
kind: Namespace
metadata: {name: ${SYSTEM}}
---
apiVersion: v1
kind: Namespace
metadata: {name: ${NAMESPACE}, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: ${CLASS}}
spec: {controllerName: hauberk.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: ${OTHER_CLASS}}
spec: {controllerName: other.example/controller}
`)
  // The pods mount it; where an operator is installed it is there.
  const metadata = { name: TRUST_ANCHORS_CONFIG_MAP, namespace: SYSTEM }
  const anchors = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { [TRUST_ANCHORS_KEY]: '' } }
  isAnchorOurs = (await createOnly(client, anchors, { plural: 'configmaps' })).created
})
after(async () => {
  for (const name of [CLASS, OTHER_CLASS])
    await remove({ ...GATEWAY, plural: 'gatewayclasses', namespace: undefined, name })
  await remove({ apiVersion: 'v1', plural: 'namespaces', name: NAMESPACE })
  const labelSelector = `hauberk.dev/gateway-namespace=${NAMESPACE}`
  for (const { apiVersion, plural } of MANAGED_KINDS) {
    const path = resourcePath({ apiVersion, plural, namespace: SYSTEM })
    await client.request({ method: 'DELETE', path, query: { labelSelector } })
  }
  const name = TRUST_ANCHORS_CONFIG_MAP
  if (isAnchorOurs) await remove({ apiVersion: 'v1', plural: 'configmaps', namespace: SYSTEM, name })
  client.close()
})

async function apply(yaml: string): Promise<void> {
  for (const resource of resourcesIn(yaml)) {
    const plural = PLURALS[resource.kind] ?? ''
    await applyObject(client, resource as unknown as ApplicableObject, { plural, fieldManager: 'tests', force: true })
  }
}

async function get(path: ResourcePath): Promise<Tree> {
  try {
    return await client.request<KubernetesObject>({ path: resourcePath(path) })
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
  }
}

async function remove(path: ResourcePath): Promise<void> {
  await client.request({ method: 'DELETE', path: resourcePath(path) }).catch((error: unknown) => {
    if (!isNotFound(error)) throw error
  })
}

function objectOf(plural: string, gateway: string): Promise<Tree> {
  const kind = MANAGED_KINDS.find((each) => each.plural === plural)
  return get({ apiVersion: kind?.apiVersion ?? '', plural, namespace: SYSTEM, name: `gateway-${NAMESPACE}-${gateway}` })
}

async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  deadlineMs = 30_000,
): Promise<T> {
  const end = Date.now() + deadlineMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    assert.ok(Date.now() < end, `in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

function conditionOf(status: Tree, type: string): Tree {
  return status?.conditions?.find((each: Tree) => each.type === type)
}

/** Waits until a condition of a Gateway has a reason for its newest generation, and returns the Gateway. */
function untilReason(gateway: string, type: string, reason: string): Promise<Tree> {
  return eventually(`Gateway ${gateway} has ${type} ${reason}`, async () => {
    const found = await get({ ...GATEWAY, name: gateway })
    const condition = conditionOf(found?.status, type)
    return condition?.reason === reason && condition.observedGeneration === found.metadata.generation && found
  })
}

/** The operator's part of this: source, store, translation and controller, of this namespace's Gateways alone. */
function start(t: TestContext) {
  const stop = new AbortController()
  const { signal } = stop
  const common = { client, clock: systemClock, random: Math.random, log: silentLog }
  const metrics = createMetrics()
  const source = createKubernetesSource({ ...common, metrics: createReflectorMetrics(metrics) })
  const store = createStore()
  const acknowledgements = createAcknowledgementTable()
  const issuerKeys = createIssuerKeysStore({ ...common, onChange: () => {} })
  const operation = createOperation({
    store,
    roots: () => [],
    issuerKeys,
    acknowledgements,
    dryRuns: createDryRunTable(),
    onDesired: () => {},
    onTranslation: () => controller.touch(),
    clock: systemClock,
    log: silentLog,
  })
  operation.start()
  const events: EventFields[] = []
  const isOurs = ({ kind, namespace, name }: { kind?: string; namespace?: string; name: string }) =>
    kind === 'GatewayClass' ? name === CLASS : namespace === NAMESPACE
  const controller = runGatewayController({
    ...common,
    world: {
      snapshot: () => store.snapshot(),
      gateways: () => operation.translation()?.gateways.filter(isOurs),
      statuses: (kinds) => operation.statuses(kinds).filter(({ report }) => isOurs(report)),
      observed: (kind, namespace, name) => source.observed(kind, namespace, name),
    },
    settings: { ...SETTINGS, image: 'hauberk-sidecar:no-such-image', imagePullPolicy: 'Never' },
    events: { record: (event) => void events.push(event) },
    counters: gatewayCounters(metrics),
    signal,
  })
  acknowledgements.onChange(() => controller.touch())
  source.onObserved(() => controller.touch())
  const reading = source.run(store, signal)
  const end = async () => {
    stop.abort(new Error('the test ends'))
    operation.close()
    issuerKeys.close()
    await Promise.all([reading, controller.done])
  }
  t.after(end)
  const writes = async () => {
    const lines = (await metrics.text()).split('\n').filter((line) => line.startsWith('hauberk_gateway_writes_total'))
    return Object.fromEntries(
      lines.map((line) => [/what="(\w+)"/.exec(line)?.[1] ?? '', Number(line.split(' ').at(-1))]),
    )
  }
  return { acknowledgements, operation, controller, events, writes, end }
}

/** A session of each pod of a gateway that obeys, as the push server would tell of it. */
async function obey({ acknowledgements, operation }: ReturnType<typeof start>, gateway: string): Promise<void> {
  const name = `gateway-${NAMESPACE}-${gateway}`
  const workload = `${SYSTEM}/${name}`
  const pods = () => operation.translation()?.pods.get(workload as never) ?? []
  await eventually('the pods are known', async () => pods().length > 0)
  const version = operation.desired(workload)?.config.version ?? ''
  for (const { key } of pods()) {
    acknowledgements.connect(key, { workload, pod: key, release: '0', contract: 2, since: 0 })
    acknowledgements.acknowledge(key, 'config', version)
  }
}

function gatewayYaml(name: string, service: string, more = ''): string {
  return `
apiVersion: hauberk.dev/v1alpha1
kind: GatewayParameters
metadata: {name: ${name}, namespace: ${NAMESPACE}}
spec: {replicas: 2, service: ${service}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ${name}, namespace: ${NAMESPACE}}
spec:
  gatewayClassName: ${CLASS}
  infrastructure:
    labels: {team: shop}
    annotations: {example.com/a: b}
    parametersRef: {group: hauberk.dev, kind: GatewayParameters, name: ${name}}
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: alt, port: 8080, protocol: HTTP}
${more}`
}

test('a Gateway gets its objects, and a status that the API server takes', async (t) => {
  const running = start(t)
  await apply(`
${gatewayYaml('edge', `{type: NodePort, nodePorts: [{port: 80, nodePort: ${NODE_PORT}}]}`)}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: edge, namespace: ${NAMESPACE}}
spec: {parentRefs: [{name: edge, sectionName: http}], rules: [{}]}
`)
  // No node has the image: the pods say so, and the status says it after them.
  const gateway = await untilReason('edge', 'Programmed', 'NoResources')
  assert.match(conditionOf(gateway.status, 'Programmed').message, /^Pod gateway-\S+: ErrImageNeverPull: /)
  assert.equal(conditionOf(gateway.status, 'Accepted').status, 'True')
  const [http, alt] = gateway.status.listeners
  assert.deepEqual([http.name, http.attachedRoutes, alt.name, alt.attachedRoutes], ['http', 1, 'alt', 0])
  assert.deepEqual(http.supportedKinds, [
    { group: 'gateway.networking.k8s.io', kind: 'GRPCRoute' },
    { group: 'gateway.networking.k8s.io', kind: 'HTTPRoute' },
  ])

  const service = await objectOf('services', 'edge')
  assert.equal(service.spec.type, 'NodePort')
  assert.equal(service.spec.externalTrafficPolicy, 'Local')
  const [low, high] = service.spec.ports
  assert.deepEqual([low.port, low.targetPort, low.nodePort], [80, 10080, NODE_PORT])
  assert.deepEqual([high.port, high.targetPort], [8080, 8080])
  assert.equal(service.metadata.labels.team, 'shop')
  const deployment = await objectOf('deployments', 'edge')
  assert.equal(deployment.spec.replicas, 2)
  assert.equal((await objectOf('serviceaccounts', 'edge')).automountServiceAccountToken, false)
  assert.equal((await objectOf('poddisruptionbudgets', 'edge')).spec.maxUnavailable, 1)

  await obey(running, 'edge')
  const obeyed = await untilReason('edge', 'Programmed', 'AddressNotAssigned')
  assert.deepEqual(obeyed.status.addresses, [])
})

test('what changes is followed, what somebody changed is put right, and what nobody wants any more goes', async (t) => {
  const running = start(t)
  const deployment = await eventually('the objects of before are there', () => objectOf('deployments', 'edge'))
  await client.request({
    method: 'PATCH',
    path: `${resourcePath({ apiVersion: 'apps/v1', plural: 'deployments', namespace: SYSTEM, name: deployment.metadata.name })}`,
    contentType: 'application/merge-patch+json',
    body: { spec: { replicas: 5 } },
  })
  await eventually(
    'the replicas are two again',
    async () => (await objectOf('deployments', 'edge')).spec.replicas === 2,
  )

  const alt = '  - {name: alt, port: 8080, protocol: HTTP}\n'
  const changed = gatewayYaml('edge', '{type: ClusterIP}').replace('replicas: 2', 'replicas: 1').replace(alt, '')
  await apply(changed)
  await eventually('one replica', async () => (await objectOf('deployments', 'edge')).spec.replicas === 1)
  await eventually('no budget', async () => (await objectOf('poddisruptionbudgets', 'edge')) === undefined)
  const service = await eventually('the Service is of the other type', async () => {
    const found = await objectOf('services', 'edge')
    return found.spec.type === 'ClusterIP' && found
  })
  assert.equal(service.spec.ports[0].nodePort, undefined)
  assert.equal(service.spec.externalTrafficPolicy, undefined)
  await eventually('one pod is left', async () => {
    return running.operation.translation()?.pods.get(`${SYSTEM}/gateway-${NAMESPACE}-edge` as never)?.length === 1
  })
  await obey(running, 'edge')
  const gateway = await untilReason('edge', 'Programmed', 'Programmed')
  assert.deepEqual(gateway.status.addresses, [{ type: 'IPAddress', value: service.spec.clusterIP }])
  assert.deepEqual(
    gateway.status.listeners.map(({ name }: Tree) => name),
    ['http'],
  )
  assert.equal(conditionOf(gateway.status.listeners[0], 'Programmed').status, 'True')
})

test('where all is as it should be nothing is written, and by another operator neither', async (t) => {
  const versions = async () => {
    const objects = await Promise.all(MANAGED_KINDS.map(({ plural }) => objectOf(plural, 'edge')))
    const gateway = await get({ ...GATEWAY, name: 'edge' })
    return [...objects, gateway].map((each) => each?.metadata.resourceVersion)
  }
  const first = start(t)
  await obey(first, 'edge')
  await untilReason('edge', 'Programmed', 'Programmed')
  const before = await versions()
  const { status } = await first.writes()
  for (let i = 0; i < 3; i++) {
    first.controller.touch()
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
  assert.deepEqual(await versions(), before)
  assert.equal((await first.writes())['status'], status)
  await first.end()

  const second = start(t)
  await obey(second, 'edge')
  await eventually('the other one has looked at all objects', async () => ((await second.writes())['apply'] ?? 0) >= 3)
  assert.deepEqual((await versions()).slice(0, -1), before.slice(0, -1))
})

test('an object that is not ours is left alone, and the status names it', async (t) => {
  const name = `gateway-${NAMESPACE}-taken`
  await apply(`
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: ${SYSTEM}, labels: {hauberk.dev/gateway-namespace: ${NAMESPACE}}}
spec: {ports: [{port: 7}]}
`)
  const { events } = start(t)
  await apply(gatewayYaml('taken', '{type: ClusterIP}'))
  const gateway = await untilReason('taken', 'Programmed', 'Invalid')
  assert.match(conditionOf(gateway.status, 'Programmed').message, /^There is a Service \S+ that was not made for this/)
  assert.equal((await objectOf('services', 'taken')).spec.ports[0].port, 7)
  assert.ok(events.some(({ reason, regarding }) => reason === 'GatewayNotMade' && regarding.name === 'taken'))
  await remove({ ...GATEWAY, name: 'taken' })
  await eventually('what was made is gone', async () => (await objectOf('deployments', 'taken')) === undefined)
  assert.ok(await objectOf('services', 'taken'), 'the other one stays')
  await remove({ apiVersion: 'v1', plural: 'services', namespace: SYSTEM, name })
})

test('what the API server does not take is told in its own words, and mended when the Gateway is', async (t) => {
  start(t)
  await apply(gatewayYaml('refused', '{type: NodePort, nodePorts: [{port: 80, nodePort: 1}]}'))
  const gateway = await untilReason('refused', 'Programmed', 'Invalid')
  assert.match(conditionOf(gateway.status, 'Programmed').message, /provided port is not in the valid range/)
  assert.ok(await objectOf('deployments', 'refused'), 'the rest is made')
  await apply(gatewayYaml('refused', '{type: LoadBalancer}'))
  await eventually(
    'the Service is made',
    async () => (await objectOf('services', 'refused'))?.spec.type === 'LoadBalancer',
  )
})

test('a mistake in an edit takes nobody’s service', async (t) => {
  start(t)
  const before = await eventually('it is there', () => objectOf('deployments', 'edge'))
  await apply(gatewayYaml('edge', '{type: ClusterIP}').replace('name: edge}\n  listeners', 'name: gone}\n  listeners'))
  await untilReason('edge', 'Accepted', 'InvalidParameters')
  const after = await objectOf('deployments', 'edge')
  assert.equal(after.metadata.uid, before.metadata.uid)
  assert.equal(after.spec.replicas, before.spec.replicas)
})

test('the objects go with the Gateway, and when it is another controller’s', async (t) => {
  start(t)
  await eventually('it is there', () => objectOf('deployments', 'refused'))
  await apply(
    gatewayYaml('refused', '{type: ClusterIP}').replace(
      `gatewayClassName: ${CLASS}`,
      `gatewayClassName: ${OTHER_CLASS}`,
    ),
  )
  await remove({ ...GATEWAY, name: 'edge' })
  for (const name of ['refused', 'edge']) {
    for (const { plural } of MANAGED_KINDS) {
      await eventually(`${plural} of ${name} are gone`, async () => (await objectOf(plural, name)) === undefined)
    }
  }
})

test('objects of a Gateway that went while nobody led go when somebody does', async (t) => {
  const first = start(t)
  await apply(gatewayYaml('late', '{type: ClusterIP}'))
  await eventually('it is there', () => objectOf('poddisruptionbudgets', 'late'))
  await first.end()
  await remove({ ...GATEWAY, name: 'late' })
  start(t)
  for (const { plural } of MANAGED_KINDS) {
    await eventually(`${plural} are gone`, async () => (await objectOf(plural, 'late')) === undefined)
  }
})

test('its pods are what the restricted Pod Security Standard takes', async () => {
  const gateway = gatewayIn(gatewayYaml('edge', '{type: ClusterIP}').replaceAll(CLASS, 'hauberk'))
  const objects = gatewayObjects({ ...gateway, parameters: {} }, SETTINGS)
  const deployment: Tree = objects.find(({ plural }) => plural === 'deployments')?.object
  const { metadata, spec } = deployment.spec.template
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadata, name: 'gateway' },
    spec: { ...spec, serviceAccountName: 'default' },
  }
  await eventually('there is a service account', () =>
    get({ apiVersion: 'v1', plural: 'serviceaccounts', namespace: NAMESPACE, name: 'default' }),
  )
  const path = resourcePath({ apiVersion: 'v1', plural: 'pods', namespace: NAMESPACE })
  const post = (body: Tree) => client.request({ method: 'POST', path, query: { dryRun: 'All' }, body })
  await post(pod)
  const loose = { ...pod, spec: { ...pod.spec, hostNetwork: true } }
  await assert.rejects(post(loose), /violates PodSecurity/)
})

test('a GatewayClass says that it is accepted, of which release Gateway API is, and what is supported', async (t) => {
  start(t)
  const path = { ...GATEWAY, plural: 'gatewayclasses', namespace: undefined, name: CLASS }
  const { status } = await eventually('it has a status', async () => {
    const found = await get(path)
    return conditionOf(found.status, 'Accepted')?.status === 'True' && found
  })
  assert.equal(conditionOf(status, 'SupportedVersion').status, 'True')
  assert.deepEqual(
    status.supportedFeatures.map(({ name }: Tree) => name),
    SUPPORTED_FEATURES,
  )
})
