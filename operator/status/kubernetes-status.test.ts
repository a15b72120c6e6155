import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Resource } from '../../model/resource.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import { silentLog } from '../../runtime/log.ts'
import { createManualClock } from '../../runtime/manual-clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import type { IssuerState } from '../keys/issuer-keys.ts'
import type { KubernetesClient, KubernetesRequest } from '../kubernetes/client.ts'
import type { EventFields } from '../kubernetes/events.ts'
import { recordOf } from '../kubernetes/object.ts'
import { scriptServer } from '../kubernetes/testing/api-server.ts'
import { CONTROLLER_NAME } from '../resources/gateway.ts'
import { snapshotOf } from '../store/snapshot.ts'
import { ACCEPTED, RESOLVED, type ResourceReport, refused } from '../translate/report.ts'
import { type DryRunCounts, statusOf, type WorkloadStanding } from './conditions.ts'
import { DRY_RUN_INTERVAL_MS, runKubernetesStatus, type StatusWorld, statusMetrics } from './kubernetes-status.ts'

// biome-ignore lint/suspicious/noExplicitAny: whatever path a test looks at.
type Tree = any

const ORDERS = 'shop/orders' as WorkloadId
const GATEWAY = 'hauberk-system/gateway-shop-edge' as WorkloadId
const POLICY = 'SecurityPolicy/shop/orders'
const ROUTE = 'HTTPRoute/shop/shop'

interface Reported {
  readonly report: ResourceReport
  readonly standings?: readonly WorkloadStanding[]
  readonly dryRun?: DryRunCounts
}

function policy(change: Partial<ResourceReport> = {}): ResourceReport {
  return {
    kind: 'SecurityPolicy',
    namespace: 'shop',
    name: 'orders',
    generation: 1,
    issues: [],
    accepted: ACCEPTED,
    resolvedRefs: RESOLVED,
    selected: [ORDERS],
    ...change,
  }
}

function route(change: Partial<ResourceReport> = {}): ResourceReport {
  return {
    kind: 'HTTPRoute',
    namespace: 'shop',
    name: 'shop',
    generation: 1,
    issues: [],
    selected: [GATEWAY],
    parents: [{ parentRef: { name: 'edge' }, gateway: GATEWAY, accepted: ACCEPTED, resolvedRefs: RESOLVED }],
    ...change,
  }
}

function standing(acknowledged: number, workload: WorkloadId = ORDERS): WorkloadStanding {
  return { workload, selected: 2, acknowledged, rejected: 0, unmeshed: 0 }
}

/**
 * The writer, and an API server that takes what is for the version it has, as a real one does with a merge patch, and
 * keeps it. What it keeps is seen when the test says so.
 */
async function start(t: TestContext, reported: readonly Reported[]) {
  const clock = createManualClock(Date.parse('2026-01-01T00:00:00Z'))
  const ended = new AbortController()
  const listeners = new Set<(key: string) => void>()
  const kept = new Map<string, { version: number; status: Tree }>()
  const seen = new Map<string, { uid: string; resourceVersion: string; status: unknown }>()
  const writes: { readonly path: string; readonly type: string; readonly body: Tree }[] = []
  const events: EventFields[] = []
  const world = { reported, issuers: [] as readonly IssuerState[] }
  const keyOf = (path: string) => {
    const [plural = '', name = ''] = path.split('/').slice(-3)
    return plural === 'httproutes' ? ROUTE : plural === 'tokenissuers' ? `TokenIssuer/${name}` : POLICY
  }
  const { client: real } = await scriptServer(t, ({ path, headers, body }, answer) => {
    const { metadata, status } = recordOf(body) as Tree
    const key = keyOf(path)
    const known = kept.get(key) ?? { version: 1, status: {} }
    writes.push({ path, type: String(headers['content-type']), body })
    if (metadata.resourceVersion !== undefined && metadata.resourceVersion !== String(known.version)) {
      return answer.refuse(409, 'Conflict')
    }
    known.version += 1
    known.status = status
    kept.set(key, known)
    answer.json(200, { metadata: { name: 'x', resourceVersion: String(known.version) }, status })
  })
  let inFlight = 0
  const client: KubernetesClient = {
    ...real,
    request<T>(request: KubernetesRequest) {
      inFlight += 1
      return real.request<T>(request).finally(() => {
        inFlight -= 1
      })
    },
  }
  const see = (key: string, status?: unknown) => {
    const known = kept.get(key) ?? { version: 1, status: {} }
    if (status !== undefined) {
      known.version += 1
      known.status = status
    }
    kept.set(key, known)
    seen.set(key, { uid: 'u', resourceVersion: String(known.version), status: known.status })
    for (const listener of listeners) listener(key)
  }
  for (const key of [POLICY, ROUTE, 'TokenIssuer/corp']) see(key)
  const resources = (): Resource[] => [
    { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'HTTPRoute', metadata: { namespace: 'shop', name: 'shop' } },
    { apiVersion: 'hauberk.dev/v1alpha1', kind: 'SecurityPolicy', metadata: { namespace: 'shop', name: 'orders' } },
    { apiVersion: 'hauberk.dev/v1alpha1', kind: 'TokenIssuer', metadata: { name: 'corp' } },
  ]
  const metrics = createMetrics()
  const statusWorld: StatusWorld = {
    snapshot: () => snapshotOf(resources()),
    statuses: () =>
      world.reported.map(({ report, standings = [], dryRun }) => ({
        report,
        standings,
        status: statusOf(report, standings, dryRun),
      })),
    issuers: () => world.issuers,
    certificateAuthority: () => undefined,
    observed: (kind, namespace, name) => seen.get([kind, namespace, name].filter(Boolean).join('/')),
    onObserved(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const status = runKubernetesStatus({
    client,
    world: statusWorld,
    events: { record: (event) => void events.push(event) },
    metrics: statusMetrics(metrics),
    clock,
    random: () => 0.5,
    log: silentLog,
    signal: ended.signal,
  })
  t.after(async () => {
    ended.abort()
    await status.done
  })
  /** Lets a second pass, and all that is written in it be answered. */
  const settle = async () => {
    for (let i = 0; i < 10; i++) {
      await clock.advance(100)
      do await new Promise((resolve) => setImmediate(resolve))
      while (inFlight > 0)
    }
  }
  const report = async (...next: Reported[]) => {
    world.reported = next
    status.touch()
    await settle()
  }
  const conditionOf = (body: Tree, type: string) =>
    (body.status.conditions ?? body.status.parents.at(-1).conditions).find((each: Tree) => each.type === type)
  return { clock, world, writes, events, kept, see, settle, report, conditionOf, metrics }
}

test('a status is written once, and again only when it says something else', async (t) => {
  const reported = { report: policy(), standings: [standing(1)] }
  const { writes, report, see, settle, conditionOf } = await start(t, [reported])
  await settle()
  assert.equal(writes.length, 1)
  const [first] = writes
  assert.equal(first?.path, '/apis/hauberk.dev/v1alpha1/namespaces/shop/securitypolicies/orders/status')
  assert.equal(first?.type, 'application/apply-patch+yaml')
  assert.equal(first?.body.metadata.uid, 'u')
  assert.equal(first?.body.status.workloads.summary, '1/2')
  assert.equal('dryRun' in first!.body.status, false)
  assert.equal(conditionOf(first!.body, 'Programmed').reason, 'Reconciling')

  see(POLICY)
  await report({ report: policy(), standings: [standing(1)] })
  assert.equal(writes.length, 1)
  await report({ report: policy(), standings: [standing(2)] })
  assert.equal(writes.length, 2)
  assert.equal(conditionOf(writes[1]!.body, 'Programmed').status, 'True')
})

test('the time of a transition changes with the status of a condition, not with its message', async (t) => {
  const { writes, report, see, settle, clock, conditionOf } = await start(t, [
    { report: policy(), standings: [standing(0)] },
  ])
  await settle()
  const { lastTransitionTime } = conditionOf(writes[0]!.body, 'Programmed')
  see(POLICY)
  await clock.advance(5_000)
  await report({ report: policy(), standings: [standing(1)] })
  assert.equal(conditionOf(writes[1]!.body, 'Programmed').lastTransitionTime, lastTransitionTime)
  see(POLICY)
  await report({ report: policy(), standings: [standing(2)] })
  assert.notEqual(conditionOf(writes[2]!.body, 'Programmed').lastTransitionTime, lastTransitionTime)
  assert.equal(conditionOf(writes[2]!.body, 'Accepted').lastTransitionTime, lastTransitionTime)
})

test('what somebody else wrote into a status is put right, and conditions of others are left alone', async (t) => {
  const { writes, see, settle, kept } = await start(t, [{ report: policy(), standings: [standing(2)] }])
  await settle()
  const ours = kept.get(POLICY)?.status
  const foreign = { type: 'example.org/Seen', status: 'True', reason: 'x', message: '', lastTransitionTime: 'x' }
  see(POLICY, { ...ours, conditions: [foreign, ...ours.conditions.toReversed()] })
  await settle()
  assert.equal(writes.length, 1)
  see(POLICY, { ...ours, workloads: { selected: 99, acknowledged: 99, rejected: 0, summary: '99/99' } })
  await settle()
  assert.equal(writes.length, 2)
  see(POLICY, { conditions: [null, 'garbage'], workloads: [] })
  await settle()
  assert.equal(writes.length, 3)
  assert.equal(writes[2]?.body.status.workloads.summary, '2/2')
})

test('what a dry run counts is written once a minute at most, and whatever else changes at once', async (t) => {
  const of = (count: number, acknowledged = 2, generation = 1) => ({
    report: policy({ generation }),
    standings: [standing(acknowledged)],
    dryRun: new Map([['rule', count]]),
  })
  const { writes, report, see, settle, clock } = await start(t, [of(1)])
  await settle()
  const counted = () => writes.at(-1)?.body.status.dryRun?.wouldDeny
  assert.equal(counted(), 1)
  see(POLICY)
  for (let i = 2; i < 20; i++) await report(of(i))
  assert.equal(writes.length, 1)
  await report(of(20, 1))
  assert.deepEqual([writes.length, counted()], [2, 1])
  see(POLICY)
  await clock.advance(DRY_RUN_INTERVAL_MS)
  await settle()
  assert.deepEqual([writes.length, counted()], [3, 20])
  see(POLICY)

  await report({ report: policy({ generation: 2 }), standings: [standing(2)] })
  assert.deepEqual([writes.length, counted()], [4, undefined])
})

test('parents of other controllers stay in the status of a route, whoever wrote last', async (t) => {
  const { writes, see, settle, conditionOf, report } = await start(t, [
    { report: route(), standings: [standing(2, GATEWAY)] },
  ])
  const other = { parentRef: { name: 'other' }, controllerName: 'example.org/x', conditions: [] }
  see(ROUTE, { parents: [other] })
  await settle()
  const [first] = writes
  assert.equal(first?.type, 'application/merge-patch+json')
  assert.deepEqual(first?.body.status.parents[0], other)
  assert.deepEqual(first?.body.status.parents[1].parentRef, {
    group: 'gateway.networking.k8s.io',
    kind: 'Gateway',
    name: 'edge',
  })
  assert.equal(first?.body.status.parents[1].controllerName, CONTROLLER_NAME)
  assert.equal(conditionOf(first?.body, 'Programmed').status, 'True')

  // Somebody writes, and we write before we have seen it: refused, seen, written.
  const { kept } = { kept: first?.body.status.parents }
  see(ROUTE)
  const late = { ...other, parentRef: { name: 'late' } }
  see(ROUTE, { parents: [...kept, late] })
  await report({ report: route(), standings: [standing(1, GATEWAY)] })
  const last = writes.at(-1)?.body.status.parents as Tree[]
  assert.deepEqual(
    last.map(({ parentRef }) => parentRef.name),
    ['other', 'late', 'edge'],
  )
  assert.equal(conditionOf(writes.at(-1)?.body, 'Programmed').reason, 'Reconciling')
})

test('a status that was written by another one since it was seen is written anew when that is seen', async (t) => {
  const world = await start(t, [])
  const { writes, kept, see, report, settle } = world
  const foreign = { parentRef: { name: 'other' }, controllerName: 'example.org/x', conditions: [] }
  kept.set(ROUTE, { version: 7, status: { parents: [foreign] } })
  await report({ report: route(), standings: [standing(2, GATEWAY)] })
  assert.deepEqual(kept.get(ROUTE)?.status.parents, [foreign])
  see(ROUTE)
  await settle()
  assert.equal(kept.get(ROUTE)?.status.parents.length, 2)
  assert.ok(writes.length >= 2)
})

test('a route that is attached to a Gateway of ours no more loses what we said of it, and nothing else', async (t) => {
  const { kept, see, settle, report } = await start(t, [{ report: route(), standings: [standing(2, GATEWAY)] }])
  const other = { parentRef: { name: 'other' }, controllerName: 'example.org/x', conditions: [] }
  see(ROUTE, { parents: [other] })
  await settle()
  see(ROUTE)
  assert.equal(kept.get(ROUTE)?.status.parents.length, 2)
  await report()
  assert.deepEqual(kept.get(ROUTE)?.status.parents, [other])
})

test('an issuer whose keys cannot be had does not resolve, and says why', async (t) => {
  const issuer = policy({ kind: 'TokenIssuer', name: 'corp', selected: [] })
  const { namespace: _namespace, ...report } = issuer
  const { world, writes, conditionOf, settle, report: say } = await start(t, [{ report }])
  world.issuers = [{ name: 'corp', keys: 0, failure: 'connection refused' }]
  await settle()
  const refs = conditionOf(writes[0]?.body, 'ResolvedRefs')
  assert.deepEqual([refs.status, refs.reason], ['False', 'KeysUnavailable'])
  assert.match(refs.message, /connection refused/)
  world.issuers = [{ name: 'corp', keys: 2 }]
  await say({ report })
  assert.equal(conditionOf(writes[1]?.body, 'ResolvedRefs').status, 'True')
})

test('an Event tells of what a user must mend, once', async (t) => {
  const broken = policy({ accepted: refused('Invalid', 'spec.x: is wrong') })
  const { events, report, see, settle, clock } = await start(t, [{ report: policy(), standings: [standing(1)] }])
  const say = async (...next: Reported[]) => {
    await report(...next)
    await clock.advance(5_000)
    see(POLICY)
  }
  await settle()
  await clock.advance(5_000)
  see(POLICY)
  assert.equal(events.length, 0)
  await say({ report: broken })
  await say({ report: broken, standings: [standing(1)] })
  assert.deepEqual(
    events.map(({ type, reason, note, regarding }) => [type, reason, note, regarding.kind, regarding.name]),
    [['Warning', 'NotAccepted', 'spec.x: is wrong', 'SecurityPolicy', 'orders']],
  )
  const rejecting = { ...standing(1), rejected: 1 }
  await say({ report: policy(), standings: [rejecting] })
  assert.equal(events.at(-1)?.reason, 'RejectedBySidecar')
  await say({ report: policy({ generation: 2 }), standings: [rejecting] })
  assert.equal(events.length, 3)
})

test('what is missing for a moment, because it comes with the same apply, is no Event', async (t) => {
  const unresolved = policy({ resolvedRefs: refused('RefNotFound', 'there is no TokenIssuer corp') })
  const { events, report, see, settle, clock } = await start(t, [{ report: unresolved, standings: [standing(2)] }])
  await settle()
  see(POLICY)
  await report({ report: policy(), standings: [standing(2)] })
  see(POLICY)
  await clock.advance(10_000)
  assert.equal(events.length, 0)
})
