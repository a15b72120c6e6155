import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import type { WorkloadId } from '../../model/workload-id.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { type ApplicableObject, applyObject } from '../kubernetes/apply.ts'
import { type KubernetesClient, openClient } from '../kubernetes/client.ts'
import { type ResourcePath, resourcePath } from '../kubernetes/path.ts'
import { createReflectorMetrics } from '../kubernetes/reflector-metrics.ts'
import { CONTROLLER_NAME } from '../resources/gateway.ts'
import { createKubernetesSource } from '../sources/kubernetes.ts'
import { createStore, whenSynced } from '../store/store.ts'
import { ACCEPTED, RESOLVED, type ResourceReport } from '../translate/report.ts'
import { type DryRunCounts, statusOf } from './conditions.ts'
import { runKubernetesStatus, statusMetrics } from './kubernetes-status.ts'

/**
 * Statuses against a real API server, with its schemas and its rules of who owns what. Wants the CRDs of Gateway API and of
 * Hauberk there, and no operator, which would have another opinion.
 */

// biome-ignore lint/suspicious/noExplicitAny: whatever path a test looks at.
type Tree = any

const NAMESPACE = `clu-${randomBytes(4).toString('hex')}`
const ORDERS = `${NAMESPACE}/orders` as WorkloadId
const GATEWAY = `hauberk-system/gateway-${NAMESPACE}-edge` as WorkloadId
const POLICY = {
  apiVersion: 'hauberk.dev/v1alpha1',
  plural: 'securitypolicies',
  namespace: NAMESPACE,
  name: 'orders',
} as const
const ROUTE = {
  apiVersion: 'gateway.networking.k8s.io/v1',
  plural: 'httproutes',
  namespace: NAMESPACE,
  name: 'shop',
} as const

const ended = new AbortController()
let client: KubernetesClient
before(async () => {
  client = await openClient({ config: { from: 'default' }, userAgent: 'hauberk-tests' })
  await apply('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } })
  await apply('securitypolicies', {
    apiVersion: POLICY.apiVersion,
    kind: 'SecurityPolicy',
    metadata: { namespace: NAMESPACE, name: 'orders' },
    spec: { targetRefs: [{ kind: 'Service', name: 'orders' }], authorization: { allow: [] } },
  })
  await apply('httproutes', {
    apiVersion: ROUTE.apiVersion,
    kind: 'HTTPRoute',
    metadata: { namespace: NAMESPACE, name: 'shop' },
    spec: { parentRefs: [{ name: 'edge' }] },
  })
})
after(async () => {
  ended.abort()
  await client.request({
    method: 'DELETE',
    path: resourcePath({ apiVersion: 'v1', plural: 'namespaces', name: NAMESPACE }),
  })
  client.close()
})

function apply(plural: string, object: ApplicableObject) {
  return applyObject(client, object, { plural, fieldManager: 'hauberk-tests', force: true })
}

async function statusIn(path: ResourcePath): Promise<Tree> {
  const object: Tree = await client.request({ path: resourcePath(path) })
  return object.status ?? {}
}

async function writeStatus(path: ResourcePath, status: Tree): Promise<void> {
  await client.request({
    method: 'PATCH',
    path: resourcePath({ ...path, subresource: 'status' }),
    query: { fieldManager: 'somebody-else' },
    contentType: 'application/merge-patch+json',
    body: { status },
  })
}

async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, what)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

interface Said {
  readonly acknowledged: number
  readonly dryRun?: DryRunCounts
  readonly isAttached?: boolean
}

/** The writer of statuses, over the real source: what it is to say is the test's. */
async function start() {
  const store = createStore()
  const metrics = createMetrics()
  const common = { client, clock: systemClock, random: Math.random, log: silentLog, signal: ended.signal }
  const source = createKubernetesSource({ ...common, metrics: createReflectorMetrics(metrics) })
  void source.run(store, ended.signal)
  await whenSynced(store)
  let said: Said = { acknowledged: 0 }
  const reportOf = (kind: string, name: string, change: Partial<ResourceReport>): ResourceReport => ({
    kind,
    namespace: NAMESPACE,
    name,
    generation: 1,
    issues: [],
    selected: [],
    ...change,
  })
  let writes = 0
  const status = runKubernetesStatus({
    ...common,
    world: {
      snapshot: () => store.snapshot(),
      statuses() {
        const { acknowledged, dryRun, isAttached = true } = said
        const parents = [{ parentRef: { name: 'edge' }, gateway: GATEWAY, accepted: ACCEPTED, resolvedRefs: RESOLVED }]
        const reports = [
          reportOf('SecurityPolicy', 'orders', { accepted: ACCEPTED, resolvedRefs: RESOLVED, selected: [ORDERS] }),
          ...(isAttached ? [reportOf('HTTPRoute', 'shop', { parents, selected: [GATEWAY] })] : []),
        ]
        return reports.map((report) => {
          const standings = report.selected.map((workload) => {
            return { workload, selected: 2, acknowledged, rejected: 0, unmeshed: 0 }
          })
          return { report, standings, status: statusOf(report, standings, dryRun) }
        })
      },
      issuers: () => [],
      certificateAuthority: () => undefined,
      observed: source.observed,
      onObserved: source.onObserved,
    },
    events: { record() {} },
    metrics: {
      ...statusMetrics(metrics),
      written() {
        writes += 1
      },
    },
  })
  return {
    writes: () => writes,
    say(next: Said) {
      said = next
      status.touch()
    },
  }
}

test('statuses are taken by the API server, written when they change, and shared with others', async () => {
  const { say, writes } = await start()
  const programmed = async (path: ResourcePath) => {
    const { conditions, parents } = await statusIn(path)
    const ours = conditions ?? parents?.find((each: Tree) => each.controllerName === CONTROLLER_NAME)?.conditions ?? []
    return ours.find((each: Tree) => each.type === 'Programmed')?.status
  }
  await until(async () => (await programmed(POLICY)) === 'False' && (await programmed(ROUTE)) === 'False', 'both')
  const first = await statusIn(POLICY)
  assert.deepEqual(first.workloads, { selected: 2, acknowledged: 0, rejected: 0, summary: '0/2' })

  // Others write beside us.
  const seen = { reason: 'Seen', message: '', lastTransitionTime: '2026-01-01T00:00:00Z', observedGeneration: 1 }
  const foreign = { ...seen, type: 'example.org/Seen', status: 'True' }
  await writeStatus(POLICY, { conditions: [...first.conditions, foreign] })
  const other = {
    parentRef: { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'other' },
    controllerName: 'example.org/controller',
    conditions: [{ ...seen, type: 'Accepted', status: 'True' }],
  }
  await writeStatus(ROUTE, { parents: [other, ...(await statusIn(ROUTE)).parents] })

  say({ acknowledged: 2, dryRun: new Map([['rule', 3]]) })
  await until(async () => (await programmed(POLICY)) === 'True' && (await programmed(ROUTE)) === 'True', 'both')
  const second = await statusIn(POLICY)
  assert.deepEqual(second.dryRun, { wouldDeny: 3, topRule: 'rule' })
  const byType = new Map<string, Tree>(second.conditions.map((each: Tree) => [each.type, each]))
  assert.deepEqual(byType.get('example.org/Seen'), foreign)
  const before = first.conditions.find((each: Tree) => each.type === 'Accepted')
  assert.equal(byType.get('Accepted').lastTransitionTime, before.lastTransitionTime)
  assert.deepEqual(
    (await statusIn(ROUTE)).parents.map((each: Tree) => each.controllerName).sort(),
    ['example.org/controller', CONTROLLER_NAME].sort(),
  )

  // The same again is no write; what somebody else made of ours is put right.
  const written = writes()
  say({ acknowledged: 2, dryRun: new Map([['rule', 3]]) })
  await writeStatus(POLICY, { workloads: { selected: 9, acknowledged: 9, rejected: 0, summary: '9/9' } })
  await until(async () => (await statusIn(POLICY)).workloads.summary === '2/2', 'it is put right')
  assert.equal(writes(), written + 1)

  // What is not said any more goes: the counts of a dry run, our parents of a route, and nothing of others.
  say({ acknowledged: 2, isAttached: false })
  await until(async () => (await statusIn(POLICY)).dryRun === undefined, 'the counts go')
  await until(async () => (await statusIn(ROUTE)).parents.length === 1, 'our entry goes')
  assert.deepEqual((await statusIn(ROUTE)).parents, [other])
})
