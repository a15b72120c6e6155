import { type Resource, resourceKey } from '../../model/resource.ts'
import { isSame } from '../../model/same.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { RotationStatus } from '../identity/rotation/root-rotation.ts'
import type { IssuerState } from '../keys/issuer-keys.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { isConflict } from '../kubernetes/errors.ts'
import type { Events, ObjectReference } from '../kubernetes/events.ts'
import { createWorkQueue } from '../kubernetes/queue.ts'
import type { ReportedStatus } from '../operation.ts'
import { KINDS, type KindDefinition } from '../resources/kinds.ts'
import { MESH_CONFIG_NAME } from '../resources/mesh-config.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { isRouteKind, ROUTE_KINDS, STREAM_KINDS } from '../translate/listeners.ts'
import type { Condition, ResourceStatus } from './conditions.ts'
import { withIssuerKeys } from './issuer-status.ts'
import { namesUs, type RouteParent, routeParents, routeStatus } from './route-status.ts'
import {
  createStatusApplier,
  type ObserveStatus,
  type StatusFields,
  type StatusSubject,
  type StatusWrite,
} from './status-applier.ts'
import { eventsOf } from './status-events.ts'
import { withTransitionTimes } from './transition-times.ts'

/** What statuses are made of: the newest of everything, asked for each time. */
export interface StatusWorld {
  snapshot(): Snapshot
  statuses(kinds: ReadonlySet<string>): readonly ReportedStatus[]
  issuers(): readonly IssuerState[]
  certificateAuthority(): RotationStatus | undefined
  /** The status that the API server has, as far as it was seen. */
  readonly observed: ObserveStatus
  /** Calls `listener` with the key of each resource of which `observed` says something else. Returns how to stop. */
  onObserved(listener: (key: string) => void): () => void
}

export interface KubernetesStatusOptions {
  readonly client: KubernetesClient
  readonly world: StatusWorld
  readonly events: Pick<Events, 'record'>
  readonly metrics: StatusMetrics
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  /** Ends the work: this operator leads no more, or ends. */
  readonly signal: AbortSignal
}

/** Keeps the statuses of our kinds and of routes. One in a cluster: the leader's. */
export interface KubernetesStatus {
  /** Something that a status shows may have changed. Called often: it gathers. */
  touch(): void
  /** Resolves when the signal has ended it and nothing runs any more. */
  readonly done: Promise<void>
}

export interface StatusMetrics {
  written(kind: string): void
  failed(): void
  /** Asked at each scrape, until another one is given. */
  followQueue(size: () => number): void
}

/** Registers them, once a process: an operator may lead more than once. */
export function statusMetrics(metrics: Metrics): StatusMetrics {
  const writes = metrics.counter({
    name: 'hauberk_status_writes_total',
    help: 'Statuses written to the API server.',
    labels: ['kind'],
  })
  const failures = metrics.counter({
    name: 'hauberk_status_write_failures_total',
    help: 'Attempts to write a status that failed. They are made again.',
  })
  const queue = metrics.gauge({ name: 'hauberk_status_queue', help: 'Resources whose status waits to be looked at.' })
  let queueSize = () => 0
  metrics.beforeScrape(() => queue.handle().set(queueSize()))
  return {
    written: (kind) => writes.handle({ kind }).add(),
    failed: () => failures.handle().add(),
    followQueue(size) {
      queueSize = size
    },
  }
}

/** Milliseconds that changes are gathered: a push is acknowledged by many sidecars at nearly the same time. */
const GATHER_MS = 100

/** Milliseconds between two writes of what a dry run counted. Every request may change it. */
export const DRY_RUN_INTERVAL_MS = 60_000

/**
 * Milliseconds after the change of a status that Events tell of it, if it is still so: what one `kubectl apply` brings, comes
 * in any order, and what is missing for a moment is nothing to mend.
 */
const TELL_AFTER_MS = 5_000

/** Characters of a condition's message: what a person reads, and far below what the API server takes. */
const MAX_MESSAGE = 2_048

/** A thousand policies that are applied at once are told of within seconds; the API server has others to serve too. */
const RATE = { perSecond: 100, burst: 500 }
const CONCURRENCY = 6

/** Kinds whose status is written here. Gateways and their classes have a controller of their own. */
const WRITTEN_KINDS: ReadonlyMap<string, KindDefinition> = new Map(
  KINDS.filter(({ kind, specSchema }) => specSchema !== undefined || isRouteKind(kind)).map((definition) => [
    definition.kind,
    definition,
  ]),
)
const KIND_NAMES: ReadonlySet<string> = new Set(WRITTEN_KINDS.keys())

/** What the status of one resource is to say. */
type Wanted =
  | { readonly resource: Resource; readonly parents: readonly RouteParent[] }
  | { readonly resource: Resource; readonly status: ResourceStatus; readonly authority?: RotationStatus }

/**
 * Level-based: a resource is a key in a queue, and what is written follows from how everything is by then. Only what is
 * different from what the API server has is written.
 */
export function runKubernetesStatus(options: KubernetesStatusOptions): KubernetesStatus {
  const { client, world, events, metrics, clock, random, log, signal } = options
  const { observed } = world
  const applier = createStatusApplier({ client, observed, onWritten: metrics.written, clock, signal })
  let wanted: ReadonlyMap<string, Wanted> = new Map()
  /** When what a dry run counted was last written, by key and monotonic time. Of resources that are wanted. */
  const dryRunWrittenMs = new Map<string, number>()
  /** What was told by Events, and what the status says since, by key. Of resources that are wanted. */
  const telling = new Map<string, { told: StatusFields; now: StatusFields; isWaiting: boolean }>()
  let cancel: (() => void) | undefined

  const work = async (key: string): Promise<number | undefined> => {
    const now = wanted.get(key)
    if (now === undefined) return undefined
    const subject = subjectOf(now.resource)
    if ('parents' in now) {
      const write = await applier.write(subject, (before, ms) => routeStatus(now.parents, before, ms), { shared: true })
      if (write) tellSoon(key, write)
      return undefined
    }
    let againAfterMs: number | undefined
    let isCounted = false
    const write = await applier.write(subject, (before, ms) => {
      const there = before['dryRun']
      const sinceMs = clock.monotonic() - (dryRunWrittenMs.get(key) ?? Number.NEGATIVE_INFINITY)
      const mayWait = there !== undefined && now.status.dryRun !== undefined
      const isDue = !mayWait || sinceMs >= DRY_RUN_INTERVAL_MS
      if (!isDue && !isSame(there, now.status.dryRun)) againAfterMs = DRY_RUN_INTERVAL_MS - sinceMs
      const dryRun = isDue ? (now.status.dryRun ?? null) : there
      isCounted = isDue && !isSame(there, dryRun)
      return ownStatus(now.status, dryRun, now.authority, before, ms)
    })
    if (write) {
      if (isCounted) dryRunWrittenMs.set(key, clock.monotonic())
      tellSoon(key, write)
    }
    return againAfterMs
  }

  const tellSoon = (key: string, { before, after }: StatusWrite) => {
    const known = telling.get(key)
    const next = known ?? { told: before, now: after, isWaiting: false }
    next.now = after
    telling.set(key, next)
    if (next.isWaiting) return
    next.isWaiting = true
    const tell = () => {
      next.isWaiting = false
      const resource = wanted.get(key)?.resource
      if (resource === undefined) return
      for (const event of eventsOf(referenceTo(resource), next.told, next.now)) events.record(event)
      next.told = next.now
    }
    clock.setTimer(TELL_AFTER_MS, tell, { signal, keepAlive: false })
  }

  const queue = createWorkQueue({
    work,
    onFailure(key, err, attempt) {
      // Somebody else wrote it since it was seen: what they wrote comes by the watch.
      if (isConflict(err)) return
      metrics.failed()
      log.warn('a status could not be written', { err, 'hauberk.resource': key, 'hauberk.attempt': attempt })
    },
    onOverflow() {
      wanted = new Map()
      touch()
    },
    clock,
    random,
    concurrency: CONCURRENCY,
    rate: RATE,
    signal,
  })

  metrics.followQueue(() => queue.size())

  const refresh = () => {
    cancel = undefined
    if (signal.aborted) return
    const before = wanted
    wanted = wantedStatuses(world)
    for (const [key, now] of wanted) if (!isSame(before.get(key), now)) queue.add(key)
    for (const [key, { resource }] of before) {
      if (wanted.has(key)) continue
      const { kind, metadata } = resource
      applier.forget(kind, metadata.namespace, metadata.name)
      dryRunWrittenMs.delete(key)
      telling.delete(key)
      queue.remove(key)
    }
  }
  const touch = () => {
    cancel ??= clock.setTimer(GATHER_MS, refresh, { keepAlive: false })
  }
  const stopObserving = world.onObserved((key) => {
    if (wanted.has(key)) queue.add(key)
    // A resource that is new here has no status of ours yet, unless somebody wrote one: then it is to go.
    else if (isRouteKind(key.slice(0, key.indexOf('/')))) touch()
  })
  signal.addEventListener(
    'abort',
    () => {
      cancel?.()
      stopObserving()
    },
    { once: true },
  )
  touch()
  return { touch, done: queue.done }
}

function wantedStatuses(world: StatusWorld): ReadonlyMap<string, Wanted> {
  const snapshot = world.snapshot()
  const issuers = new Map(world.issuers().map((state) => [state.name, state]))
  const wanted = new Map<string, Wanted>()
  for (const { report, status, standings } of world.statuses(KIND_NAMES)) {
    const { kind, namespace, name } = report
    const resource = snapshot.get(kind, namespace, name)
    if (resource === undefined) continue
    const key = resourceKey(kind, namespace, name)
    if (isRouteKind(kind)) {
      wanted.set(key, { resource, parents: routeParents(report, standings).map(withShortMessages) })
    } else if (report.accepted !== undefined) {
      const own = kind === 'TokenIssuer' ? withIssuerKeys(status.conditions, issuers.get(name)) : status.conditions
      const authority = kind === 'MeshConfig' && name === MESH_CONFIG_NAME ? world.certificateAuthority() : undefined
      const shown = withShortMessages({ ...status, conditions: own })
      wanted.set(key, { resource, status: shown, ...(authority && { authority }) })
    }
  }
  // Routes that were attached to a Gateway of ours, and are no more.
  for (const resource of [...ROUTE_KINDS, ...STREAM_KINDS].flatMap((kind) => snapshot.ofKind(kind))) {
    const { namespace, name } = resource.metadata
    const key = resourceKey(resource.kind, namespace, name)
    const seen = world.observed(resource.kind, namespace, name)?.status as StatusFields | undefined
    if (!wanted.has(key) && seen != null && namesUs(seen)) wanted.set(key, { resource, parents: [] })
  }
  return wanted
}

function referenceTo(resource: Resource): ObjectReference {
  const { apiVersion, kind, namespace, name } = subjectOf(resource)
  const { uid } = resource.metadata
  return { apiVersion, kind, ...(namespace !== undefined && { namespace }), name, ...(uid !== undefined && { uid }) }
}

function subjectOf({ kind, metadata }: Resource): StatusSubject {
  const { plural = '', apiVersions = [] } = WRITTEN_KINDS.get(kind) ?? {}
  return { apiVersion: apiVersions[0] ?? '', kind, plural, namespace: metadata.namespace, name: metadata.name }
}

/** Everything that we own of the status of a resource of ours. */
function ownStatus(
  { observedGeneration, conditions, workloads }: ResourceStatus,
  dryRun: unknown,
  authority: RotationStatus | undefined,
  before: StatusFields,
  nowMs: number,
): StatusFields {
  return {
    observedGeneration,
    conditions: withTransitionTimes(conditions, before['conditions'], nowMs),
    workloads: workloads ?? null,
    dryRun,
    ...(authority && { certificateAuthority: shortened(authority) }),
  }
}

const MAX_PROBLEM = 1_024

function shortened(authority: RotationStatus): RotationStatus {
  const { problem } = authority
  return problem === undefined ? authority : { ...authority, problem: problem.slice(0, MAX_PROBLEM) }
}

function withShortMessages<T extends { readonly conditions: readonly Condition[] }>(said: T): T {
  const conditions = said.conditions.map((each) =>
    each.message.length <= MAX_MESSAGE ? each : { ...each, message: `${each.message.slice(0, MAX_MESSAGE - 1)}…` },
  )
  return { ...said, conditions }
}
