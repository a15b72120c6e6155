import { join } from 'node:path'
import type { SpiffeId, TrustDomain } from '../../model/spiffe-id.ts'
import { startAdminServer } from '../../runtime/admin-server.ts'
import { sleep } from '../../runtime/clock.ts'
import { createDrain } from '../../runtime/drain.ts'
import { startAdmission } from '../admission/admission.ts'
import { createAdmittedUsers } from '../admission/admitted-users.ts'
import { policyReviewed } from '../admission/audit-events.ts'
import { startAudit } from '../audit/start-audit.ts'
import { type Core, operatorSpiffeId, startCore } from '../core.ts'
import { gatewayCounters } from '../gateways/counters.ts'
import { rootStep } from '../identity/audit-events.ts'
import { auditedAuthority } from '../identity/audited-authority.ts'
import { type Authority, openAuthority } from '../identity/authority.ts'
import { createCallBudget } from '../identity/call-budget.ts'
import { placeMember } from '../identity/rotation/members.ts'
import { createMeshRotation, wantedRootsOf } from '../identity/rotation/mesh-rotation.ts'
import { firstRoots } from '../identity/rotation/root-rotation.ts'
import type { RotationStore } from '../identity/rotation/rotation-store.ts'
import { createSecretRotationStore } from '../identity/rotation/secret-rotation-store.ts'
import { createSecretCaStore, secretCustomRoot } from '../identity/secret-ca-store.ts'
import { createTokenReviewAuthenticator } from '../identity/token-review-caller.ts'
import type { InjectorSettings } from '../inject/context.ts'
import { defaultSettings } from '../inject/default-settings.ts'
import { type KubernetesClient, openClient } from '../kubernetes/client.ts'
import { createEvents } from '../kubernetes/events.ts'
import { edgesRoute } from '../live/edges-route.ts'
import { REPLICA_PATH } from '../replicas/messages.ts'
import { type MetricsServer, startMetricsServer } from '../serve/metrics-server.ts'
import { startProbeServer } from '../serve/probe-server.ts'
import { statusMetrics } from '../status/kubernetes-status.ts'
import { type UnmeshedPod, unmeshedPods } from '../status/unmeshed-pods.ts'
import { type Store, whenSynced } from '../store/store.ts'
import { meshSettingsOf } from '../translate/mesh-settings.ts'
import { openAdminToken } from './admin-token.ts'
import { problemEvent, stepEvent } from './authority-events.ts'
import { clusterReport, type ReportedOperator } from './cluster-report.ts'
import { makeDefaultResources } from './default-resources.ts'
import { type Election, runElection } from './election.ts'
import { type LeaderWork, runLeaderWork } from './leader-work.ts'
import { metricsClientId } from './metrics-client.ts'
import { liveOperators, operatorMembers } from './operators.ts'
import type { ClusterOptions } from './options.ts'
import { createPersist } from './persist.ts'
import { type OperatorProcess, openProcess } from './process.ts'
import { createReplication } from './replication.ts'
import { readClusterResources } from './resources.ts'
import { countUnmeshed } from './unmeshed.ts'
import { whileHeld } from './while-held.ts'

/**
 * Runs an operator on a cluster until `signal` aborts. Resolves with the process's exit code.
 *
 * What the API server cannot do yet is waited for. Rejects for what can never work: a port that is taken, a CA that is not
 * ours.
 */
export async function runClusterOperator(
  options: ClusterOptions,
  release: string,
  signal: AbortSignal,
): Promise<number> {
  const parts = openProcess(options)
  try {
    return await run(parts, options, release, signal)
  } catch (err) {
    // It was told to end before it had begun.
    if (signal.aborted) return 0
    parts.log.error('the operator cannot run', { err })
    throw err
  } finally {
    await parts.flushLog()
  }
}

async function run(
  parts: OperatorProcess,
  options: ClusterOptions,
  release: string,
  signal: AbortSignal,
): Promise<number> {
  const { clock, random, log, metrics, reflectorMetrics, health, conditions } = parts
  const common = { clock, random, log, metrics }
  const { pod, ports } = options
  const listen = options.host === undefined ? {} : { host: options.host }
  const probes = await startProbeServer({ ...listen, port: ports.probes, health, log })
  const restart = new AbortController()
  const ending = AbortSignal.any([signal, restart.signal])
  /** Ends what goes on for a while after the operator was told to end. */
  const work = new AbortController()

  const client = await openClient({ config: options.client, userAgent: `hauberk-operator/${release}` })
  const persist = createPersist({ ...common, signal: ending })
  await makeDefaultResources(client, options.defaultResources, persist, log)
  const adminToken = await persist('the admin token', (until) => openAdminToken(client, { signal: until }))
  const component = 'hauberk.dev/operator'
  const events = createEvents({ ...common, client, component, instance: pod.name, signal: work.signal })
  const resources = readClusterResources({ ...common, client, reflectorMetrics, signal: work.signal })
  const { store, source } = resources
  source.onStanding(() => {
    const unread = source.standings().filter(({ standing }) => standing !== 'synced' && standing !== 'missing')
    if (!store.isSynced()) conditions.resources.fail(`not read yet: ${unread.map(({ kind }) => kind).join(', ')}`)
  })
  await unlessAborted(whenSynced(store), ending)
  conditions.resources.pass()

  const admitted = createAdmittedUsers()
  const audit = startAudit({
    ...common,
    store,
    file: options.auditDirectory && join(options.auditDirectory, `${pod.name}.log`),
    print: parts.print,
    name: pod.name,
    source: 'kubernetes',
    users: admitted,
  })
  const kept = createSecretRotationStore({ client })
  const authority = await persist('the certificate authority', () => openClusterAuthority(client, store, kept, parts))
  const { trustDomain } = authority
  const spiffeId = operatorSpiffeId(trustDomain)
  const ownAuthority = auditedAuthority(authority, audit)

  let core: Core | undefined
  let election: Election | undefined
  let leading: LeaderWork | undefined
  let metricsServer: MetricsServer | undefined
  const replication = createReplication({
    ...common,
    name: pod.name,
    release,
    spiffeId,
    authority,
    identity() {
      if (core === undefined) throw new Error('the operator has no certificate yet')
      return core.identity()
    },
  })
  const { own, everyone, others } = replication
  const rotation = createMeshRotation({
    authority,
    kept,
    store,
    translation: () => core?.operation.translation(),
    acknowledgements: everyone.acknowledgements,
    operators: () =>
      core === undefined
        ? []
        : [
            ...operatorMembers(pod.name, replication.self(), others.replicas(), store.snapshot()),
            ...(leading?.anchors() ?? [placeMember('the trust anchors', undefined)]),
            placeMember('the webhook configurations', admission.trustBundle().join('')),
          ],
    isLeader: () => election?.leads() === true,
    onStep(step) {
      events.record(stepEvent(step, store.snapshot()))
      audit.record(rootStep(step))
    },
    clock,
    log,
    metrics,
  })
  core = await startCore({
    store,
    authority,
    keyStore: createSecretCaStore({ client }),
    authenticator: createTokenReviewAuthenticator({
      client,
      trustDomain,
      pod: (namespace, name) => store.snapshot().get('Pod', namespace, name),
      budget: createCallBudget({
        clock,
        random,
        perSecond: () => MAX_CALLS_PER_SECOND / Math.max(MIN_SHARERS, liveOperators(store.snapshot())),
      }),
      clock,
      random,
      log,
    }),
    listen: { ...listen, port: ports.mesh, maxConnectionsOfAddress: MAX_CONNECTIONS_OF_POD },
    peers: new Map([[REPLICA_PATH, replication.server]]),
    own,
    everyone,
    onChange: () => leading?.touch(),
    onTranslation(translation) {
      rotation.record(translation)
      // Everything that was issued and opened is of the former one: it is begun anew, by a new process.
      if (meshSettingsOf(store.snapshot()).trustDomain !== trustDomain) restart.abort(new Error(RENAMED))
    },
    onIdentity(identity) {
      metricsServer?.renew(identity)
      replication.touch()
    },
    audit,
    clock,
    log,
    metrics,
  })
  const { operation, issuerKeys } = core
  conditions.meshServer.pass()
  everyone.acknowledgements.onChange(() => leading?.touch())
  authority.onChange(() => replication.touch())
  const rotating = rotation.run(work.signal)
  let told: string | undefined
  rotation.onChange(() => {
    leading?.touch()
    const { problem } = rotation.status()
    if (problem !== undefined && problem !== told && leading !== undefined) {
      events.record(problemEvent(problem, store.snapshot()))
    }
    told = problem
  })

  const metricsClient = options.metrics.client && metricsClientId(trustDomain, options.metrics.client)
  const injector = injectorSettings(options, trustDomain, metricsClient)
  const unmeshed = (): readonly UnmeshedPod[] => {
    const translation = operation.translation()
    return translation === undefined ? [] : unmeshedPods(translation, store.snapshot())
  }
  countUnmeshed(metrics, unmeshed)
  const admission = await persist('the webhooks', () =>
    startAdmission({
      ...common,
      client,
      authority: ownAuthority,
      snapshot: () => store.snapshot(),
      translation: () => operation.translation(),
      settings: injector,
      listen: { ...listen, port: ports.webhook },
      ...(options.webhookClients && { clientCertificates: options.webhookClients }),
      isLeading: () => election?.leads() === true,
      onPolicyReview(request, answer) {
        if (answer.allowed) admitted.note(request)
        audit.record(policyReviewed(request, answer))
      },
      onReady: () => conditions.webhooks.pass(),
    }),
  )

  const leaderParts = {
    ...common,
    store,
    source,
    core,
    authority: ownAuthority,
    rotation,
    events,
    gatewaySettings: injector,
    metricsClient,
    unmeshed,
    statusMetrics: statusMetrics(metrics),
    gatewayCounters: gatewayCounters(metrics),
    reflectorMetrics,
  }
  const candidacy = new AbortController()
  election = runElection({
    ...common,
    client,
    pod,
    address: { host: pod.ip, port: core.server.port },
    async lead(leadership) {
      replication.server.setLeading(true)
      try {
        const { signal: until } = leadership
        leading = runLeaderWork({ ...leaderParts, client: whileHeld(client, leadership), signal: until })
        rotation.touch()
        await leading.done
      } finally {
        leading = undefined
        replication.server.setLeading(false)
      }
    },
    onOther: (leader) => replication.tell(leader?.address),
    signal: candidacy.signal,
  })

  const report = () =>
    clusterReport({
      name: pod.name,
      release,
      operation,
      issuerKeys,
      acknowledgements: everyone.acknowledgements,
      certificateAuthority: rotation.status(),
      audit: audit.end(),
      leads: election?.leads() === true,
      leader: election?.leader(),
      replicas: others.replicas(),
      kinds: source.standings(),
      webhooksInPlace: admission.isInPlace(),
      unmeshed: unmeshed(),
      metrics: metricsServer && readingOf(metricsServer, metricsSince),
    })
  metricsServer = await startMetricsServer({
    ...listen,
    port: ports.metrics,
    allow: metricsClient === undefined ? [] : [metricsClient],
    plaintext: options.metrics.plaintext,
    identity: core.identity(),
    trustDomain,
    metrics,
    clock,
    log,
  })
  const metricsSince = clock.now()
  const admin = await startAdminServer({
    port: ports.admin,
    token: adminToken,
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
    'hauberk.webhook_port': admission.port,
    'hauberk.admin_port': admin.port,
    'hauberk.trust_domain': trustDomain,
  })

  await aborted(ending)
  const drain = createDrain({ clock, log })
  drain.step('readiness', () => {
    conditions.staying.fail('the operator was told to end')
    admission.retire()
  })
  drain.step('lease', async () => {
    candidacy.abort(new Error('the operator ends'))
    await election?.done
  })
  drain.step('delay', async (late) => {
    await sleep(clock, options.drainDelayMs, { signal: late }).catch(() => {})
  })
  drain.step('events', () => events.flush())
  drain.step('webhooks', () => admission.close())
  drain.step('mesh server', async () => {
    replication.close()
    await core.closeServer()
  })
  drain.step('loops', async () => {
    work.abort(new Error('the operator ends'))
    await Promise.all([resources.done, rotating, core.close()])
  })
  drain.step('audit log', () => audit.close())
  drain.step('metrics', () => metricsServer?.close())
  drain.step('admin', () => admin.close())
  drain.step('probes', () => probes.close())
  drain.step('client', () => client.close())
  return (await drain.drain(restart.signal.aborted ? RENAMED : 'told to end')).clean ? 0 : 1
}

/**
 * Of one pod at the mesh port: a sidecar has one session, and a gateway asks for a certificate of each of its listeners
 * besides. What an operator can have in all, 20,000 sessions, no pod takes alone.
 */
const MAX_CONNECTIONS_OF_POD = 128

/**
 * What all operators together may ask the API server for who asks for certificates (T04), each an equal share. One that has
 * just come is not seen by the others at once, nor are they by it: none takes more than half.
 */
const MAX_CALLS_PER_SECOND = 50
const MIN_SHARERS = 2

const RENAMED = 'the mesh has another trust domain'

/** The CA in Secrets of our namespace, with the roots that the rotation has come to. */
function openClusterAuthority(
  client: KubernetesClient,
  store: Store,
  kept: RotationStore,
  { clock, log }: OperatorProcess,
): Promise<Authority> {
  return openAuthority({
    store: createSecretCaStore({ client }),
    customRoot: secretCustomRoot({ client }),
    trustDomain: meshSettingsOf(store.snapshot()).trustDomain,
    clock,
    log,
    leafLifetimeMs: () => meshSettingsOf(store.snapshot()).certificateLifetimeMs,
    first: (roots) => firstRoots(roots, kept, wantedRootsOf(store.snapshot())),
  })
}

function injectorSettings(
  { sidecar, metrics: { plaintext } }: ClusterOptions,
  trustDomain: TrustDomain,
  metricsClient: SpiffeId | undefined,
): InjectorSettings {
  const allow = metricsClient === undefined ? [] : [metricsClient]
  return { ...defaultSettings({ image: sidecar.image, trustDomain }), ...sidecar, metrics: { allow, plaintext } }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const ended = aborted(signal).then((): never => {
    throw signal.reason
  })
  return Promise.race([promise, ended])
}

function readingOf({ readAt }: MetricsServer, since: number): NonNullable<ReportedOperator['metrics']> {
  const last = readAt()
  return { since, ...(last !== undefined && { readAt: last }) }
}
