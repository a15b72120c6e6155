import type { WorkloadId } from '../../model/workload-id.ts'
import type { AdminPort } from './ask-admin.ts'
import type { Fleet } from './fleet.ts'
import type { MeshFile } from './mesh-file.ts'
import type { OperatorPart } from './operator-part.ts'
import type { Part } from './part.ts'
import type { GatewayListenerPlan } from './plan.ts'
import { markOf } from './process-tree.ts'
import type { Reaper } from './reaper.ts'
import type { StateDirectory } from './state.ts'

/** A listener of a Gateway, and the port of this machine that stands for its own. */
export interface PublishedListener extends GatewayListenerPlan {
  readonly gateway: WorkloadId
}

/** The listeners of every gateway that runs. */
export function listenersOf(fleet: Fleet): readonly PublishedListener[] {
  return fleet
    .gatewayPlans()
    .flatMap(({ id, listeners }) => listeners.map((listener) => ({ ...listener, gateway: id })))
}

/** Where a port of a Gateway is published; the first Gateway that has it counts. 0: none has. */
export function publishedPort(fleet: Fleet, port: number): number {
  return listenersOf(fleet).find((listener) => listener.port === port)?.localPort ?? 0
}

/** Process ids by name. */
export function childrenOf(parts: readonly Part[], reaper: Reaper): ReadonlyMap<string, number> {
  const found = parts.flatMap(({ name, pid }) => (pid === undefined ? [] : [[name, pid] as const]))
  return new Map([...found, ...(reaper.pid === undefined ? [] : [['reaper', reaper.pid] as const])])
}

/** What other verbs are told of the mesh that runs. */
export function describeMesh(mesh: {
  readonly files: readonly string[]
  readonly state: StateDirectory
  readonly operator: OperatorPart
  readonly fleet: Fleet
  readonly parts: readonly Part[]
  readonly reaper: Reaper
}): MeshFile {
  const { files, state, operator, fleet, parts, reaper } = mesh
  const addressOf = ({ port, tokenFile }: AdminPort) => ({ url: `http://127.0.0.1:${port}`, tokenFile })
  const children = [...childrenOf(parts, reaper)].map(([name, pid]) => [name, markOf(pid)] as const)
  return {
    process: markOf(process.pid),
    files,
    trustAnchorsFile: state.at('ca.crt'),
    operator: { admin: addressOf(operator.admin), statusFile: operator.statusFile },
    proxies: [...fleet.sidecars, ...fleet.gateways].map(({ plan, role, admin, optionsFile }) => ({
      workload: plan.id,
      role,
      pod: plan.pod,
      spiffeId: plan.spiffeId,
      admin: addressOf(admin),
      optionsFile,
    })),
    listeners: listenersOf(fleet).map(({ gateway, ...listener }) => ({ workload: gateway, ...listener })),
    children: Object.fromEntries(children),
  }
}
