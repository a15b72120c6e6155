import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { MESH_ALPN } from '../contract/alpn.ts'
import type { DocumentKind, OperatorMessage } from '../contract/session.ts'
import { shownCertificates } from '../contract/shown-certificates.ts'
import { CONTRACT_VERSION, type WorkloadConfig } from '../contract/workload-config.ts'
import type { Issue, Result } from '../model/result.ts'
import type { SpiffeId } from '../model/spiffe-id.ts'
import { startAdminServer } from '../runtime/admin-server.ts'
import { createBackoff } from '../runtime/backoff.ts'
import { type Clock, systemClock } from '../runtime/clock.ts'
import { openssl } from '../runtime/crypto/openssl.ts'
import { createDrain, type Drain } from '../runtime/drain.ts'
import { createHealth, type Health } from '../runtime/health.ts'
import { createLog, type Log, type LogLevel } from '../runtime/log.ts'
import { createFileSink } from '../runtime/log-sink.ts'
import { createMetrics, type Metrics } from '../runtime/metrics.ts'
import { addProcessMetrics } from '../runtime/process-metrics.ts'
import { runtimeWarning } from '../runtime/runtime-check.ts'
import { adminRoutes } from './admin/routes.ts'
import type { CompileDeps } from './compile/compile.ts'
import type { Pipeline } from './compile/pipeline.ts'
import { createControl } from './control/control.ts'
import { createIssuerKeys } from './control/keys.ts'
import { openLastGood } from './control/last-good.ts'
import { createRevokedTokens } from './control/revocations.ts'
import { type Session, startSession } from './control/session.ts'
import type { ProvenBy } from './identity/credentials.ts'
import type { OperatorAddress } from './identity/fetch-certificate.ts'
import { isVouchedFor, readTrustBundle } from './identity/identity.ts'
import type { IdentityStore } from './identity/identity-store.ts'
import { adoptTrustBundle, type KeptIdentity, keepIdentity, openIdentity } from './identity/open-identity.ts'
import { createServingCertificates, type ServingCertificates } from './identity/serving-certificates.ts'
import { clientTlsOptions } from './identity/tls-options.ts'
import { keepCompiled } from './keep-compiled.ts'
import type { KeystorePlace } from './keystores/keystores.ts'
import { createDecisionLog } from './observe/decision-log.ts'
import { createDecisionRing } from './observe/decision-ring.ts'
import { createDryRunReport } from './observe/dry-run-report.ts'
import { createEdges, together, toldEdges } from './observe/edges.ts'
import { createObserver } from './observe/observer.ts'
import { createOffenders } from './observe/offenders.ts'
import { createSidecarMetrics } from './observe/sidecar-metrics.ts'
import { createSpanExporter, LAST_SPANS_MS } from './observe/spans/span-exporter.ts'
import { createTaps } from './observe/taps.ts'
import { createUpstreamMetrics } from './observe/upstream-metrics.ts'
import { type Capture, createDataPlane, type DataPlane } from './serve/data-plane.ts'
import { maxConnectionsByDescriptors } from './serve/descriptor-limit.ts'
import { DEFAULT_LIMITS } from './serve/limits.ts'
import { createMemoryWatch } from './serve/memory-watch.ts'
import type { Placement } from './serve/placement.ts'
import { openSharedQuota } from './shared-limits/open-shared-quota.ts'
import { createLiveRequests } from './tokens/live-requests.ts'
import { openInternalTokens } from './tokens/open-internal-tokens.ts'
import { callsOf } from './upstream/backend-calls.ts'
import type { WorkerPlace } from './workers/messages.ts'
import type { Workers } from './workers/workers.ts'

/** What every sidecar and gateway is told, wherever it runs. */
export interface RunOptions {
  /** Version of the program. */
  readonly release: string
  /** `namespace/name`. */
  readonly workload: string
  /** `namespace/name`. */
  readonly pod: string
  readonly spiffeId: SpiffeId
  readonly operator: OperatorAddress
  /** `ca.crt`: PEM. */
  readonly trustAnchorsFile: string
  /** Holds the token that proves who this is. */
  readonly tokenFile: string
  /** What it is proven by after the first certificate. Default: that certificate. */
  readonly provenBy?: ProvenBy
  /** Key, certificate and last good configuration; only this process may read it. */
  readonly stateDirectory: string
  /** Where the app is given its identity. Absent: it is not. */
  readonly keystores?: KeystorePlace
  /** `token`: what everything but health and metrics asks for. */
  readonly admin: { readonly port: number; readonly token: string }
  /** Where the listeners of a configuration are bound. */
  placement(pipeline: () => Pipeline | undefined): Placement
  /** In a pod whose traffic the kernel redirects. */
  readonly capture?: Capture
  readonly appRootPid?: () => number | undefined
  readonly logLevel: LogLevel
  readonly decisionLog: 'all' | 'denied' | 'off'
  /** Milliseconds that requests in flight are given at the end. */
  readonly drainMs: number
  /** Absent: one worker, this thread. */
  readonly workers?: WorkersWanted
}

/** How many workers serve, and where, in values that can be handed to another thread. */
export interface WorkersWanted {
  /** From 1 to `MAX_WORKERS`. */
  readonly count: number
  /** As `placement`, `capture` and `appRootPid` say it of this thread. */
  readonly place: WorkerPlace
}

/** A running sidecar. Its parts come one after another: identity, then data plane, then the session with the operator. */
export interface Sidecar {
  readonly clock: Clock
  readonly log: Log
  readonly health: Health
  readonly metrics: Metrics
  /** That was bound. */
  readonly adminPort: number
  /** What happens at the end. Steps that are added here run after those of the sidecar itself. */
  readonly drain: Drain
  /** Resolves once there is a certificate, however long that takes; rejects when the signal aborts. */
  identify(): Promise<IdentityStore>
  /** Serves what was last obeyed, then what the operator sends. Call once, after `identify`. */
  serve(): Promise<DataPlane>
  /** Answers whatever comes from now on with `Connection: close`, and goes on accepting: clients are to go elsewhere. */
  retire(): void
  /** Ends in order. Resolves with the process's exit code. */
  end(): Promise<number>
}

/** Milliseconds beyond the time for requests that all of the end may take. */
const END_MS = 2_000

/**
 * A sidecar or gateway that does nothing yet but answer on its admin port, not ready. Rejects only for what can never
 * work: a port that is taken, a state directory that cannot be made.
 */
export async function openSidecar(options: RunOptions, signal: AbortSignal): Promise<Sidecar> {
  const clock = systemClock
  const random = Math.random
  const shared = options.workers === undefined ? undefined : await shareAmong(options.workers)
  const sink = createFileSink({ fd: 1, clock, ...(shared && { turn: shared.share.turn }) })
  const log = createLog({
    level: options.logLevel,
    service: 'hauberk-sidecar',
    fields: { 'hauberk.workload': options.workload, 'hauberk.pod': options.pod },
    sink,
    clock,
  })
  const warning = runtimeWarning(process.version)
  if (warning !== undefined) log.warn('this runtime is known to be vulnerable', { 'event.reason': warning })

  const identityDirectory = join(options.stateDirectory, 'identity')
  await mkdir(identityDirectory, { recursive: true, mode: 0o700 })
  const health = createHealth()
  const identityReady = health.condition('identity', 'ready')
  const configReady = health.condition('configuration', 'ready')
  const certificatesReady = health.condition('serving certificates', 'ready')
  const keystoresReady = options.keystores === undefined ? undefined : health.condition('keystores', 'ready')
  const metrics = createMetrics()
  addProcessMetrics(metrics)
  const drain = createDrain({ clock, log, deadlineMs: options.drainMs + END_MS })
  const work = new AbortController()

  let identity: IdentityStore | undefined
  let keptIdentity: KeptIdentity | undefined
  let serving: ServingCertificates | undefined
  let dataPlane: DataPlane | undefined
  let workers: Workers | undefined
  let session: Session | undefined
  let configTakenAtMs: number | undefined
  /** What was taken last is in force once it resolves. */
  let applied: Promise<void> | undefined
  const sidecarMetrics = createSidecarMetrics(metrics, {
    certificateReceivedMs: () => identity?.current().receivedAtMs,
    certificateNotAfterMs: () => identity?.current().notAfterMs,
    configVersion: () => control.pipeline()?.version,
    configTakenAtMs: () => configTakenAtMs,
    operatorConnected: () => session?.connected === true,
    connections: () => dataPlane?.stats().connections ?? 0,
    inFlight: () => dataPlane?.stats().inFlight ?? 0,
    upstreamConnections: () => dataPlane?.stats().upstreamConnections ?? 0,
    logLinesDropped: () => sink.dropped,
  })
  const keys = createIssuerKeys(clock, (issuer) => session?.send({ type: 'refresh-keys', issuer }) === true)
  const revocations = createRevokedTokens(clock)
  const internalTokens = openInternalTokens({
    operator: options.operator,
    spiffeId: options.spiffeId,
    identity: () => identity,
    crypto: openssl,
    clock,
    metrics,
  })
  const limits = openSharedQuota({
    workload: options.workload,
    config: () => control.pipeline()?.config,
    endpoints: () => control.endpoints(),
    identity: () => identity,
    ...{ clock, random, log, metrics },
  })
  const deps: CompileDeps = {
    ...{
      clock,
      crypto: openssl,
      keys,
      revocations,
      internalTokens,
      count: sidecarMetrics.count,
      calls: callsOf(() => dataPlane),
      share: limits.share,
      quota: limits.quota,
    },
    // Of several workers one gets the request, and another the call that is made for it.
    ...(shared === undefined && { liveRequests: createLiveRequests() }),
    ...(shared && { sharedTimes: shared.share.sharedTimes }),
  }
  const ring = createDecisionRing()
  const offenders = createOffenders({ metrics, clock })
  const edges = createEdges()
  const taps = createTaps({ workload: options.workload, clock, onChange: () => workers?.tell('taps') })
  const spans = createSpanExporter({
    calls: callsOf(() => dataPlane),
    config: () => control.pipeline()?.config,
    resource: { release: options.release, workload: options.workload, pod: options.pod },
    clock,
    log,
    metrics,
  })
  const dryRuns = createDryRunReport(
    clock,
    (counts) => session?.send({ type: 'dry-run', counts: [...counts] }) === true,
  )
  const decisions = createDecisionLog({ level: options.decisionLog, workload: options.workload, sink, clock })

  const wantCertificates = (pipeline: Pipeline) => {
    serving?.want(meshHostnames(pipeline))
    reviewCertificates()
  }
  const reviewCertificates = () => {
    workers?.tell('certificates')
    const pipeline = control.pipeline()
    if (pipeline === undefined || serving === undefined) return
    const missing = [...meshHostnames(pipeline)].some((hostname) => serving?.get(hostname) === undefined)
    if (missing) certificatesReady.fail('a listener has no certificate yet')
    else certificatesReady.pass()
  }
  const onPipeline = (previous: Pipeline | undefined, pipeline: Pipeline) => {
    configTakenAtMs = clock.now()
    limits.review()
    wantCertificates(pipeline)
    // What was kept over a restart says nothing of roots that the certificate, which may be newer, does not say.
    if (identity !== undefined && session !== undefined) void adoptRoots(identity, pipeline.config)
    if (dataPlane !== undefined) applied = applyEverywhere(dataPlane, previous, pipeline)
  }
  /** Resolves in any case, once all workers obey the pipeline or a newer one does. */
  const applyEverywhere = async (plane: DataPlane, previous: Pipeline | undefined, pipeline: Pipeline) => {
    const [first] = await Promise.allSettled([plane.apply(previous, pipeline)])
    workers?.tell('config')
    const [others] = await Promise.allSettled([workers?.obeyed()])
    if (control.pipeline() !== pipeline) return
    const failed = [first, others].filter((outcome) => outcome.status === 'rejected')
    if (failed.length === 0) return configReady.pass()
    configReady.fail('a listener could not be opened')
    for (const { reason: err } of failed) log.error('a listener could not be opened', { err })
  }
  const adoptRoots = async (store: IdentityStore, { trustBundle, distrustedRoots = [] }: WorkloadConfig) => {
    const adopted = await adoptTrustBundle(store, trustBundle, {
      stateDirectory: identityDirectory,
      distrustedRoots,
      log,
    })
    if (!adopted.ok)
      log.error('the pushed trust bundle is not usable, the one before stays', { issues: adopted.issues })
  }
  const control = createControl({
    workload: options.workload,
    deps,
    keys,
    revocations,
    lastGood: openLastGood(join(options.stateDirectory, 'last-good'), log),
    log,
    onPipeline,
    onEndpoints() {
      limits.review()
      workers?.tell('endpoints')
    },
    onKeys: () => workers?.tell('keys'),
    onRevocations: () => workers?.tell('revocations'),
  })
  /** What a gateway shows for its hostnames, where the mesh's own CA issued it. */
  const servingNow = () => {
    const pipeline = control.pipeline()
    const hostnames = pipeline === undefined ? [] : [...meshHostnames(pipeline)]
    return hostnames.flatMap((hostname) => serving?.get(hostname) ?? [])
  }

  const admin = await startAdminServer({
    port: options.admin.port,
    token: options.admin.token,
    metrics,
    health,
    routes: adminRoutes({
      control,
      explain: (decisionId) => ring.explain(decisionId) ?? workers?.explain(decisionId),
      workload: options.workload,
      identity: () => identity?.current(),
      serving: servingNow,
      openTap: taps.open,
      limitStoreAnswers: limits.storeAnswers,
    }),
    log,
  })
  log.info('starting', { 'service.version': options.release, 'hauberk.admin_port': admin.port })

  drain.step('data plane', async () => {
    await Promise.all([dataPlane?.drain(options.drainMs), workers?.drain(options.drainMs)])
  })
  drain.step('session', () => {
    dryRuns.close()
    limits.close()
    internalTokens.close()
    session?.close()
    work.abort(new Error('the sidecar ends'))
  })
  drain.step('admin', () => admin.close())

  const identify = async (): Promise<IdentityStore> => {
    const identityOptions = {
      spiffeId: options.spiffeId,
      operator: options.operator,
      trustAnchorsFile: options.trustAnchorsFile,
      tokenFile: options.tokenFile,
      ...(options.provenBy !== undefined && { provenBy: options.provenBy }),
      stateDirectory: identityDirectory,
      clock,
      random,
      log,
      signal: AbortSignal.any([signal, work.signal]),
    }
    const store = await openIdentity(identityOptions)
    identity = store
    if (options.keystores !== undefined) void keepKeystoresOf(store, options.keystores)
    identityReady.pass()
    const onVoid = () => identityReady.fail('nobody believes the certificate: it has expired, or its root is out')
    store.onChange((next) => {
      if (isVouchedFor(next)) identityReady.pass()
      limits.renew()
      workers?.tell('identity')
    })
    const kept = keepIdentity(store, { ...identityOptions, onVoid })
    keptIdentity = kept
    const certificates = createServingCertificates({
      identity: store,
      // A join token is for the identity, and taken once.
      ...(options.provenBy === 'token' && { credentials: identityOptions }),
      operatorRoots: kept.operatorRoots,
      operator: options.operator,
      stateDirectory: join(options.stateDirectory, 'serving'),
      clock,
      random,
      log,
      signal: work.signal,
    })
    serving = certificates
    certificates.onChange(reviewCertificates)
    return store
  }

  const keepKeystoresOf = async (store: IdentityStore, place: KeystorePlace): Promise<void> => {
    const { keepKeystores } = await import('./keystores/keystores.ts')
    await keepKeystores(store, {
      place,
      stateDirectory: options.stateDirectory,
      signal: AbortSignal.any([signal, work.signal]),
      onWritten: () => keystoresReady?.pass(),
      ...{ clock, random, log },
    })
  }

  const serve = async (): Promise<DataPlane> => {
    if (identity === undefined || serving === undefined) throw new Error('the sidecar serves before it has an identity')
    const store = identity
    await control.restore()
    const maxConnections = Math.min(DEFAULT_LIMITS.maxConnections, maxConnectionsByDescriptors() ?? Infinity)
    const plane = createDataPlane({
      placement: options.placement(control.pipeline),
      pod: options.pod,
      ...(options.capture === undefined ? {} : { capture: options.capture }),
      pipeline: control.pipeline,
      endpoints: control.endpoints,
      identity: store,
      certificates: serving,
      observer: createObserver({ metrics: sidecarMetrics, decisions, dryRuns, ring, offenders, edges, spans, taps }),
      beforeClose: () => spans.close(LAST_SPANS_MS),
      upstreamEvents: createUpstreamMetrics(metrics, () => dataPlane?.ejected() ?? new Map()),
      clock,
      log,
      memory: createMemoryWatch(),
      limits: { maxConnections },
      random,
      ...(options.appRootPid === undefined ? {} : { appRootPid: options.appRootPid }),
      ...(shared && { sharing: { ...shared.share, ports: shared.ports } }),
    })
    await plane.listen()
    dataPlane = plane
    if (shared !== undefined) {
      const { memory, ports, count, place } = shared
      const { workload, pod, logLevel, decisionLog, operator, spiffeId } = options
      const beginning = shared.beginningOfTime()
      workers = shared.startWorkers({
        count,
        start: { memory, beginning, place, workload, pod, logLevel, decisionLog, maxConnections, operator, spiffeId },
        newest: {
          identity: () => store.current(),
          certificates: servingNow,
          keys: control.keys,
          revocations: control.revocations,
          endpoints: control.endpoints,
          config: () => control.pipeline()?.config,
          ports: ports.entries,
          taps: taps.opened,
        },
        refreshKeys: (issuer) => keys.refresh(issuer),
        health: health.condition('workers', 'ready'),
        ...{ decisions, dryRuns, taps, metrics, clock, random, log },
      })
    }
    const restored = control.pipeline()
    if (restored !== undefined) {
      wantCertificates(restored)
      configReady.pass()
    }
    session = connectToOperator(store)
    keepCompiled(clock)
    let { root } = store.current()
    // The operator learns by the certificate of the session that this sidecar has one of another root. It is told so once
    // clients outside see another one, too: they, and the anchors that they have, follow the same root.
    const showRoot = () => {
      const { root: next } = store.current()
      if (next === root || serving?.areOf(next) === false) return
      root = next
      session?.reconnect()
    }
    store.onChange(showRoot)
    serving.onChange(showRoot)
    return plane
  }

  /** Resolves once every worker obeys what was taken so far, or could not open a port: readiness says that. */
  const inForce = async (others: Workers): Promise<void> => {
    await applied
    await others.obeyed().catch(() => undefined)
  }

  const look = async (id: number): Promise<void> => {
    const counted = [edges.counted(dataPlane?.openTunnels() ?? []), ...((await workers?.edges()) ?? [])]
    session?.send({ type: 'seen', id, ...toldEdges(together(counted), control.pipeline()?.config) })
  }

  const connectToOperator = (store: IdentityStore): Session =>
    startSession({
      operator: () => options.operator,
      tls() {
        const roots = keptIdentity?.operatorRoots() ?? store.current().trustBundle
        return clientTlsOptions({ ...store.current(), trustBundle: roots }, new Set([options.operator.spiffeId]), {
          alpn: MESH_ALPN.http,
          now: clock.now,
        })
      },
      onLost: () => void keptIdentity?.reviewAnchors(),
      hello: () => ({
        type: 'hello',
        contract: CONTRACT_VERSION,
        release: options.release,
        workload: options.workload,
        pod: options.pod,
        have: control.have(),
      }),
      onMessage(message) {
        switch (message.type) {
          case 'config':
          case 'endpoints':
          case 'keys':
          case 'revocations': {
            const document = documentOf(message)
            const { version } = document
            const accepted = hasUsableRoots(message) ?? control.accept(message.type, document)
            if (accepted.ok) {
              const acknowledge = () => session?.send({ type: 'ack', document: message.type, version })
              if (workers === undefined) acknowledge()
              else void inForce(workers).then(acknowledge)
            } else {
              const issues = accepted.issues.slice(0, 64).map(forWire)
              session?.send({ type: 'nack', document: message.type, version, issues })
            }
            return
          }
          case 'look':
            void look(message.id)
            return
          case 'keys-checked':
            keys.checked(message.issuer)
        }
      },
      held: () => control.pipeline()?.config,
      backoff: createBackoff({ baseMs: 200, maxMs: 5_000, minMs: 50, random }),
      clock,
      log,
    })

  return {
    clock,
    log,
    health,
    metrics,
    adminPort: admin.port,
    drain,
    identify,
    serve,
    retire() {
      dataPlane?.retire()
      workers?.retire()
    },
    async end() {
      drain.step('log', () => {
        decisions.flush()
        return sink.flush()
      })
      const report = await drain.drain('asked to end')
      return report.clean ? 0 : 1
    },
  }
}

/** What several workers have in common. Loaded only where there are several. */
async function shareAmong({ count, place }: WorkersWanted) {
  if (count === 1) return undefined
  const [{ createSharedMemory, openShare }, { startWorkers }, { claimPorts }, { beginningOfTime }] = await Promise.all([
    import('./workers/shared-memory.ts'),
    import('./workers/workers.ts'),
    import('./serve/shared-ports.ts'),
    import('../runtime/thread-clock.ts'),
  ])
  const memory = createSharedMemory(count)
  return { count, place, memory, share: openShare(memory, 0), ports: claimPorts(), startWorkers, beginningOfTime }
}

/** A config whose roots cannot be used is refused: who acknowledges one trusts them. */
function hasUsableRoots(message: OperatorMessage): Extract<Result<never>, { readonly ok: false }> | undefined {
  if (message.type !== 'config') return undefined
  const bundle = readTrustBundle(message.config.trustBundle, message.config.distrustedRoots)
  return bundle.ok ? undefined : bundle
}

function documentOf(message: Extract<OperatorMessage, { readonly type: DocumentKind }>) {
  switch (message.type) {
    case 'config':
      return message.config
    case 'endpoints':
      return message.endpoints
    case 'keys':
      return message.keys
    case 'revocations':
      return message.revocations
  }
}

/** The wire knows an issue without where it was written: a sidecar does not know that. */
function forWire({ code, severity, path, message, fix }: Issue) {
  return { code, severity, path, message, ...(fix !== undefined && { fix }) }
}

/** The hostnames that this gateway is to have certificates for from the mesh's own CA. */
function meshHostnames({ config }: Pipeline): ReadonlySet<string> {
  return new Set(shownCertificates(config).flatMap((each) => (each.source === 'mesh' ? each.hostname : [])))
}
