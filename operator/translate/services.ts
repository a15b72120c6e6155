import type { Endpoint } from '../../contract/endpoints.ts'
import type { UpstreamTraffic } from '../../contract/traffic.ts'
import type { Resource } from '../../model/resource.ts'
import { type Issue, issue } from '../../model/result.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import { clusterAddresses, isHeadless, readService, type ServicePort } from '../resources/service.ts'
import { protocolOf, type Spoken } from './protocol.ts'
import type { ContainerPort, Workload, WorkloadPod } from './workloads.ts'

/** A Service as its callers see it. Says nothing of its pods' addresses, which change most. */
export interface ServiceFacts {
  readonly namespace: string
  readonly name: string
  /** Its own; none where it is headless. */
  readonly addresses: readonly string[]
  /** Its name leads to its pods, each by its own address. */
  readonly isHeadless: boolean
  readonly ports: readonly ServicePortFacts[]
}

export interface ServicePortFacts extends Spoken {
  readonly port: number
  readonly name?: string
  /** What a peer that serves it may show; sorted. Empty: nobody can. */
  readonly spiffeIds: readonly string[]
  /** True when it has pods and none of them has a sidecar. */
  readonly unmeshed: boolean
  /** What TrafficPolicies say of it. */
  readonly traffic?: UpstreamTraffic
}

/** A Service without a selector: who serves it is not known, only that the mesh does not. */
export interface ForeignService {
  readonly namespace: string
  readonly name: string
  readonly addresses: readonly string[]
  readonly ports: readonly number[]
}

/** Where a port of a Service is served. */
export interface Serving extends Spoken {
  readonly service: string
  readonly port: number
  readonly portName?: string
  readonly workload: WorkloadId
  readonly containerPort: number
}

/** The replicas of one port of a Service. */
export interface PortEndpoints {
  readonly meshed: readonly Endpoint[]
  readonly unmeshed: readonly Endpoint[]
}

export interface ServicesFound {
  /** By name. Only Services with a selector: the pods of others are not ours to vouch for. */
  readonly services: readonly ServiceFacts[]
  /** By name. Those without a selector that have an address of their own. */
  readonly foreign: readonly ForeignService[]
  /** Names of the ports of every Service that can be read, with and without a selector. */
  readonly portNames: ReadonlyMap<string, readonly string[]>
  readonly servings: readonly Serving[]
  /** By upstream: `namespace/service:port`. */
  readonly endpoints: ReadonlyMap<string, PortEndpoints>
  readonly issues: readonly { readonly resource: Resource; readonly issue: Issue }[]
}

/** The name by which a config calls a port of a Service. */
export function upstreamName(namespace: string, service: string, port: number): string {
  return `${namespace}/${service}:${port}`
}

/** The Services of one namespace, and which workloads serve them where. */
export function servicesOf(resources: readonly Resource[], workloads: readonly Workload[]): ServicesFound {
  const services: ServiceFacts[] = []
  const foreign: ForeignService[] = []
  const portNames = new Map<string, readonly string[]>()
  const servings: Serving[] = []
  const endpoints = new Map<string, PortEndpoints>()
  const issues: { resource: Resource; issue: Issue }[] = []
  for (const resource of resources) {
    const read = readService(resource)
    if (!read.ok) {
      issues.push(...read.issues.map((found) => ({ resource, issue: found })))
      continue
    }
    const { spec } = read.value
    const { name, namespace = 'default' } = resource.metadata
    portNames.set(
      name,
      (spec.ports ?? []).flatMap((port) => port.name ?? []),
    )
    const selector = Object.entries(spec.selector ?? {})
    const addresses = clusterAddresses(read.value)
    if (spec.type === 'ExternalName') continue
    if (selector.length === 0) {
      const ports = (spec.ports ?? []).filter(isTcp).map(({ port }) => port)
      if (addresses.length > 0) foreign.push({ namespace, name, addresses, ports })
      continue
    }

    const selected = workloads.filter(
      ({ labels, pods }) => selects(selector, labels) || pods.some((pod) => selects(selector, pod.labels)),
    )
    const pods = selected.flatMap((workload) => workload.pods.filter((pod) => selects(selector, pod.labels)))
    const ports: ServicePortFacts[] = []
    for (const [i, port] of (spec.ports ?? []).entries()) {
      if (!isTcp(port)) continue
      const containerPort = selected.flatMap(({ ports }) => targetOf(port, ports) ?? [])[0]
      const spoken = protocolOf({
        appProtocol: port.appProtocol,
        serviceName: port.name,
        containerName: containerPort?.name,
        number: containerPort?.port ?? port.port,
      })
      const path = `spec.ports[${i}]`
      const serving = selected.filter((workload) => targetOf(port, workload.ports) !== undefined)
      for (const workload of selected) {
        const target = targetOf(port, workload.ports)
        if (target === undefined) {
          issues.push({
            resource,
            issue: {
              ...issue(
                'no-such-port',
                `${path}.targetPort`,
                `no container of ${workload.id} has a port ${port.targetPort}`,
              ),
              severity: 'warning',
            },
          })
          continue
        }
        servings.push({
          service: name,
          port: port.port,
          ...(port.name !== undefined && { portName: port.name }),
          ...spoken,
          workload: workload.id,
          containerPort: target.port,
        })
      }
      const isUp = (pod: WorkloadPod) => (spec.publishNotReadyAddresses === true ? pod.running : pod.ready)
      const up = pods.filter(isUp)
      endpoints.set(upstreamName(namespace, name, port.port), {
        meshed: up.filter(({ meshed }) => meshed).flatMap((pod) => endpointOf(pod, port)),
        unmeshed: up.filter(({ meshed }) => !meshed).flatMap((pod) => endpointOf(pod, port)),
      })
      ports.push({
        port: port.port,
        ...(port.name !== undefined && { name: port.name }),
        ...spoken,
        spiffeIds: [...new Set(serving.flatMap(({ spiffeIds }) => spiffeIds))].sort(),
        unmeshed: pods.length > 0 && pods.every(({ meshed }) => !meshed),
      })
    }
    services.push({ namespace, name, addresses, isHeadless: isHeadless(read.value), ports })
  }
  issues.push(...disagreements(resources, servings))
  return { services, foreign, portNames, servings, endpoints, issues }
}

function isTcp({ protocol = 'TCP' }: ServicePort): boolean {
  return protocol === 'TCP'
}

function selects(
  selector: readonly (readonly [key: string, value: string])[],
  labels: Readonly<Record<string, string>>,
): boolean {
  return selector.every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value)
}

/** The container port that a Service's port leads to. A number may be one that no container declares. */
function targetOf(
  { port, targetPort = port }: ServicePort,
  declared: readonly ContainerPort[],
): ContainerPort | undefined {
  if (typeof targetPort === 'string' && !/^[0-9]+$/.test(targetPort)) {
    return declared.find(({ name }) => name === targetPort)
  }
  const number = Number(targetPort)
  if (number < 1 || number > 65535) return undefined
  return declared.find((container) => container.port === number) ?? { port: number }
}

function endpointOf(pod: WorkloadPod, port: ServicePort): Endpoint[] {
  const target = targetOf(port, pod.ports)
  if (target === undefined) return []
  const reached = pod.localPorts === undefined ? target.port : pod.localPorts.get(target.port)
  if (reached === undefined) return []
  const { ip: address, otherIps, key, zone } = pod
  return [
    {
      address,
      port: reached,
      pod: key,
      ...(otherIps.length > 0 && { otherAddresses: [...otherIps] }),
      ...(zone !== undefined && { zone }),
    },
  ]
}

/** One container port that two Services call by different protocols is read as HTTP, so calls by the other one fail. */
function disagreements(
  resources: readonly Resource[],
  servings: readonly Serving[],
): { resource: Resource; issue: Issue }[] {
  const httpAt = new Map<string, string>()
  for (const { protocol, workload, containerPort, service } of servings) {
    if (protocol === 'http') httpAt.set(`${workload}:${containerPort}`, service)
  }
  const told = new Set<string>()
  return servings.flatMap(({ protocol, workload, containerPort, service, port }) => {
    const other = httpAt.get(`${workload}:${containerPort}`)
    const resource = resources.find(({ metadata }) => metadata.name === service)
    if (protocol === 'http' || other === undefined || resource === undefined || told.has(`${service}:${port}`))
      return []
    told.add(`${service}:${port}`)
    return [
      {
        resource,
        issue: issue(
          'protocol-conflict',
          'spec.ports',
          `port ${port} is opaque TCP, but Service ${other} says that port ${containerPort} of ${workload} is HTTP`,
          'say the same appProtocol in both',
        ),
      },
    ]
  })
}
