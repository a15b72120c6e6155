import { lookup } from 'node:dns/promises'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describeIssue } from '../model/result.ts'
import { spiffeIdFor } from '../model/spiffe-id.ts'
import { SECTIONS } from '../policies/sections.ts'
import { startAdminServer } from '../runtime/admin-server.ts'
import { systemClock } from '../runtime/clock.ts'
import { createDrain } from '../runtime/drain.ts'
import { createHealth } from '../runtime/health.ts'
import { createLog } from '../runtime/log.ts'
import { createFileSink } from '../runtime/log-sink.ts'
import { createMetrics } from '../runtime/metrics.ts'
import { addProcessMetrics } from '../runtime/process-metrics.ts'
import { runtimeWarning } from '../runtime/runtime-check.ts'
import { openAuthority } from './identity/authority.ts'
import { createFileCaStore } from './identity/ca-store.ts'
import { onlyWanted, tokenOrCertificate } from './identity/caller.ts'
import { createCertificateHandler } from './identity/certificate-handler.ts'
import { createJoinAuthenticator } from './identity/join-caller.ts'
import { createJoinTokens } from './identity/join-tokens.ts'
import { createRequestLimit } from './identity/request-limit.ts'
import { issueServerIdentity, keepServerIdentity } from './identity/server-identity.ts'
import { createSvidAuthenticator } from './identity/svid-caller.ts'
import { writeTrustAnchors } from './identity/trust-anchor-file.ts'
import { createIssuerKeysStore } from './keys/issuer-keys.ts'
import { issuerSources } from './keys/issuer-sources.ts'
import { connectToMesh } from './keys/mesh-connect.ts'
import { createOperation } from './operation.ts'
import type { OperatorOptions } from './options.ts'
import { createAcknowledgementTable } from './push/acknowledgements.ts'
import { createPush } from './push/push.ts'
import { secretText } from './resources/secret.ts'
import { startMeshServer } from './serve/mesh-server.ts'
import { servingNamesOf } from './serve/serving-names.ts'
import { createFilesSource } from './sources/files.ts'
import { createDryRunTable } from './status/dry-run-counts.ts'
import { statusReport } from './status/report.ts'
import { createStatusFile } from './status/status-file.ts'
import { createStore } from './store/store.ts'
import { destinationOf } from './translate/destination.ts'
import { OPERATOR_SERVICE_ACCOUNT, SYSTEM_NAMESPACE } from './translate/gateways.ts'
import { egressNames, meshSettingsOf } from './translate/mesh-settings.ts'

/**
 * Runs the operator of a local mesh until `signal` aborts. Resolves with the process's exit code.
 *
 * Rejects for what can never work: a path that does not exist, a port that is taken, keys that others can read.
 */
export async function runOperator(options: OperatorOptions, release: string, signal: AbortSignal): Promise<number> {
  const clock = systemClock
  const sink = createFileSink({ fd: 1, clock })
  const log = createLog({ level: options.logLevel, service: 'hauberk-operator', sink, clock })
  const warning = runtimeWarning(process.version)
  if (warning !== undefined) log.warn('this runtime is known to be vulnerable', { 'event.reason': warning })
  await mkdir(options.stateDirectory, { recursive: true, mode: 0o700 })
  const work = new AbortController()
  const ended = AbortSignal.any([signal, work.signal])

  const health = createHealth()
  const synced = health.condition('resources', 'ready')
  const serving = health.condition('mesh-server', 'ready')
  const metrics = createMetrics()
  addProcessMetrics(metrics)

  const source = createFilesSource(options.files, SECTIONS, log)
  const store = createStore()
  const reading = source.run(store, ended)
  await Promise.race([whenSynced(store), reading])
  if (signal.aborted) return 0
  synced.pass()

  const settings = meshSettingsOf(store.snapshot())
  const { trustDomain } = settings
  const authority = await openAuthority({
    store: createFileCaStore(join(options.stateDirectory, 'ca')),
    trustDomain,
    clock,
    log,
    leafLifetimeMs: options.leafLifetimeMs ?? settings.certificateLifetimeMs,
  })
  await writeTrustAnchors(options.trustAnchorsFile, authority.trustBundle())
  const ownId = spiffeIdFor(trustDomain, SYSTEM_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
  if (!ownId.ok) throw new Error(ownId.issues.map(describeIssue).join('; '))
  let identity = await issueServerIdentity(authority, ownId.value)

  const acknowledgements = createAcknowledgementTable()
  const dryRuns = createDryRunTable()
  const issuerKeys = createIssuerKeysStore({
    clock,
    random: Math.random,
    log,
    onChange(name) {
      const translation = operation.translation()
      const affected = [...(translation?.issuers ?? [])].filter(([, names]) => names.includes(name)).map(([id]) => id)
      push.update(new Set(affected))
      statusFile?.touch()
    },
  })
  const push = createPush({
    desired: (workload) => operation.desired(workload),
    acknowledgements,
    refreshKeys: (issuer) => issuerKeys.refresh(issuer),
    onDryRun(workload, _sidecar, counts) {
      operation.countDryRuns(workload, counts)
      statusFile?.touch()
    },
    clock,
    log,
    metrics: {
      sessions: metrics.gauge({ name: 'hauberk_sessions', help: 'Sidecars that are connected.' }),
      pushes: metrics.counter({
        name: 'hauberk_pushes_total',
        help: 'Documents sent to sidecars.',
        labels: ['document'],
      }),
      refusals: metrics.counter({
        name: 'hauberk_push_refusals_total',
        help: 'Documents that sidecars refused.',
        labels: ['document'],
      }),
    },
  })
  const operation = createOperation({
    store,
    roots: () => identity.trustBundle,
    issuerKeys,
    acknowledgements,
    dryRuns,
    onDesired: (workloads) => push.update(workloads),
    onTranslation({ reports }) {
      const snapshot = store.snapshot()
      const egress = meshSettingsOf(snapshot)
      issuerKeys.follow(
        issuerSources({
          tokenIssuers: snapshot
            .ofKind('TokenIssuer')
            .filter(({ metadata }) => reports.get(`TokenIssuer/${metadata.name}`)?.accepted?.status === 'True'),
          secretValue(namespace, name, key) {
            const secret = snapshot.get('Secret', namespace, name)
            return secret && secretText(secret, key)
          },
          meshRoute(host, port) {
            const known = operation.translation()
            if (known === undefined || destinationOf(known, host, port) === undefined) return undefined
            return () => {
              const now = operation.translation()
              const destination = now && destinationOf(now, host, port)
              if (destination === undefined) throw new Error(`${host}:${port} is no Service of the mesh any more`)
              return connectToMesh(destination, { ...identity, trustDomain }, clock.now)
            }
          },
          isEgressAllowed: (host, port) => egressNames(egress, host, port),
          lookup: (host) => lookup(host, { all: true }),
        }),
      )
      statusFile?.touch()
    },
    clock,
    log,
  })
  const report = () =>
    statusReport({ operation, acknowledgements, issuerKeys, fileIssues: source.issues(), locate: source.locate })
  const statusFile =
    options.statusFile === undefined ? undefined : createStatusFile(options.statusFile, report, clock, log)
  acknowledgements.onChange(() => statusFile?.touch())
  source.onIssues(() => statusFile?.touch())
  operation.start()

  const certificates = createCertificateHandler({
    authority,
    authenticator: onlyWanted(
      tokenOrCertificate(
        createJoinAuthenticator(createJoinTokens(join(options.stateDirectory, 'join'), clock)),
        createSvidAuthenticator(trustDomain, clock),
      ),
      (spiffeId) => operation.isWanted(spiffeId),
    ),
    limit: createRequestLimit({ clock }),
    clock,
    log,
    servingNames: ({ spiffeId }, hostname) => servingNamesOf(operation.translation(), spiffeId, hostname),
  })
  const server = await startMeshServer({ ...options.listen, identity, trustDomain, certificates, push, clock, log })
  serving.pass()
  const renewing = keepServerIdentity(server.server, {
    authority,
    spiffeId: ownId.value,
    first: identity,
    onRenewed: (next) => {
      identity = next
    },
    clock,
    log,
    signal: ended,
  })
  const admin = await startAdminServer({
    port: options.admin.port,
    token: (await readFile(options.admin.tokenFile, 'utf8')).trim(),
    metrics,
    health,
    routes: [{ method: 'GET', path: '/status', handle: () => ({ body: JSON.stringify(report()) }) }],
    log,
  })
  log.info('started', {
    'service.version': release,
    'server.port': server.port,
    'hauberk.admin_port': admin.port,
    'hauberk.trust_domain': trustDomain,
  })

  await aborted(signal)
  const drain = createDrain({ clock, log, deadlineMs: 5_000 })
  drain.step('mesh server', () => server.close())
  drain.step('loop', async () => {
    work.abort(new Error('the operator ends'))
    operation.close()
    issuerKeys.close()
    statusFile?.close()
    await Promise.all([reading, renewing])
  })
  drain.step('admin', () => admin.close())
  drain.step('log', () => sink.flush())
  return (await drain.drain('asked to end')).clean ? 0 : 1
}

function whenSynced(store: ReturnType<typeof createStore>): Promise<void> {
  return new Promise((resolve) => {
    if (store.isSynced()) return resolve()
    const stop = store.onChange(() => {
      stop()
      resolve()
    })
  })
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
