import { rm } from 'node:fs/promises'
import { canonicalJson } from '../../contract/codec.ts'
import type { Resource } from '../../model/resource.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import type { LogLevel } from '../../runtime/log.ts'
import type { DecisionLogLevel } from '../../sidecar/observe/decision-log.ts'
import type { SidecarOptions } from '../../sidecar/options.ts'
import { type AppPart, startAppPart } from './app-part.ts'
import type { MeshContext } from './mesh-context.ts'
import type { Part } from './part.ts'
import type { GatewayPlan, MeshPlan, WorkloadPlan } from './plan.ts'
import { createPodFile, type PodFile } from './pod-file.ts'
import type { PostgresHome } from './postgres-home.ts'
import { type ProxyPart, startProxyPart } from './proxy-part.ts'

/** Everything that runs by a plan: sidecars, gateways and apps. */
export interface Fleet {
  readonly sidecars: readonly ProxyPart[]
  readonly gateways: readonly ProxyPart[]
  readonly apps: readonly AppPart[]
  gatewayPlans(): readonly GatewayPlan[]
  /** The pods, as the operator has been told of them. */
  pods(): readonly Resource[]
  /** Makes what runs be what the plan says: starts, stops, and starts anew what runs otherwise. One call at a time. */
  apply(plan: MeshPlan): Promise<FleetChanges>
  /** Ends all but the databases in the order in which nobody misses anybody: gateways, apps, sidecars. */
  stopServing(): Promise<void>
  stopDatabases(): Promise<void>
  /** Ends everything at once; the stops still say when it is gone. */
  kill(): void
}

/** What a new plan came to, by workload. */
export interface FleetChanges {
  readonly started: readonly string[]
  readonly restarted: readonly string[]
  readonly stopped: readonly string[]
}

export interface FleetOptions {
  readonly operator: SidecarOptions['operator']
  readonly postgresHome: PostgresHome
  readonly decisionLog: DecisionLogLevel
  readonly logLevel: LogLevel
  /** Whether apps that are commands are started. */
  readonly startsApps: boolean
}

interface RunningWorkload {
  plan: WorkloadPlan
  sidecar: ProxyPart
  app: AppPart
  readonly pod: PodFile
}

export function createFleet(options: FleetOptions, context: MeshContext): Fleet {
  const { operator, postgresHome, decisionLog, logLevel, startsApps } = options
  const { state, clock } = context
  const workloads = new Map<WorkloadId, RunningWorkload>()
  const gateways = new Map<WorkloadId, { plan: GatewayPlan; part: ProxyPart }>()

  const startSidecar = (plan: WorkloadPlan, pod: PodFile) =>
    startProxyPart(
      {
        plan,
        role: 'sidecar',
        operator,
        ...(startsApps || plan.app.kind === 'postgres' ? { appPidFile: pidFileOf(plan) } : {}),
        ...(plan.keystoreDirectory !== undefined && { keystoreDirectory: plan.keystoreDirectory }),
        decisionLog,
        logLevel,
        onReadiness: (isReady) => pod.set('sidecar', isReady),
      },
      context,
    )
  const startApp = (plan: WorkloadPlan, pod: PodFile) =>
    startAppPart(
      {
        plan,
        postgresHome,
        pidFile: pidFileOf(plan),
        isStarted: startsApps,
        onReadiness: (isReady) => pod.set('app', isReady),
      },
      context,
    )
  const pidFileOf = (plan: WorkloadPlan) => state.at('workloads', plan.name, 'app.pid')

  const startWorkload = async (plan: WorkloadPlan): Promise<void> => {
    const pod = await createPodFile(plan, state.at('run', 'pods', `${plan.name}.yaml`), clock)
    const [sidecar, app] = await Promise.all([startSidecar(plan, pod), startApp(plan, pod)])
    workloads.set(plan.id, { plan, sidecar, app, pod })
  }
  const stopWorkload = async (id: WorkloadId, { plan, sidecar, app, pod }: RunningWorkload): Promise<void> => {
    workloads.delete(id)
    await pod.remove()
    await app.part.stop()
    await sidecar.part.stop()
    await rm(state.at('workloads', plan.name), { recursive: true, force: true })
  }
  /** True when anything had to be started anew. */
  const updateWorkload = async (running: RunningWorkload, plan: WorkloadPlan): Promise<boolean> => {
    const isSameProxy = isSame(proxyParts(running.plan), proxyParts(plan))
    const isSameApp = isSame([running.plan.app, running.plan.mounts], [plan.app, plan.mounts])
    running.plan = plan
    await running.pod.update(plan)
    if (!isSameProxy) {
      await running.sidecar.part.stop()
      running.sidecar = await startSidecar(plan, running.pod)
    }
    if (!isSameApp) {
      await running.app.part.stop()
      running.app = await startApp(plan, running.pod)
    }
    return !isSameProxy || !isSameApp
  }
  const startGateway = async (plan: GatewayPlan): Promise<void> => {
    const part = await startProxyPart({ plan, role: 'gateway', operator, decisionLog, logLevel }, context)
    gateways.set(plan.id, { plan, part })
  }

  return {
    get sidecars() {
      return [...workloads.values()].map(({ sidecar }) => sidecar)
    },
    get gateways() {
      return [...gateways.values()].map(({ part }) => part)
    },
    get apps() {
      return [...workloads.values()].map(({ app }) => app)
    },
    gatewayPlans: () => [...gateways.values()].map(({ plan }) => plan),
    pods: () => [...workloads.values()].map(({ pod }) => pod.resource()),
    async apply(plan) {
      const started: string[] = []
      const restarted: string[] = []
      const stopped: string[] = []
      const wanted = new Set([...plan.workloads, ...plan.gateways].map(({ id }) => id))
      const work: Promise<void>[] = []
      for (const [id, running] of [...workloads]) {
        if (wanted.has(id)) continue
        stopped.push(id)
        work.push(stopWorkload(id, running))
      }
      for (const [id, { part }] of [...gateways]) {
        if (wanted.has(id)) continue
        stopped.push(id)
        gateways.delete(id)
        work.push(part.part.stop())
      }
      for (const each of plan.workloads) {
        const running = workloads.get(each.id)
        if (running === undefined) {
          started.push(each.id)
          work.push(startWorkload(each))
        } else {
          work.push(
            updateWorkload(running, each).then((isAnew) => {
              if (isAnew) restarted.push(each.id)
            }),
          )
        }
      }
      for (const each of plan.gateways) {
        const running = gateways.get(each.id)
        if (running !== undefined && isSame(proxyParts(running.plan), proxyParts(each))) continue
        if (running === undefined) started.push(each.id)
        else restarted.push(each.id)
        work.push((running?.part.part.stop() ?? Promise.resolve()).then(() => startGateway(each)))
      }
      await Promise.all(work)
      return { started, restarted, stopped }
    },
    async stopServing() {
      const running = [...workloads.values()]
      for (const { pod } of running) pod.close()
      await stopAll([...gateways.values()].map(({ part }) => part.part))
      await stopAll(running.filter(({ plan }) => plan.app.kind === 'command').map(({ app }) => app.part))
      await stopAll(running.map(({ sidecar }) => sidecar.part))
    },
    kill() {
      for (const { part } of gateways.values()) part.part.kill()
      for (const { app, sidecar } of workloads.values()) {
        app.part.kill()
        sidecar.part.kill()
      }
    },
    stopDatabases: () =>
      stopAll([...workloads.values()].filter(({ plan }) => plan.app.kind === 'postgres').map(({ app }) => app.part)),
  }
}

async function stopAll(parts: readonly Part[]): Promise<void> {
  await Promise.all(parts.map((part) => part.stop()))
}

/** What a sidecar is told at its start and cannot be told later. */
function proxyParts(plan: WorkloadPlan | GatewayPlan) {
  const { id, pod, spiffeId, adminPort, placement } = plan
  const keystoreDirectory = 'keystoreDirectory' in plan ? plan.keystoreDirectory : undefined
  return { id, pod, spiffeId, adminPort, placement, ...(keystoreDirectory !== undefined && { keystoreDirectory }) }
}

function isSame(a: unknown, b: unknown): boolean {
  return canonicalJson(a) === canonicalJson(b)
}
