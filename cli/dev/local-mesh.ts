import { readdir, readFile, rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describeIssue, type Issue } from '../../model/result.ts'
import { spiffeIdFor } from '../../model/spiffe-id.ts'
import type { Snapshot } from '../../operator/store/snapshot.ts'
import { OPERATOR_SERVICE_ACCOUNT, SYSTEM_NAMESPACE } from '../../operator/translate/gateways.ts'
import { meshSettingsOf } from '../../operator/translate/mesh-settings.ts'
import { sleep, systemClock } from '../../runtime/clock.ts'
import type { LogLevel } from '../../runtime/log.ts'
import type { DecisionLogLevel } from '../../sidecar/observe/decision-log.ts'
import type { Decision } from './decision.ts'
import { childrenOf, describeMesh, listenersOf, type PublishedListener, publishedPort } from './describe-mesh.ts'
import { createFleet } from './fleet.ts'
import { followFiles } from './follow-files.ts'
import { createLogs } from './log-file.ts'
import type { MeshContext } from './mesh-context.ts'
import type { MeshEvent } from './mesh-event.ts'
import { createMeshFileWriter, endLeftovers, meshFilePath } from './mesh-file.ts'
import { type OperatorPart, startOperatorPart } from './operator-part.ts'
import { inheritedEnvironment } from './options.ts'
import type { Part } from './part.ts'
import { createPatience, NotReadyError } from './patience.ts'
import { type MeshPlan, proxyUrl } from './plan.ts'
import { createPlanner } from './planner.ts'
import { openPortBook } from './ports.ts'
import { isRunning, markOf } from './process-tree.ts'
import type { ProxyPart } from './proxy-part.ts'
import { startReaper } from './reaper.ts'
import { openResources } from './resources.ts'
import { whenSettled } from './settled.ts'
import { createStep } from './start-step.ts'
import { openState, type StateDirectory } from './state.ts'
import { watchStatus } from './status-watch.ts'
import { describeFailing, describeUnready } from './unready.ts'
import { createWarmUp } from './warm-up.ts'

export interface LocalMeshOptions {
  /** Files, directories and globs of Kubernetes YAML. */
  readonly files: readonly string[]
  /** Keys, secrets, last good configs, logs; made if need be. One mesh at a time has it. */
  readonly stateDirectory: string
  /** The port of this machine for 443 of the Gateway; 0 is any free one. Default 8443. */
  readonly httpsPort?: number
  /** The same for 80. Default 8080. */
  readonly httpPort?: number
  /** Which decisions are told and logged. Default `all`. */
  readonly decisionLog?: DecisionLogLevel
  /** Milliseconds that certificates live, instead of what MeshConfig says; at least 30 s. */
  readonly leafLifetimeMs?: number
  /** False: apps that are commands are not started. Default true. */
  readonly apps?: boolean
  /** Whether workloads that come, go or change in the files are started and stopped. Policies always take effect. Default false. */
  readonly watch?: boolean
  /** Default `info`. */
  readonly logLevel?: LogLevel
  /** The argv that stands for `hauberk`. Default: this Node and the program beside this file. */
  readonly program?: readonly [string, ...string[]]
  /** Milliseconds until everything must be ready. Default 60,000. */
  readonly readyMs?: number
  /** Gives up starting. */
  readonly signal?: AbortSignal
  readonly onEvent?: (event: MeshEvent) => void
  /** Every decision, from every sidecar and gateway. */
  readonly onDecision?: (decision: Decision) => void
}

/** A running mesh. */
export interface LocalMesh {
  readonly stateDirectory: string
  /** The port of this machine for 443 of the first Gateway; 0 when there is none. */
  readonly httpsPort: number
  /** The same for 80. */
  readonly httpPort: number
  /** The roots, PEM. */
  readonly caFile: string
  readonly listeners: readonly PublishedListener[]
  /** What there was to say of the files at the start; none is an error that keeps a mesh from starting. */
  readonly issues: readonly Issue[]
  snapshot(): Snapshot
  /** Process ids by name: `operator`, `sidecar shop/orders`, `app shop/orders`, `gateway NAME`, `reaper`. */
  children(): ReadonlyMap<string, number>
  /** The value of a key of a Secret. */
  secret(namespace: string, name: string, key: string): Promise<string>
  /** The admin port of a sidecar or gateway (`namespace/name`), or of the `operator`. */
  adminOf(workload: string): Promise<{ readonly url: string; readonly token: string }>
  /** The forward proxy of a workload, with its credential. */
  outboundProxyOf(workload: string): URL
  /** The bound ports of a workload's sidecar, by container port. */
  inboundOf(workload: string): ReadonlyMap<number, number>
  /** The local ports of a workload's sidecar for TCP Services, by `namespace/service:port`. */
  tcpOf(workload: string): ReadonlyMap<string, number>
  /** Whether everything is ready at the moment. */
  isReady(): boolean
  onDecision(listener: (decision: Decision) => void): () => void
  /** Ends a process by SIGKILL, as an accident would. Resolves when it is gone; it is started again. */
  kill(name: string): Promise<void>
  /** Drains and ends everything, in order. */
  stop(): Promise<void>
  /** Ends everything at once. */
  abort(): void
}

/** The files have mistakes. */
export class MeshFilesError extends Error {
  override readonly name = 'MeshFilesError'
  readonly issues: readonly Issue[]

  constructor(issues: readonly Issue[]) {
    super(issues.map(describeIssue).join('\n'))
    this.issues = issues
  }
}

/** A part that ended this often before it was ever ready is not going to be. */
const MAX_FAILED_STARTS = 5

const POLL_MS = 40

/**
 * Starts a whole mesh on this machine: CA and operator, a sidecar and an app for each Deployment, a gateway for each
 * Gateway, as processes of their own on loopback. Resolves when requests are answered.
 *
 * Rejects with MeshFilesError, StateDirectoryError, PortTakenError, NotReadyError or what the file system says; then
 * nothing runs any more.
 */
export async function startLocalMesh(options: LocalMeshOptions): Promise<LocalMesh> {
  const undo: (() => unknown)[] = []
  try {
    return await start(options, undo)
  } catch (error) {
    for (const step of undo.reverse()) await step()
    throw error
  }
}

async function start(options: LocalMeshOptions, undo: (() => unknown)[]): Promise<LocalMesh> {
  const { files, decisionLog = 'all', apps = true, watch = false, logLevel = 'info', readyMs = 60_000 } = options
  const clock = systemClock
  const emit = (event: MeshEvent) => options.onEvent?.(event)
  let parts = (): readonly Part[] => []
  const patience = createPatience(readyMs, options.signal, () => describeUnready(parts(), readyMs))
  undo.push(patience.end)
  const step = createStep(emit, patience, clock)

  const resources = await step(
    'resources',
    async () => {
      const opened = await openResources(files)
      undo.push(() => opened.close())
      throwIfBroken(opened.issues())
      return opened
    },
    (opened) => `resources (${opened.count()})`,
  )
  const state = await openState(options.stateDirectory)
  undo.push(() => state.release())
  await endLeftovers(state)
  const book = await openPortBook(state.at('ports.json'))
  undo.push(() => book.close())
  const published = { https: options.httpsPort ?? 8443, http: options.httpPort ?? 8080 }
  const planner = await createPlanner({ resources, state, book, published })
  const first = await step(
    'secrets and ports',
    () => planner.plan(),
    ({ secretsMade }) => (secretsMade === 0 ? 'secrets and ports' : `secrets (${secretsMade} made) and ports`),
  )
  throwIfBroken(first.issues)
  await forgetWorkloads(state, first.plan)

  const { trustDomain } = meshSettingsOf(resources.snapshot())
  const operatorId = spiffeIdFor(trustDomain, SYSTEM_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
  if (!operatorId.ok) throw new MeshFilesError(operatorId.issues)
  const operatorPort = await book.take('operator')
  const operatorAdminPort = await book.take('operator admin')
  await book.save()

  const program = options.program ?? ownProgram()
  const environment = { ...inheritedEnvironment(), NODE_COMPILE_CACHE: state.at('cache') }
  const operatorReady = Promise.withResolvers<void>()
  const warmUp = createWarmUp(environment.NODE_COMPILE_CACHE, operatorReady.promise, clock)
  const reaper = startReaper(program, environment)
  undo.push(() => reaper.close())
  const logs = createLogs(state, clock)
  undo.push(() => logs.close())
  const listeners = new Set<(decision: Decision) => void>()
  if (options.onDecision !== undefined) listeners.add(options.onDecision)
  const endings = new Map<string, number>()
  const context: MeshContext = {
    state,
    clock,
    random: Math.random,
    program,
    environment,
    warmUp,
    log: logs.open,
    onDecision(decision, line) {
      logs.open('decisions').write(line)
      for (const listener of listeners) listener(decision)
    },
    onStarted(name, { pid, exited }, endSignal) {
      reaper.watch(pid, endSignal)
      void exited.then(() => reaper.forget(pid))
      meshFile.touch()
      if (endings.has(name)) emit({ type: 'back', name })
    },
    onEnded(name, how, waitMs) {
      const times = (endings.get(name) ?? 0) + 1
      endings.set(name, times)
      emit({ type: 'ended', name, how, waitMs })
      if (times >= MAX_FAILED_STARTS) patience.lose(new NotReadyError(describeFailing(name, how, parts())))
    },
  }
  const caFile = state.at('ca.crt')
  const fleet = createFleet(
    {
      operator: { host: '127.0.0.1', port: operatorPort, spiffeId: operatorId.value },
      postgresHome: planner.postgresHome,
      decisionLog,
      logLevel,
      startsApps: apps,
    },
    context,
  )
  let operator: OperatorPart | undefined
  parts = () =>
    [...(operator === undefined ? [] : [operator]), ...fleet.gateways, ...fleet.sidecars, ...fleet.apps].map(
      ({ part }) => part,
    )
  const meshFile = createMeshFileWriter(state, clock, () =>
    operator === undefined ? undefined : describeMesh({ files, state, operator, fleet, parts: parts(), reaper }),
  )
  undo.push(async () => {
    await meshFile.close()
    await rm(meshFilePath(state.path), { force: true })
  })
  const killAll = () => {
    operator?.part.kill()
    fleet.kill()
  }
  const stopAll = async () => {
    await fleet.stopServing()
    await operator?.part.stop()
    await fleet.stopDatabases()
  }
  undo.push(async () => {
    killAll()
    await stopAll()
  })

  operator = await startOperatorPart(
    {
      files: [...files, state.at('run', 'pods')],
      port: operatorPort,
      adminPort: operatorAdminPort,
      ...(options.leafLifetimeMs !== undefined && { leafLifetimeMs: options.leafLifetimeMs }),
      logLevel,
    },
    context,
  )
  const running = operator
  running.part.ready.then(operatorReady.resolve, operatorReady.resolve)
  const stepFor = async (word: string, some: readonly { readonly part: Part }[]) => {
    if (some.length === 0) return
    const name = some.length === 1 ? word : `${some.length} ${word}s`
    await step(name, () => Promise.all(some.map(({ part }) => part.ready)))
  }
  await Promise.all([
    step('certificate authority and operator', () => running.part.ready),
    (async () => {
      // A start that is given up in between must find everything that was started.
      const applying = fleet.apply(first.plan)
      undo.push(() => applying.catch(() => {}))
      await applying
      const waited = fleet.apps.filter(({ plan }) => apps || plan.app.kind === 'postgres')
      await Promise.all([
        stepFor('sidecar', fleet.sidecars),
        stepFor('gateway', fleet.gateways),
        stepFor('app', waited),
      ])
    })(),
  ])
  await step('endpoints and keys everywhere', () =>
    whenSettled({ resources, fleet, operator: running }, clock, patience.signal),
  )
  patience.end()
  await meshFile.write()

  const told = [...first.issues, ...first.remarks]
  const statusWatch = watchStatus(running.statusFile, told, (changes) => emit({ type: 'issues', ...changes }))
  const follower = followFiles({
    resources,
    planner,
    fleet,
    first,
    watch,
    emit,
    clock,
    onApplied: () => meshFile.touch(),
  })
  let stopping: Promise<void> | undefined

  const proxyOf = (workload: string): ProxyPart => {
    const found = [...fleet.sidecars, ...fleet.gateways].find(({ plan }) => plan.id === workload)
    if (found === undefined) throw new Error(`there is no sidecar or gateway of ${workload}`)
    return found
  }
  return {
    stateDirectory: state.path,
    httpsPort: publishedPort(fleet, 443),
    httpPort: publishedPort(fleet, 80),
    caFile,
    get listeners() {
      return listenersOf(fleet)
    },
    issues: told,
    snapshot: () => resources.snapshot(),
    children: () => childrenOf(parts(), reaper),
    secret: (namespace, name, key) => readFile(state.at('secrets', namespace, name, key), 'utf8'),
    async adminOf(workload) {
      const { port, tokenFile } = workload === 'operator' ? running.admin : proxyOf(workload).admin
      return { url: `http://127.0.0.1:${port}`, token: (await readFile(tokenFile, 'utf8')).trim() }
    },
    outboundProxyOf(workload) {
      const { proxy } = proxyOf(workload).plan.placement
      if (proxy === undefined) throw new Error(`${workload} has no way out`)
      return new URL(proxyUrl(proxy))
    },
    inboundOf: (workload) =>
      new Map(proxyOf(workload).plan.placement.inbound.map(({ containerPort, bind }) => [containerPort, bind.port])),
    tcpOf: (workload) =>
      new Map(proxyOf(workload).plan.placement.tcp.map(({ upstream, bind }) => [upstream, bind.port])),
    isReady: () => parts().every(({ isReady }) => isReady),
    onDecision(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    async kill(name) {
      const pid = childrenOf(parts(), reaper).get(name)
      if (pid === undefined) throw new Error(`${name} does not run`)
      const mark = markOf(pid)
      process.kill(pid, 'SIGKILL')
      while (isRunning(mark)) await sleep(clock, POLL_MS)
    },
    stop() {
      stopping ??= (async () => {
        statusWatch.close()
        await follower.close()
        await stopAll()
        await reaper.close()
        await resources.close()
        await meshFile.close()
        await rm(meshFilePath(state.path), { force: true })
        await book.close()
        await logs.close()
        await state.release()
      })()
      return stopping
    },
    abort: killAll,
  }
}

function throwIfBroken(issues: readonly Issue[]): void {
  const errors = issues.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) throw new MeshFilesError(errors)
}

/** Workloads of an earlier run that the files no longer name: nobody uses their keys any more. */
async function forgetWorkloads(state: StateDirectory, { workloads, gateways }: MeshPlan): Promise<void> {
  const wanted = new Set([...workloads, ...gateways].map(({ name }) => name))
  for (const name of await readdir(state.at('workloads'))) {
    if (!wanted.has(name)) await rm(state.at('workloads', name), { recursive: true, force: true })
  }
  for (const file of await readdir(state.at('run', 'pods'))) await rm(state.at('run', 'pods', file), { force: true })
}

/** The program beside this file: the default of whoever is not the program itself. */
function ownProgram(): readonly [string, ...string[]] {
  return [process.execPath, fileURLToPath(new URL('../main.ts', import.meta.url))]
}
