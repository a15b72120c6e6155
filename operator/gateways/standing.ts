import type { GatewayAddress, ObjectsStanding } from './gateway-status.ts'
import type { ManagedObject, PodStanding } from './mirror.ts'
import type { GatewayObject } from './objects.ts'

/** How the objects of a Gateway stand: of those that are wanted (none where it is not accepted), what is there, and what its pods lack. */
export function objectsStanding(
  wanted: readonly GatewayObject[],
  there: readonly ManagedObject[],
  pods: readonly PodStanding[],
): ObjectsStanding {
  const isThere = (plural: string) => there.some((each) => each.plural === plural)
  const made = wanted.length === 0 ? isThere('deployments') : wanted.every(({ plural }) => isThere(plural))
  const service = there.find(({ plural }) => plural === 'services')?.service
  const trouble = pods.find((pod) => !pod.ready && pod.trouble !== undefined)
  return {
    made,
    addresses: addressesOf(there, pods),
    ...(service && { serviceType: service.type }),
    ...(trouble?.trouble && {
      problem: {
        reason: 'NoResources',
        message: `Pod ${trouble.name}: ${trouble.trouble.reason}: ${trouble.trouble.message}`,
      },
    }),
  }
}

/**
 * Where clients reach the Gateway: what the load balancer gave; the nodes that pods run on, which are those that answer
 * under each externalTrafficPolicy; or the addresses within the cluster.
 */
function addressesOf(there: readonly ManagedObject[], pods: readonly PodStanding[]): readonly GatewayAddress[] {
  const service = there.find(({ plural }) => plural === 'services')?.service
  switch (service?.type) {
    case 'LoadBalancer':
      return service.ingress.flatMap(({ ip, hostname }): readonly GatewayAddress[] => [
        ...(ip === undefined ? [] : [{ type: 'IPAddress', value: ip } as const]),
        ...(hostname === undefined ? [] : [{ type: 'Hostname', value: hostname } as const]),
      ])
    case 'NodePort':
      return ipAddresses(pods.filter(({ ready }) => ready).flatMap(({ hostIps }) => hostIps))
    case 'ClusterIP':
      return ipAddresses(service.clusterIps)
    default:
      return []
  }
}

function ipAddresses(values: readonly string[]): readonly GatewayAddress[] {
  return [...new Set(values)].sort().map((value) => ({ type: 'IPAddress', value }))
}
