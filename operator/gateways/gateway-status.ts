import type { ResourceStatus } from '../status/conditions.ts'
import type { ConditionFound, ListenerReport, ResourceReport } from '../translate/report.ts'

/** How the objects of a Gateway stand. */
export interface ObjectsStanding {
  /** Whether all of them are there, as they should be. */
  readonly made: boolean
  /** What keeps them from it, or its pods from serving. */
  readonly problem?: { readonly reason: string; readonly message: string }
  /** The type of the Service. */
  readonly serviceType?: string
  readonly addresses: readonly GatewayAddress[]
}

/** `GatewayStatusAddress`. */
export interface GatewayAddress {
  readonly type: 'IPAddress' | 'Hostname'
  readonly value: string
}

/** A condition without the time of its last transition. */
export interface StatusCondition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  readonly observedGeneration: number
}

/** `status` of a gateway.networking.k8s.io Gateway, without the times of transitions. */
export interface GatewayStatus {
  readonly addresses: readonly GatewayAddress[]
  readonly conditions: readonly StatusCondition[]
  readonly listeners: readonly ListenerStatus[]
}

export interface ListenerStatus {
  readonly name: string
  readonly supportedKinds: readonly { readonly group: string; readonly kind: string }[]
  readonly attachedRoutes: number
  readonly conditions: readonly StatusCondition[]
}

/** What the API server takes (`Gateway.status.addresses`). */
const MAX_ADDRESSES = 16

/**
 * The status of a Gateway: what translation found, what was made for it, and what its pods acknowledged. Programmed is said
 * when all three are so.
 */
export function gatewayStatus(
  report: ResourceReport,
  { workloads }: Pick<ResourceStatus, 'workloads'>,
  objects: ObjectsStanding,
): GatewayStatus {
  const observedGeneration = report.generation
  const { accepted, resolvedRefs, listeners = [] } = report
  const running = runningOf(report, workloads, objects)
  const programmed =
    accepted?.status === 'False'
      ? { status: 'False', reason: 'Invalid', message: 'It is not accepted.' }
      : (report.programmed ?? running)
  const condition = (type: string, found: ConditionFound | undefined): readonly StatusCondition[] =>
    found === undefined ? [] : [{ type, ...found, observedGeneration }]
  return {
    addresses: objects.addresses.slice(0, MAX_ADDRESSES),
    conditions: [
      ...condition('Accepted', accepted),
      ...condition('ResolvedRefs', resolvedRefs),
      ...condition('Programmed', programmed as ConditionFound),
    ],
    listeners: listeners.map((listener) => listenerStatus(listener, running, observedGeneration)),
  }
}

/** Whether what is asked of the gateway's pods is what they do. */
function runningOf(
  { accepted }: ResourceReport,
  workloads: ResourceStatus['workloads'],
  { made, problem, addresses, serviceType }: ObjectsStanding,
): ConditionFound {
  const pending = (reason: string, message: string): ConditionFound => ({ status: 'False', reason, message })
  const { selected = 0, acknowledged = 0, rejected = 0 } = workloads ?? {}
  const isServed = selected > 0 && acknowledged === selected
  if (accepted?.status === 'False' && !made) return pending('Pending', 'Nothing is made for what is not accepted.')
  if (problem !== undefined && !(made && isServed)) return pending(problem.reason, problem.message)
  if (!made) return pending('Pending', 'Its pods and its Service are being made.')
  if (rejected > 0) {
    const message = `${rejected} of ${selected} pods refused the configuration and obey the one before.`
    return pending('RejectedBySidecar', message)
  }
  if (!isServed) return pending('Pending', `${acknowledged} of ${selected} pods have acknowledged it.`)
  if (addresses.length === 0) return pending('AddressNotAssigned', noAddress(serviceType))
  return { status: 'True', reason: 'Programmed', message: `All ${selected} pods serve it.` }
}

function noAddress(serviceType: string | undefined): string {
  if (serviceType !== 'LoadBalancer') return 'Its Service has no address yet.'
  return 'The load balancer has given its Service no address yet. Where the cluster has none, let GatewayParameters say service.type NodePort or ClusterIP.'
}

function listenerStatus(
  { name, attachedRoutes, accepted, resolvedRefs, conflicted, programmed, kinds, overlaps }: ListenerReport,
  running: ConditionFound,
  observedGeneration: number,
): ListenerStatus {
  const condition = (type: string, found: ConditionFound): StatusCondition => ({ type, ...found, observedGeneration })
  return {
    name,
    supportedKinds: kinds.map((kind) => ({ group: 'gateway.networking.k8s.io', kind })),
    attachedRoutes,
    conditions: [
      condition('Accepted', accepted),
      condition('ResolvedRefs', resolvedRefs),
      condition('Conflicted', conflicted),
      condition('Programmed', programmed ?? running),
      // Of those that are only there when they hold.
      ...(overlaps.length === 0
        ? []
        : [
            condition('OverlappingTLSConfig', {
              status: 'True',
              reason: 'OverlappingHostnames',
              message: `Some hosts are of ${overlaps.join(', ')} too; a connection is only used for the host that it was opened for.`,
            }),
          ]),
    ],
  }
}
