import { setFlagsFromString } from 'node:v8'
import { Worker, type WorkerOptions } from 'node:worker_threads'
import type { EndpointsDocument } from '../../contract/endpoints.ts'
import type { KeysDocument } from '../../contract/keys.ts'
import { MAX_WORKERS } from '../../contract/pod.ts'
import type { RevocationsDocument } from '../../contract/revocations.ts'
import type { WorkloadConfig } from '../../contract/workload-config.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { HealthCondition } from '../../runtime/health.ts'
import type { Log } from '../../runtime/log.ts'
import { countersOf, type Metrics, type MetricsSnapshot } from '../../runtime/metrics.ts'
import type { Identity } from '../identity/identity.ts'
import type { ServingCertificate } from '../identity/serving-certificate.ts'
import type { DecisionLog } from '../observe/decision-log.ts'
import type { ExplainedDecision } from '../observe/decision-ring.ts'
import type { DryRunReport } from '../observe/dry-run-report.ts'
import type { CountedEdge } from '../observe/edges.ts'
import type { OpenTap, Taps } from '../observe/taps.ts'
import { maxResidentBytes } from '../serve/memory-watch.ts'
import type { BindAddress } from '../serve/placement.ts'
import type { FromWorker, News, WorkerStart } from './messages.ts'
import { clearShare, connectionsByWorker } from './shared-memory.ts'
import { Slot } from './slot.ts'

/** The newest of everything that workers are told. */
export interface Newest {
  identity(): Identity
  certificates(): readonly ServingCertificate[]
  keys(): KeysDocument | undefined
  revocations(): RevocationsDocument | undefined
  endpoints(): EndpointsDocument
  config(): WorkloadConfig | undefined
  taps(): readonly OpenTap[]
  /** What worker 0 has bound. */
  ports(): ReadonlyMap<string, BindAddress>
}

export interface WorkersOptions {
  /** Of all, worker 0 among them. */
  readonly count: number
  readonly start: Omit<WorkerStart, 'worker' | 'identity'>
  readonly newest: Newest
  /** Asks the operator, as for worker 0; resolves when it has looked. */
  refreshKeys(issuer: string): Promise<void>
  readonly decisions: Pick<DecisionLog, 'thinned'>
  readonly dryRuns: Pick<DryRunReport, 'addCounts'>
  readonly taps: Pick<Taps, 'add'>
  readonly metrics: Metrics
  /** Holds from when all serve for the first time. */
  readonly health: HealthCondition
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
}

/** What workers are told of as it changes. */
export type NewsKind = Exclude<keyof Newest, 'ports'>

/** The workers beside the first one, which is whoever calls this. */
export interface Workers {
  /** Hands on what is newest of one kind. */
  tell(kind: NewsKind): void
  /**
   * Resolves once all obey what they were told, or died (whoever takes their place is told the newest). Who does not answer
   * within 10 s is ended. Rejects when one could not open a port.
   */
  obeyed(): Promise<void>
  /** Undefined: none of them knows. */
  explain(decisionId: string): Promise<ExplainedDecision | undefined>
  /** What each counted on its edges since it began; nothing of who does not answer. */
  edges(): Promise<readonly (readonly CountedEdge[])[]>
  retire(): void
  /** Resolves when what they serve has ended, and they with it. None is replaced from now on. */
  drain(deadlineMs: number): Promise<void>
}

/** Milliseconds that a worker may take to obey. Longer, and nobody knows what it does. */
const OBEY_MS = 10_000

/** The same of one that begins: a container may have a tenth of a core. */
const BEGIN_MS = 60_000

/** Milliseconds that a worker may take to say what it knows. */
const TELL_MS = 1_000

/** Milliseconds after which a worker that lives has not died in a row. */
const SOUND_MS = 60_000

/** Milliseconds beyond its deadline that a drain may take. */
const DRAIN_GRACE_MS = 1_000

/** Of the container's memory, the share that may be heap: as the image's command line has it. */
const HEAP_SHARE = 0.5

/** Megabytes of heap that a worker needs to serve at all. */
const MIN_HEAP_MB = 32

/** The program of a thread: beside this file, or the one beside the bundle that this is in. */
const PROGRAM = new URL(import.meta.url.endsWith('.ts') ? './thread.ts' : './sidecar-worker.mjs', import.meta.url)

/**
 * The part of the container's heap that one worker may have; nothing where the container has no limit. The first worker
 * keeps the half that it began with, so all of them together stay below the limit.
 */
function heapOf(workers: number): WorkerOptions {
  const maxBytes = maxResidentBytes()
  if (maxBytes === Number.POSITIVE_INFINITY) return {}
  // What the command line says of the heap would else count for each thread, and more than what is said here.
  setFlagsFromString('--max-old-space-size=0')
  const heapMb = Math.floor((maxBytes * HEAP_SHARE) / 1_048_576 / workers)
  return { resourceLimits: { maxOldGenerationSizeMb: Math.max(MIN_HEAP_MB, heapMb) } }
}

/** Starts them. They serve as soon as they have been told everything. */
export function startWorkers(options: WorkersOptions): Workers {
  const { count, start, newest, metrics, health, clock, log } = options
  const restarts = metrics
    .counter({ name: 'hauberk_worker_restarts_total', help: 'Workers that died and were replaced.' })
    .handle()
  const connections = metrics.gauge({
    name: 'hauberk_worker_connections',
    help: 'Client connections that are open, by worker, where there are several.',
    labels: ['worker'],
    maxSeries: MAX_WORKERS,
  })
  metrics.beforeScrape(() => {
    for (const [worker, open] of connectionsByWorker(start.memory).entries()) {
      connections.handle({ worker: String(worker) }).set(open)
    }
  })
  const slots = Array.from({ length: count - 1 }, (_, i) => new Slot(i + 1, clock, options.random))
  const about = (slot: Slot) => ({ 'process.thread.id': slot.worker })
  let isRetiring = false
  let isEnding = false
  /** What those counted that are gone. */
  let lost: MetricsSnapshot = new Map()

  const newsOf = (kind: NewsKind): News | undefined => {
    switch (kind) {
      case 'identity':
        return { kind, identity: newest.identity() }
      case 'certificates':
        return { kind, certificates: newest.certificates() }
      case 'keys': {
        const document = newest.keys()
        return document && { kind, document }
      }
      case 'revocations': {
        const document = newest.revocations()
        return document && { kind, document }
      }
      case 'endpoints':
        return { kind, document: newest.endpoints() }
      case 'taps':
        return { kind, taps: newest.taps() }
      case 'config': {
        const config = newest.config()
        return config && { kind, config, ports: new Map(newest.ports()) }
      }
    }
  }

  const bear = (slot: Slot): void => {
    const workerData: WorkerStart = { ...start, worker: slot.worker, identity: newest.identity() }
    const thread = new Worker(PROGRAM, { workerData, name: `worker ${slot.worker}`, ...heapOf(count) })
    slot.thread = thread
    const bornAtMs = clock.monotonic()
    thread.on('message', (message: FromWorker) => hear(slot, message))
    thread.on('error', (err) => log.error('a worker failed', { err, ...about(slot) }))
    thread.once('exit', () => bury(slot, clock.monotonic() - bornAtMs))
    for (const kind of ['certificates', 'keys', 'revocations', 'endpoints', 'taps', 'config'] as const) {
      const news = newsOf(kind)
      if (news !== undefined) slot.post(news)
    }
    if (isRetiring) slot.post({ kind: 'retire' })
    slot.begins = true
    void slot.ask({ what: 'obeyed' }, BEGIN_MS).then((outcome) => {
      if (outcome.kind === 'late') return end(slot, thread)
      slot.begins = false
      if (outcome.kind !== 'answer') return
      slot.hasServed = true
      if (slots.every(({ hasServed }) => hasServed)) health.pass()
    })
  }

  const bury = (slot: Slot, livedMs: number): void => {
    slot.vacate()
    clearShare(start.memory, slot.worker)
    if (slot.metrics !== undefined) lost = countersOf([lost, slot.metrics])
    slot.metrics = undefined
    if (isEnding) return
    if (livedMs > SOUND_MS) slot.backoff.reset()
    const waitMs = slot.backoff.next()
    restarts.add()
    log.warn('another worker takes its place', { ...about(slot), 'event.retry_ms': Math.round(waitMs) })
    slot.cancelBirth = clock.setTimer(waitMs, () => bear(slot), { keepAlive: false })
  }

  const end = (slot: Slot, thread: Worker | undefined): void => {
    log.error('a worker does not answer', about(slot))
    void thread?.terminate()
  }

  const hear = (slot: Slot, message: FromWorker): void => {
    switch (message.kind) {
      case 'answer':
      case 'failed':
        return slot.hear(message)
      case 'refresh-keys': {
        const { issuer } = message
        void options.refreshKeys(issuer).then(() => slot.post({ kind: 'keys-checked', issuer }))
        return
      }
      case 'refusals':
        return options.decisions.thinned(message.refusals)
      case 'dry-run':
        return options.dryRuns.addCounts(message.counts)
      case 'tapped':
        return options.taps.add(message.tapped)
      case 'dying':
        slot.metrics = message.metrics
        log.error('a worker failed', { err: message.error, ...about(slot) })
    }
  }

  const look = async (slot: Slot): Promise<void> => {
    const outcome = await slot.ask({ what: 'metrics' }, TELL_MS)
    // Who is busy is shown as it was, and who died has been counted.
    if (outcome.kind === 'answer') slot.metrics = outcome.answer
  }
  metrics.include(async () => {
    await Promise.all(slots.map(look))
    return [lost, ...slots.flatMap(({ metrics: said }) => said ?? [])]
  })
  for (const slot of slots) bear(slot)

  return {
    tell(kind) {
      const news = newsOf(kind)
      if (news !== undefined) for (const slot of slots) slot.post(news)
    },
    async obeyed() {
      const outcomes = await Promise.all(
        slots.map(async (slot) => {
          const { thread, begins } = slot
          const outcome = await slot.ask({ what: 'obeyed' }, begins ? BEGIN_MS : OBEY_MS)
          if (outcome.kind === 'late') end(slot, thread)
          return outcome
        }),
      )
      for (const outcome of outcomes) {
        if (outcome.kind === 'failed') throw new Error(`a worker could not obey: ${outcome.reason}`)
      }
    },
    async explain(decisionId) {
      const outcomes = await Promise.all(slots.map((slot) => slot.ask({ what: 'decision', decisionId }, TELL_MS)))
      for (const outcome of outcomes) {
        if (outcome.kind === 'answer' && outcome.answer !== undefined) return outcome.answer
      }
      return undefined
    },
    async edges() {
      const outcomes = await Promise.all(slots.map((slot) => slot.ask({ what: 'edges' }, TELL_MS)))
      return outcomes.flatMap((outcome) => (outcome.kind === 'answer' ? [outcome.answer] : []))
    },
    retire() {
      isRetiring = true
      for (const slot of slots) slot.post({ kind: 'retire' })
    },
    async drain(deadlineMs) {
      isEnding = true
      await Promise.all(
        slots.map(async (slot) => {
          slot.cancelBirth?.()
          await slot.ask({ what: 'drained', deadlineMs }, deadlineMs + DRAIN_GRACE_MS)
          await slot.thread?.terminate()
        }),
      )
    },
  }
}
