import type { Resource } from '../../model/resource.ts'
import { type Issue, under } from '../../model/result.ts'
import { keepSame } from '../../model/same.ts'
import type { TrustDomain } from '../../model/spiffe-id.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import { readEndpointSlice } from '../resources/endpoint-slice.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { attachToWorkloads, type InboundPort } from './attach.ts'
import type { Reach } from './levels.ts'
import { OUTBOUND_ANNOTATION, type OutboundRef, parseOutbound } from './outbound.ts'
import type { PolicyReader, WorkloadPolicy } from './policy.ts'
import { protocolOf, type Spoken } from './protocol.ts'
import { type ForeignService, type PortEndpoints, type ServiceFacts, type Serving, servicesOf } from './services.ts'
import { type TrafficPolicyFacts, withTraffic } from './traffic.ts'
import { type Workload, type WorkloadPod, workloadsOf, type Zones } from './workloads.ts'

/** The label that Kubernetes gives each Namespace; files do not write it. */
const NAME_LABEL = 'kubernetes.io/metadata.name'

/** What a namespace comes to: its workloads, its Services, and the SecurityPolicies that meet at them. */
export interface NamespaceFacts {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  /** By id. */
  readonly workloads: readonly WorkloadFacts[]
  /** By name. */
  readonly services: readonly ServiceFacts[]
  /** By name. */
  readonly foreign: readonly ForeignService[]
  readonly endpoints: ReadonlyMap<string, PortEndpoints>
  /** Where its workloads are: of pods with a sidecar, and of Services that they serve. */
  readonly meshed: readonly string[]
  readonly policies: readonly PolicyTargets[]
  readonly traffic: readonly TrafficPolicyFacts[]
  readonly pods: ReadonlyMap<WorkloadId, readonly WorkloadPod[]>
  readonly issues: readonly { readonly resource: Resource; readonly issue: Issue }[]
}

/** What one workload's own resources and policies say of it. */
export interface WorkloadFacts {
  readonly id: WorkloadId
  readonly namespace: string
  readonly serviceAccount: string
  /** By number. */
  readonly ports: readonly InboundFacts[]
  readonly outbound: readonly OutboundRef[]
}

/** A port that a workload is reached on. */
export interface InboundFacts extends Spoken {
  readonly port: number
  /** `Service/namespace/name:port`, or `Workload/namespace/name:port` where no Service leads to it. */
  readonly label: string
  readonly reaches: readonly Reach[]
}

/** A SecurityPolicy and the workloads that its Service and Pod targets come to. */
export interface PolicyTargets {
  readonly resource: Resource
  readonly policy: WorkloadPolicy
  readonly selected: readonly WorkloadId[]
  readonly missing: readonly string[]
}

/** The kinds that a namespace's facts are made of: as long as none of them changes, neither do the facts. */
const KINDS = ['Deployment', 'Pod', 'Service', 'SecurityPolicy', 'TrafficPolicy', 'EndpointSlice'] as const

/** Facts by namespace, made again only where a resource of the namespace has changed. */
export interface NamespaceIndex {
  readonly facts: ReadonlyMap<string, NamespaceFacts>
  readonly sources: ReadonlyMap<string, readonly unknown[]>
}

export function indexNamespaces(
  snapshot: Snapshot,
  trustDomain: TrustDomain,
  reader: PolicyReader,
  previous: NamespaceIndex | undefined,
): NamespaceIndex {
  const facts = new Map<string, NamespaceFacts>()
  const sources = new Map<string, readonly unknown[]>()
  for (const name of snapshot.namespaces()) {
    const resource = snapshot.get('Namespace', undefined, name)
    const source = [resource, trustDomain, ...KINDS.map((kind) => snapshot.inNamespace(kind, name))]
    const known = previous?.sources.get(name)
    const kept = known?.every((part, i) => part === source[i]) ? previous?.facts.get(name) : undefined
    sources.set(name, source)
    facts.set(name, kept ?? factsOf(name, resource, snapshot, trustDomain, reader, previous?.facts.get(name)))
  }
  return { facts, sources }
}

function zonesOf(slices: readonly Resource[]): Zones {
  const zones = new Map<string, string>()
  for (const resource of slices) {
    const read = readEndpointSlice(resource)
    for (const { zone, targetRef } of (read.ok ? read.value.endpoints : undefined) ?? []) {
      if (zone !== undefined && targetRef?.kind === 'Pod') zones.set(targetRef.name ?? '', zone)
    }
  }
  return zones
}

/** Labels of a namespace, be there a resource that says them or not. */
export function namespaceLabels(name: string, resource: Resource | undefined): Readonly<Record<string, string>> {
  return { ...resource?.metadata.labels, [NAME_LABEL]: name }
}

function factsOf(
  name: string,
  resource: Resource | undefined,
  snapshot: Snapshot,
  trustDomain: TrustDomain,
  reader: PolicyReader,
  earlier: NamespaceFacts | undefined,
): NamespaceFacts {
  const [deployments, pods, serviceResources, policyResources, trafficResources, slices] = KINDS.map((kind) =>
    snapshot.inNamespace(kind, name),
  )
  const found = workloadsOf(deployments ?? [], pods ?? [], trustDomain, zonesOf(slices ?? []))
  const services = servicesOf(serviceResources ?? [], found.workloads)
  const traffic = withTraffic(services.services, services.portNames, trafficResources ?? [])
  const policies = (policyResources ?? []).map((each) => ({ resource: each, policy: reader.readWorkloadPolicy(each) }))
  const inbound = found.workloads.map((workload) => ({ workload, ports: portsOf(workload, services.servings) }))
  const attached = attachToWorkloads(
    policies.map(({ policy }) => policy),
    inbound.flatMap(({ workload, ports }) => [...ports.keys()].map((port): InboundPort => ({ workload, port }))),
    services.portNames,
    services.servings,
  )

  const issues = [...found.issues, ...services.issues]
  const ofNamespace = parseOutbound(resource?.metadata.annotations?.[OUTBOUND_ANNOTATION] ?? '')
  if (resource !== undefined) {
    issues.push(...ofNamespace.issues.map((each) => ({ resource, issue: under('metadata', each) })))
  }
  const earlierWorkloads = new Map(earlier?.workloads.map((each) => [each.id, each]))
  const workloads = inbound.map(({ workload, ports }): WorkloadFacts => {
    const own = parseOutbound(workload.annotations[OUTBOUND_ANNOTATION] ?? '')
    const deployment = snapshot.get('Deployment', name, workload.name)
    if (deployment !== undefined) {
      issues.push(...own.issues.map((each) => ({ resource: deployment, issue: under('spec.template.metadata', each) })))
    }
    return keepSame(earlierWorkloads.get(workload.id), {
      id: workload.id,
      namespace: name,
      serviceAccount: workload.serviceAccount,
      ports: [...ports].map(([port, facts]) => ({ port, ...facts, reaches: attached.reachesOf(workload.id, port) })),
      outbound: [...ofNamespace.refs, ...own.refs],
    })
  })
  return {
    name,
    labels: namespaceLabels(name, resource),
    workloads,
    services: keepSame(earlier?.services, traffic.services),
    foreign: keepSame(earlier?.foreign, services.foreign),
    meshed: keepSame(earlier?.meshed, meshedAddresses(found.workloads, services.services)),
    endpoints: new Map(
      [...services.endpoints].map(([upstream, each]) => [upstream, keepSame(earlier?.endpoints.get(upstream), each)]),
    ),
    policies: policies.map(({ resource: each, policy }) => ({
      resource: each,
      policy,
      selected: attached.selected.get(policy.key) ?? [],
      missing: attached.missing.get(policy.key) ?? [],
    })),
    traffic: traffic.policies,
    pods: new Map(found.workloads.map((workload) => [workload.id, workload.pods])),
    issues,
  }
}

function meshedAddresses(workloads: readonly Workload[], services: readonly ServiceFacts[]): readonly string[] {
  const pods = workloads.flatMap(({ pods }) => pods).filter(({ meshed, ip }) => meshed && ip !== '')
  const served = services.filter(({ ports }) =>
    ports.some(({ spiffeIds, unmeshed }) => spiffeIds.length > 0 && !unmeshed),
  )
  return [...pods.flatMap(({ ip, otherIps }) => [ip, ...otherIps]), ...served.flatMap(({ addresses }) => addresses)]
}

/** What containers declare and what Services lead to, by number. HTTP wins a disagreement: it refuses what is not HTTP. */
function portsOf(
  workload: Workload,
  servings: readonly Serving[],
): ReadonlyMap<number, Spoken & { readonly label: string }> {
  const ours = servings.filter(({ workload: id }) => id === workload.id)
  const numbers = new Set([
    ...workload.ports.map(({ port }) => port),
    ...ours.map(({ containerPort }) => containerPort),
  ])
  return new Map(
    [...numbers]
      .sort((a, b) => a - b)
      .map((number) => {
        const here = ours.filter(({ containerPort }) => containerPort === number)
        const [first] = here
        if (first === undefined) {
          const { name } = workload.ports.find(({ port }) => port === number) ?? {}
          const spoken = protocolOf({ containerName: name, number })
          return [number, { ...spoken, label: `Workload/${workload.id}:${number}` }]
        }
        return [
          number,
          {
            protocol: here.some(({ protocol }) => protocol === 'http') ? 'http' : 'tcp',
            // Whoever says that it speaks HTTP/2 says what it takes; HTTP/1.1 is what goes without saying.
            ...(here.some(({ appProtocol }) => appProtocol === 'http2') && { appProtocol: 'http2' as const }),
            ...(here.some(({ database }) => database === 'postgres') && { database: 'postgres' as const }),
            label: `Service/${workload.namespace}/${first.service}:${first.port}`,
          },
        ]
      }),
  )
}
