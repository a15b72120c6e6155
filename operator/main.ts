import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { resourceKey } from '../model/resource.ts'
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
import { startAudit } from './audit/start-audit.ts'
import { type Core, startCore } from './core.ts'
import { rootStep } from './identity/audit-events.ts'
import { openAuthority } from './identity/authority.ts'
import { createFileCaStore } from './identity/ca-store.ts'
import { tokenOrCertificate } from './identity/caller.ts'
import { createJoinAuthenticator } from './identity/join-caller.ts'
import { createJoinTokens } from './identity/join-tokens.ts'
import { operatorMember } from './identity/rotation/members.ts'
import { createMeshRotation, wantedRootsOf } from './identity/rotation/mesh-rotation.ts'
import { firstRoots } from './identity/rotation/root-rotation.ts'
import { createFileRotationStore } from './identity/rotation/rotation-store.ts'
import { createSvidAuthenticator } from './identity/svid-caller.ts'
import { writeTrustAnchors } from './identity/trust-anchors.ts'
import { edgesRoute } from './live/edges-route.ts'
import type { OperatorOptions } from './options.ts'
import { createAcknowledgementTable } from './push/acknowledgements.ts'
import { createFilesSource } from './sources/files.ts'
import { openMadeSecrets } from './sources/made-secrets.ts'
import { createDryRunTable } from './status/dry-run-counts.ts'
import { statusReport } from './status/report.ts'
import { createStatusFile, type StatusFile } from './status/status-file.ts'
import { createStore, whenSynced } from './store/store.ts'
import { meshSettingsOf } from './translate/mesh-settings.ts'

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
  const secrets = openMadeSecrets(store, join(options.stateDirectory, 'secrets'), log)
  const reading = source.run(secrets, ended).finally(() => secrets.close())
  await Promise.race([whenSynced(store), reading])
  if (signal.aborted) return 0
  synced.pass()

  const audit = startAudit({
    store,
    file: join(options.stateDirectory, 'audit', 'audit.log'),
    name: 'local',
    source: 'files',
    locate({ kind, metadata: { namespace, name } }) {
      const found = source.locate(resourceKey(kind, namespace, name), '')
      return found && `${found.file}:${found.line}`
    },
    clock,
    log,
    metrics,
  })
  const { trustDomain } = meshSettingsOf(store.snapshot())
  const caDirectory = join(options.stateDirectory, 'ca')
  const kept = createFileRotationStore(caDirectory)
  const keyStore = createFileCaStore(caDirectory)
  const authority = await openAuthority({
    store: keyStore,
    trustDomain,
    clock,
    log,
    leafLifetimeMs: options.leafLifetimeMs ?? (() => meshSettingsOf(store.snapshot()).certificateLifetimeMs),
    first: (roots) => firstRoots(roots, kept, wantedRootsOf(store.snapshot())),
  })
  const writeAnchors = () => writeTrustAnchors(options.trustAnchorsFile, authority.trustBundle())
  let written = writeAnchors()
  await written
  authority.onChange(() => {
    written = written
      .then(writeAnchors)
      .catch((err: unknown) => log.error('the trust anchors could not be written', { err }))
  })

  const acknowledgements = createAcknowledgementTable()
  const dryRuns = createDryRunTable()
  let statusFile: StatusFile | undefined
  let core: Core | undefined
  const rotation = createMeshRotation({
    authority,
    kept,
    store,
    translation: () => core?.operation.translation(),
    acknowledgements,
    operators: () => (core === undefined ? [] : [operatorMember('local', authority, core.identity())]),
    onStep: (step) => audit.record(rootStep(step)),
    clock,
    log,
    metrics,
  })
  core = await startCore({
    store,
    authority,
    keyStore,
    authenticator: tokenOrCertificate(
      createJoinAuthenticator(createJoinTokens(join(options.stateDirectory, 'join'), clock)),
      createSvidAuthenticator(trustDomain, clock),
    ),
    listen: options.listen,
    own: { acknowledgements, dryRuns },
    everyone: { acknowledgements, dryRunsOf: dryRuns.of },
    onChange: () => statusFile?.touch(),
    onTranslation: (translation) => rotation.record(translation),
    audit,
    clock,
    log,
    metrics,
  })
  const rotating = rotation.run(ended)
  const report = () =>
    statusReport({
      ...core,
      acknowledgements,
      certificateAuthority: rotation.status(),
      audit: audit.end(),
      fileIssues: source.issues(),
      locate: source.locate,
    })
  if (options.statusFile !== undefined) statusFile = createStatusFile(options.statusFile, report, clock, log)
  acknowledgements.onChange(() => statusFile?.touch())
  source.onIssues(() => statusFile?.touch())
  rotation.onChange(() => statusFile?.touch())
  statusFile?.touch()
  serving.pass()
  const admin = await startAdminServer({
    port: options.admin.port,
    token: (await readFile(options.admin.tokenFile, 'utf8')).trim(),
    metrics,
    health,
    routes: [
      { method: 'GET', path: '/status', handle: () => ({ body: JSON.stringify(report()) }) },
      edgesRoute((namespace) => core.look(namespace)),
    ],
    log,
  })
  log.info('started', {
    'service.version': release,
    'server.port': core.server.port,
    'hauberk.admin_port': admin.port,
    'hauberk.trust_domain': trustDomain,
  })

  await aborted(signal)
  const drain = createDrain({ clock, log, deadlineMs: 5_000 })
  drain.step('mesh server', () => core.closeServer())
  drain.step('loop', async () => {
    work.abort(new Error('the operator ends'))
    statusFile?.close()
    await Promise.all([reading, rotating, core.close()])
  })
  drain.step('audit log', () => audit.close())
  drain.step('admin', () => admin.close())
  drain.step('log', () => sink.flush())
  return (await drain.drain('asked to end')).clean ? 0 : 1
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
