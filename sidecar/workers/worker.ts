import type { MessagePort } from 'node:worker_threads'
import type { EndpointsDocument } from '../../contract/endpoints.ts'
import { readConfig } from '../../contract/read-config.ts'
import { describeIssue, ok } from '../../model/result.ts'
import { openssl } from '../../runtime/crypto/openssl.ts'
import { createLog } from '../../runtime/log.ts'
import { createFileSink } from '../../runtime/log-sink.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { addThreadMetrics } from '../../runtime/process-metrics.ts'
import { RELEASE } from '../../runtime/release.ts'
import { clockSince } from '../../runtime/thread-clock.ts'
import { compile } from '../compile/compile.ts'
import type { Pipeline } from '../compile/pipeline.ts'
import { createIssuerKeys } from '../control/keys.ts'
import { createRevokedTokens } from '../control/revocations.ts'
import { createIdentityStore } from '../identity/identity-store.ts'
import { createDecisionLog } from '../observe/decision-log.ts'
import { createDecisionRing } from '../observe/decision-ring.ts'
import { createDryRunReport } from '../observe/dry-run-report.ts'
import { createEdges } from '../observe/edges.ts'
import { createObserver } from '../observe/observer.ts'
import { createOffenders } from '../observe/offenders.ts'
import { createSidecarMetrics } from '../observe/sidecar-metrics.ts'
import { createSpanExporter, LAST_SPANS_MS } from '../observe/spans/span-exporter.ts'
import { createTaps } from '../observe/taps.ts'
import { createUpstreamMetrics } from '../observe/upstream-metrics.ts'
import { createDataPlane } from '../serve/data-plane.ts'
import { createMemoryWatch } from '../serve/memory-watch.ts'
import { followPorts } from '../serve/shared-ports.ts'
import { openSharedQuota } from '../shared-limits/open-shared-quota.ts'
import { openInternalTokens } from '../tokens/open-internal-tokens.ts'
import { callsOf } from '../upstream/backend-calls.ts'
import { followCertificates } from './certificates.ts'
import type { FromWorker, News, Question, ToWorker, WorkerStart } from './messages.ts'
import { openPlace } from './place.ts'
import { openShare } from './shared-memory.ts'

/** Milliseconds that counts of dry runs are gathered before worker 0 gathers them once more. */
const GATHER_MS = 1_000

/**
 * A worker beside the first one: a data plane and what it tells of itself. All else (identity, session, admin port) is of the
 * first worker, which it hears of what is new.
 */
export async function runWorker(port: MessagePort, start: WorkerStart): Promise<void> {
  const { worker, memory, workload, pod } = start
  const tell = (message: FromWorker) => port.postMessage(message)
  const share = openShare(memory, worker)
  const clock = clockSince(start.beginning)
  const sink = createFileSink({ fd: 1, clock, turn: share.turn })
  const log = createLog({
    level: start.logLevel,
    service: 'hauberk-sidecar',
    fields: { 'hauberk.workload': workload, 'hauberk.pod': pod, 'process.thread.id': worker },
    sink,
    clock,
  })
  const metrics = createMetrics()
  addThreadMetrics(metrics)

  let pipeline: Pipeline | undefined
  let endpoints: EndpointsDocument | undefined
  let ports: Extract<News, { readonly kind: 'config' }>['ports'] = new Map()
  /** What was told last is in force once it resolves. */
  let applied: Promise<void> = Promise.resolve()
  const identity = createIdentityStore(start.identity)
  const certificates = followCertificates()
  const limits = openSharedQuota({
    workload,
    config: () => pipeline?.config,
    endpoints: () => endpoints,
    identity: () => identity,
    ...{ clock, random: Math.random, log, metrics },
  })
  identity.onChange(limits.renew)
  const keys = createIssuerKeys(clock, (issuer) => {
    tell({ kind: 'refresh-keys', issuer })
    return true
  })
  const revocations = createRevokedTokens(clock)
  const internalTokens = openInternalTokens({
    operator: start.operator,
    spiffeId: start.spiffeId,
    identity: () => identity,
    crypto: openssl,
    clock,
    metrics,
  })
  const sidecarMetrics = createSidecarMetrics(metrics, {
    // Worker 0 says these of all of them.
    certificateReceivedMs: () => undefined,
    certificateNotAfterMs: () => undefined,
    configVersion: () => undefined,
    configTakenAtMs: () => undefined,
    operatorConnected: () => false,
    connections: () => plane.stats().connections,
    inFlight: () => plane.stats().inFlight,
    upstreamConnections: () => plane.stats().upstreamConnections,
    logLinesDropped: () => sink.dropped,
  })
  const ring = createDecisionRing()
  const offenders = createOffenders({ metrics, clock })
  const edges = createEdges()
  const taps = createTaps({ workload, clock, tell: (tapped) => tell({ kind: 'tapped', tapped }) })
  const spans = createSpanExporter({
    calls: callsOf(() => plane),
    config: () => pipeline?.config,
    resource: { release: RELEASE, workload, pod },
    clock,
    log,
    metrics,
  })
  const decisions = createDecisionLog({
    level: start.decisionLog,
    workload,
    sink,
    clock,
    tellThinned: (refusals) => tell({ kind: 'refusals', refusals }),
  })
  const gathered = (counts: Extract<FromWorker, { readonly kind: 'dry-run' }>['counts']) => {
    tell({ kind: 'dry-run', counts })
    return true
  }
  const dryRuns = createDryRunReport(clock, gathered, GATHER_MS)
  const place = await openPlace(start.place, () => pipeline)
  const plane = createDataPlane({
    ...place,
    pod,
    pipeline: () => pipeline,
    endpoints: () => endpoints,
    identity,
    certificates,
    observer: createObserver({ metrics: sidecarMetrics, decisions, dryRuns, ring, offenders, edges, spans, taps }),
    beforeClose: () => spans.close(LAST_SPANS_MS),
    upstreamEvents: createUpstreamMetrics(metrics, () => plane.ejected()),
    clock,
    log,
    memory: createMemoryWatch(),
    limits: { maxConnections: start.maxConnections },
    sharing: { ...share, ports: followPorts(() => ports) },
  })
  process.once('uncaughtException', (error) => {
    tell({ kind: 'dying', error, metrics: metrics.snapshot() })
    process.exit(1)
  })

  const hear = (news: News): void => {
    switch (news.kind) {
      case 'identity':
        return identity.replace(news.identity)
      case 'certificates':
        return certificates.replace(news.certificates)
      case 'keys':
        return keys.replace(news.document)
      case 'revocations':
        return revocations.replace(news.document)
      case 'keys-checked':
        return keys.checked(news.issuer)
      case 'endpoints':
        endpoints = news.document
        return limits.review()
      case 'config':
        return obey(news)
      case 'taps':
        return taps.follow(news.taps)
      case 'retire':
        return plane.retire()
    }
  }
  const obey = (news: Extract<News, { readonly kind: 'config' }>): void => {
    const deps = {
      ...{ clock, crypto: openssl, keys, revocations, internalTokens, count: sidecarMetrics.count, calls: plane.calls },
      ...{ sharedTimes: share.sharedTimes, share: limits.share, quota: limits.quota },
    }
    // What was posted is a copy: parts of it that say the same become the ones that are compiled already.
    const adopted = pipeline === undefined ? ok(news.config) : readConfig(news.config, pipeline.config)
    const compiled = adopted.ok ? compile(adopted.value, pipeline, deps) : adopted
    // Worker 0 has compiled the same: this is a mistake in the program, and a new worker is the best there is.
    if (!compiled.ok) throw new Error(`does not compile here: ${compiled.issues.map(describeIssue).join('; ')}`)
    const previous = pipeline
    pipeline = compiled.value
    ports = news.ports
    limits.review()
    applied = plane.apply(previous, pipeline)
    applied.catch((err: unknown) => log.error('a listener could not be opened', { err }))
  }
  const answer = async (question: Question): Promise<unknown> => {
    switch (question.what) {
      case 'obeyed':
        return applied
      case 'metrics':
        return metrics.snapshot()
      case 'decision':
        return ring.explain(question.decisionId)
      case 'edges':
        return edges.counted(plane.openTunnels())
      case 'drained':
        await plane.drain(question.deadlineMs)
        dryRuns.flush()
        dryRuns.close()
        internalTokens.close()
        decisions.flush()
        return sink.flush()
    }
  }
  port.on('message', (message: ToWorker) => {
    if (message.kind !== 'question') return hear(message)
    const { id, question } = message
    answer(question).then(
      (said) => tell({ kind: 'answer', id, answer: said }),
      (error: unknown) => tell({ kind: 'failed', id, reason: String(error) }),
    )
  })
}
