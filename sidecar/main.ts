import { readFileSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MESH_ALPN } from '../contract/alpn.ts'
import type { DocumentKind, OperatorMessage } from '../contract/session.ts'
import { CONTRACT_VERSION } from '../contract/workload-config.ts'
import type { Issue } from '../model/result.ts'
import { type AdminServer, startAdminServer } from '../runtime/admin-server.ts'
import { createBackoff } from '../runtime/backoff.ts'
import { systemClock } from '../runtime/clock.ts'
import { createDrain } from '../runtime/drain.ts'
import { createHealth } from '../runtime/health.ts'
import { createLog } from '../runtime/log.ts'
import { createFileSink } from '../runtime/log-sink.ts'
import { createMetrics } from '../runtime/metrics.ts'
import { addProcessMetrics } from '../runtime/process-metrics.ts'
import { runtimeWarning } from '../runtime/runtime-check.ts'
import { adminRoutes } from './admin/routes.ts'
import type { CompileDeps } from './compile/compile.ts'
import type { Pipeline } from './compile/pipeline.ts'
import { createControl } from './control/control.ts'
import { createIssuerKeys } from './control/keys.ts'
import { openLastGood } from './control/last-good.ts'
import { type Session, startSession } from './control/session.ts'
import { openssl } from './crypto/openssl.ts'
import type { IdentityStore } from './identity/identity-store.ts'
import { adoptTrustBundle, keepIdentity, openIdentity } from './identity/open-identity.ts'
import { createServingCertificates, type ServingCertificates } from './identity/serving-certificates.ts'
import { clientTlsOptions } from './identity/tls-options.ts'
import { createDecisionLog } from './observe/decision-log.ts'
import { createDecisionRing } from './observe/decision-ring.ts'
import { createDryRunReport } from './observe/dry-run-report.ts'
import { createSidecarMetrics } from './observe/sidecar-metrics.ts'
import type { SidecarOptions } from './options.ts'
import { createDataPlane, type DataPlane } from './serve/data-plane.ts'

/**
 * Runs a sidecar or gateway until `signal` aborts, then drains it. Resolves with the process's exit code.
 *
 * Rejects only for what can never work: a port that is taken, a state directory that cannot be made.
 */
export async function runSidecar(options: SidecarOptions, release: string, signal: AbortSignal): Promise<number> {
  const clock = systemClock
  const random = Math.random
  const sink = createFileSink({ fd: 1, clock })
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
  const metrics = createMetrics()
  addProcessMetrics(metrics)
  const drain = createDrain({ clock, log, deadlineMs: options.drainMs + 2_000 })
  const work = new AbortController()

  let identity: IdentityStore | undefined
  let serving: ServingCertificates | undefined
  let dataPlane: DataPlane | undefined
  let session: Session | undefined
  let configTakenAtMs: number | undefined
  const sidecarMetrics = createSidecarMetrics(metrics, {
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
  const deps: CompileDeps = { clock, crypto: openssl, keys, count: sidecarMetrics.count }
  const ring = createDecisionRing()
  const dryRuns = createDryRunReport(
    clock,
    (counts) => session?.send({ type: 'dry-run', counts: [...counts] }) === true,
  )
  const decisions = createDecisionLog({ level: options.decisionLog, workload: options.workload, sink })

  const wantCertificates = (pipeline: Pipeline) => {
    serving?.want(meshHostnames(pipeline))
    reviewCertificates()
  }
  const reviewCertificates = () => {
    const pipeline = control.pipeline()
    if (pipeline === undefined || serving === undefined) return
    const missing = [...meshHostnames(pipeline)].some((hostname) => serving?.get(hostname) === undefined)
    if (missing) certificatesReady.fail('a listener has no certificate yet')
    else certificatesReady.pass()
  }
  const onPipeline = (previous: Pipeline | undefined, pipeline: Pipeline) => {
    configTakenAtMs = clock.now()
    wantCertificates(pipeline)
    if (identity !== undefined) void adoptRoots(identity, pipeline)
    dataPlane?.apply(previous, pipeline).then(
      () => configReady.pass(),
      (err: unknown) => {
        configReady.fail('a listener could not be opened')
        log.error('a listener could not be opened', { err })
      },
    )
  }
  const adoptRoots = async (store: IdentityStore, { config }: Pipeline) => {
    const adopted = await adoptTrustBundle(store, config.trustBundle, { stateDirectory: identityDirectory, log })
    if (!adopted.ok)
      log.error('the pushed trust bundle is not usable, the one before stays', { issues: adopted.issues })
  }
  const control = createControl({
    workload: options.workload,
    deps,
    keys,
    lastGood: openLastGood(join(options.stateDirectory, 'last-good'), log),
    log,
    onPipeline,
    onEndpoints: () => {},
  })

  const admin: AdminServer = await startAdminServer({
    port: options.admin.port,
    token: (await readFile(options.admin.tokenFile, 'utf8')).trim(),
    metrics,
    health,
    routes: adminRoutes({
      control,
      ring,
      workload: options.workload,
      identity: () => identity?.current(),
      serving: () => {
        const pipeline = control.pipeline()
        const hostnames = pipeline === undefined ? [] : [...meshHostnames(pipeline)]
        return new Map(
          hostnames.flatMap((hostname) => {
            const certificate = serving?.get(hostname)
            return certificate === undefined ? [] : [[hostname, certificate] as const]
          }),
        )
      },
    }),
    log,
  })
  log.info('starting', { 'service.version': release, 'hauberk.admin_port': admin.port })

  const identityOptions = {
    spiffeId: options.spiffeId,
    operator: options.operator,
    trustAnchorsFile: options.trustAnchorsFile,
    tokenFile: options.joinTokenFile,
    stateDirectory: identityDirectory,
    clock,
    random,
    log,
    signal: AbortSignal.any([signal, work.signal]),
  }
  const store = await openIdentity(identityOptions)
  identity = store
  identityReady.pass()
  const onExpired = () => identityReady.fail('the certificate has expired')
  void keepIdentity(store, { ...identityOptions, onExpired })
  store.onChange(() => identityReady.pass())
  const certificates = createServingCertificates({
    identity: store,
    operator: options.operator,
    stateDirectory: join(options.stateDirectory, 'serving'),
    clock,
    random,
    log,
    signal: work.signal,
  })
  serving = certificates
  certificates.onChange(reviewCertificates)

  await control.restore()
  const plane = createDataPlane({
    placement: options.placement,
    pipeline: control.pipeline,
    endpoints: control.endpoints,
    identity: store,
    certificates,
    observer: {
      request(record, evidence) {
        sidecarMetrics.request(record)
        decisions.request(record)
        if (record.wouldDeny !== undefined) dryRuns.add(record.wouldDeny)
        if (evidence !== undefined) ring.add(record, evidence)
      },
      connection(record) {
        sidecarMetrics.connection(record)
        decisions.connection(record)
        if (record.wouldDeny !== undefined) dryRuns.add(record.wouldDeny)
      },
    },
    clock,
    log,
    random,
    appRootPid: () => readPid(options.appPidFile),
  })
  await plane.listen()
  dataPlane = plane
  const restored = control.pipeline()
  if (restored !== undefined) {
    wantCertificates(restored)
    configReady.pass()
  }

  session = startSession({
    operator: () => options.operator,
    tls: () =>
      clientTlsOptions(store.current(), new Set([options.operator.spiffeId]), { alpn: MESH_ALPN.http, now: clock.now }),
    hello: () => ({
      type: 'hello',
      contract: CONTRACT_VERSION,
      release,
      workload: options.workload,
      pod: options.pod,
      have: control.have(),
    }),
    onMessage(message) {
      switch (message.type) {
        case 'config':
        case 'endpoints':
        case 'keys': {
          const document = documentOf(message)
          const { version } = document
          const accepted = control.accept(message.type, document)
          session?.send(
            accepted.ok
              ? { type: 'ack', document: message.type, version }
              : { type: 'nack', document: message.type, version, issues: accepted.issues.slice(0, 64).map(forWire) },
          )
          return
        }
        case 'keys-checked':
          keys.checked(message.issuer)
      }
    },
    backoff: createBackoff({ baseMs: 200, maxMs: 5_000, minMs: 50, random }),
    clock,
    log,
  })

  await aborted(signal)
  drain.step('data plane', () => plane.drain(options.drainMs))
  drain.step('session', () => {
    dryRuns.close()
    session?.close()
    work.abort(new Error('the sidecar ends'))
  })
  drain.step('admin', () => admin.close())
  drain.step('log', () => sink.flush())
  const report = await drain.drain('asked to end')
  return report.clean ? 0 : 1
}

function documentOf(message: Extract<OperatorMessage, { readonly type: DocumentKind }>) {
  switch (message.type) {
    case 'config':
      return message.config
    case 'endpoints':
      return message.endpoints
    case 'keys':
      return message.keys
  }
}

/** The wire knows an issue without where it was written: a sidecar does not know that. */
function forWire({ code, severity, path, message, fix }: Issue) {
  return { code, severity, path, message, ...(fix !== undefined && { fix }) }
}

/** The hostnames that this gateway is to have certificates for from the mesh's own CA. */
function meshHostnames({ config }: Pipeline): ReadonlySet<string> {
  const hostnames = new Set<string>()
  for (const listener of config.listeners) {
    if (listener.kind !== 'gateway') continue
    for (const certificate of listener.certificates) {
      if (certificate.source === 'mesh') hostnames.add(certificate.hostname)
    }
  }
  return hostnames
}

/** Read for each connection to a TCP port: the app may have been started again meanwhile. */
function readPid(path: string | undefined): number | undefined {
  if (path === undefined) return undefined
  try {
    const pid = Number(readFileSync(path, 'utf8').trim())
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined
  } catch {
    return undefined
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
