import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { KubernetesClient, KubernetesRequest } from './client.ts'
import { isNotFound, KubernetesError } from './errors.ts'
import { microTime } from './lease.ts'
import { resourcePath } from './path.ts'
import { createWorkQueue } from './queue.ts'

/** What an event is about (`core/v1.ObjectReference`). */
export interface ObjectReference {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace?: string
  readonly name: string
  readonly uid?: string
}

/** Something that a user must know. */
export interface EventFields {
  readonly regarding: ObjectReference
  readonly type: 'Normal' | 'Warning'
  /** UpperCamelCase, stable: what one filters by. At most 128 characters. */
  readonly reason: string
  /** For people; cut at 1,024 characters. */
  readonly note: string
  /** What was being done, UpperCamelCase. Default: `reason`. */
  readonly action?: string
}

export interface EventsOptions {
  readonly client: KubernetesClient
  /** `reportingController`: `hauberk.dev/operator`. */
  readonly component: string
  /** `reportingInstance`: the pod's name. */
  readonly instance: string
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly metrics?: Metrics
  readonly signal: AbortSignal
}

export interface Events {
  /** Never blocks, never throws. The same event within 10 minutes raises the count of the first; too many are dropped and counted. */
  record(event: EventFields): void
  /** Resolves when all that was recorded so far is written or given up. */
  flush(): Promise<void>
}

/** Events that are remembered for counting. The one that was recorded longest ago is forgotten first. */
const MAX_SERIES = 4_096

/** Series that wait to be written. */
const MAX_WAITING = 256

/** Writes per second, and how many may go at once after a pause: the API server is one for all. */
const RATE = { perSecond: 5, burst: 25 }

/** An event that comes again later than this, in milliseconds, is a new one. */
const SERIES_MS = 600_000

/** Between two writes of one series, in milliseconds. */
const SERIES_WRITE_MS = 5_000

const MAX_NOTE_LENGTH = 1_024
const MAX_REASON_LENGTH = 128
const MAX_ATTEMPTS = 3
const RETRY = { baseMs: 1_000, maxMs: 10_000 }
const REQUEST_TIMEOUT_MS = 5_000

/** One event and its repetitions. */
interface Series {
  readonly event: EventFields
  readonly namespace: string
  readonly name: string
  readonly firstAtMs: number
  lastAtMs: number
  /** By monotonic time. */
  lastSeenMs: number
  count: number
  /** The count that the API server was told, 0 for nothing yet, and when, by monotonic time. */
  written: number
  writtenAtMs: number
}

/** Writes events of events.k8s.io/v1, the first of a series at once and its count every 5 s; 5 a second in all, 25 at once. */
export function createEvents(options: EventsOptions): Events {
  const { client, component, instance, clock, random, log, metrics, signal } = options
  const known = new Map<string, Series>()
  const dropped = metrics?.counter({
    name: 'hauberk_kubernetes_events_dropped_total',
    help: 'Events for users that were not written, by cause.',
    labels: ['cause'],
  })
  let serial = 0
  let isWarned = false

  const queue = createWorkQueue({
    work: (key) => write(key),
    onFailure(key, err, attempt) {
      const isTransient =
        err instanceof KubernetesError && (err.status === 0 || err.status === 429 || err.status >= 500)
      if (isTransient && attempt < MAX_ATTEMPTS) return
      queue.remove(key)
      dropped?.handle({ cause: err instanceof KubernetesError ? err.reason : 'Internal' }).add()
      if (!isWarned) log.warn('an event could not be written, nor may others', { err })
      isWarned = true
    },
    clock,
    random,
    concurrency: 1,
    ...RETRY,
    rate: RATE,
    maxKeys: MAX_WAITING,
    signal,
  })

  const write = async (key: string) => {
    const one = known.get(key)
    if (one === undefined || one.written === one.count) return
    const { namespace, name, count } = one
    const collection = { apiVersion: 'events.k8s.io/v1', plural: 'events', namespace }
    const series = { count, lastObservedTime: microTime(one.lastAtMs) }
    const send = (request: Pick<KubernetesRequest, 'method' | 'path' | 'body' | 'contentType'>) =>
      client.request({ ...request, timeoutMs: REQUEST_TIMEOUT_MS, signal })
    const create = () =>
      send({
        method: 'POST',
        path: resourcePath(collection),
        body: { ...eventObject(one, component, instance), ...(count > 1 && { series }) },
      })
    const update = () =>
      send({
        method: 'PATCH',
        path: resourcePath({ ...collection, name }),
        body: { series },
        contentType: 'application/merge-patch+json',
      })
    if (one.written === 0) await create()
    else {
      await update().catch((error: unknown) => {
        // The API server keeps events for an hour.
        if (isNotFound(error)) return create()
        throw error
      })
    }
    one.written = count
    one.writtenAtMs = clock.monotonic()
  }

  const seriesOf = (event: EventFields): readonly [string, Series] => {
    const key = keyOf(event)
    const now = clock.monotonic()
    let one = known.get(key)
    if (one === undefined || now - one.lastSeenMs > SERIES_MS) {
      serial += 1
      one = newSeries(event, clock.now(), `${instance.slice(0, MAX_INSTANCE_IN_NAME)}.${serial.toString(36)}`)
    }
    // Forgotten is who was recorded longest ago: the order of the map.
    known.delete(key)
    const [oldest] = known.keys()
    if (oldest !== undefined && known.size >= MAX_SERIES) known.delete(oldest)
    known.set(key, one)
    return [key, one]
  }

  return {
    record(event) {
      if (signal.aborted) return
      const [key, one] = seriesOf(event)
      one.count += 1
      one.lastAtMs = clock.now()
      one.lastSeenMs = clock.monotonic()
      const delayMs = one.written === 0 ? 0 : one.writtenAtMs + SERIES_WRITE_MS - one.lastSeenMs
      if (!queue.addAfter(key, delayMs)) dropped?.handle({ cause: 'TooMany' }).add()
    },
    flush() {
      for (const [key, { written, count }] of known) if (written < count) queue.add(key)
      return queue.idle()
    },
  }
}

const MAX_INSTANCE_IN_NAME = 63
const MAX_SUBJECT_IN_NAME = 150

function newSeries(event: EventFields, nowMs: number, suffix: string): Series {
  const { namespace = 'default', name } = event.regarding
  const subject = name.slice(0, MAX_SUBJECT_IN_NAME).replace(/[^a-z0-9]+$/, '')
  return {
    event,
    namespace,
    name: `${subject}.${suffix}.${nowMs.toString(36)}`,
    firstAtMs: nowMs,
    lastAtMs: nowMs,
    lastSeenMs: 0,
    count: 0,
    written: 0,
    writtenAtMs: 0,
  }
}

function eventObject({ event, namespace, name, firstAtMs }: Series, component: string, instance: string) {
  const { regarding, type, reason, note, action = reason } = event
  return {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { namespace, name },
    eventTime: microTime(firstAtMs),
    reportingController: component,
    reportingInstance: instance.slice(0, MAX_REASON_LENGTH),
    action: action.slice(0, MAX_REASON_LENGTH),
    reason: reason.slice(0, MAX_REASON_LENGTH),
    regarding,
    type,
    note: note.slice(0, MAX_NOTE_LENGTH),
  }
}

function keyOf({ regarding, type, reason, note, action }: EventFields): string {
  const { kind, namespace, name, uid } = regarding
  return JSON.stringify([kind, namespace, name, uid, type, reason, note, action])
}
