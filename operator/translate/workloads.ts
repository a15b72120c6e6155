import type { Resource } from '../../model/resource.ts'
import { type Issue, issue, under } from '../../model/result.ts'
import { spiffeIdFor, type TrustDomain } from '../../model/spiffe-id.ts'
import { type WorkloadId, workloadIdFor } from '../../model/workload-id.ts'
import { readDeployment } from '../resources/deployment.ts'
import { ZONE_LABEL } from '../resources/endpoint-slice.ts'
import { type Container, type Pod, readPod } from '../resources/pod.ts'

/** On a pod of the local mesh: which port its sidecar really listens on for each container port, as JSON. */
export const LOCAL_PORTS_ANNOTATION = 'hauberk.dev/local-ports'

/** The container that makes a pod a meshed one. */
export const SIDECAR_CONTAINER = 'hauberk-sidecar'

/** Pods that are the same program under the same policy: those of one Deployment (or other owner), or one bare pod. */
export interface Workload {
  readonly id: WorkloadId
  readonly namespace: string
  readonly name: string
  /** Of the Deployment's template; without a Deployment, of the newest pod. */
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly serviceAccount: string
  /** SPIFFE IDs that its pods may have: its service account's, and while it is being changed also the former one's. Sorted. */
  readonly spiffeIds: readonly string[]
  /** TCP ports that its containers declare, by number. */
  readonly ports: readonly ContainerPort[]
  /** By name, without those that have completed. */
  readonly pods: readonly WorkloadPod[]
}

export interface ContainerPort {
  readonly port: number
  readonly name?: string
}

export interface WorkloadPod {
  /** `namespace/name`. */
  readonly key: string
  readonly labels: Readonly<Record<string, string>>
  /** False for a pod without a sidecar: it gets no mesh traffic. */
  readonly meshed: boolean
  /** Ready, not being deleted, and with an address. */
  readonly ready: boolean
  /** Not being deleted, and with an address. */
  readonly running: boolean
  /** Being deleted. */
  readonly leaving: boolean
  readonly ip: string
  /** Its addresses of other families. */
  readonly otherIps: readonly string[]
  readonly ports: readonly ContainerPort[]
  /** Where its sidecar listens for a container port, when that is not the port itself. */
  readonly localPorts?: ReadonlyMap<number, number>
  /** Where it runs: what its own label says, or the EndpointSlices of a Service that selects it. */
  readonly zone?: string
}

export interface WorkloadsFound {
  /** By id. */
  readonly workloads: readonly Workload[]
  /** By resource, in the order of the resources. */
  readonly issues: readonly { readonly resource: Resource; readonly issue: Issue }[]
}

/** Where pods of one namespace are, by name, as EndpointSlices have it. */
export type Zones = ReadonlyMap<string, string>

/** The workloads of one namespace. */
export function workloadsOf(
  deployments: readonly Resource[],
  pods: readonly Resource[],
  trustDomain: TrustDomain,
  zones: Zones,
): WorkloadsFound {
  const issues: { resource: Resource; issue: Issue }[] = []
  const groups = new Map<string, { template: Template | undefined; pods: { resource: Resource; pod: Pod }[] }>()
  const groupOf = (name: string) => {
    const group = groups.get(name) ?? { template: undefined, pods: [] }
    groups.set(name, group)
    return group
  }
  for (const resource of deployments) {
    const read = readDeployment(resource)
    if (!read.ok) {
      issues.push(...read.issues.map((found) => ({ resource, issue: found })))
      continue
    }
    const { metadata = {}, spec } = read.value.spec.template
    groupOf(resource.metadata.name).template = {
      labels: metadata.labels ?? {},
      annotations: metadata.annotations ?? {},
      serviceAccount: spec.serviceAccountName ?? 'default',
      ports: tcpPorts(spec.containers ?? []),
      resource,
    }
  }
  for (const resource of pods) {
    const read = readPod(resource)
    if (!read.ok) {
      issues.push(...read.issues.map((found) => ({ resource, issue: found })))
      continue
    }
    const { phase } = read.value.status ?? {}
    if (phase === 'Succeeded' || phase === 'Failed') continue
    groupOf(ownerName(resource)).pods.push({ resource, pod: read.value })
  }

  const workloads: Workload[] = []
  for (const [name, group] of groups) {
    const template = group.template ?? templateOf(group.pods)
    const namespace = template.resource.metadata.namespace ?? 'default'
    const id = workloadIdFor(namespace, name)
    if (!id.ok) {
      issues.push(...id.issues.map((found) => ({ resource: template.resource, issue: under('metadata.name', found) })))
      continue
    }
    const serviceAccounts = new Set([
      template.serviceAccount,
      ...group.pods.map(({ pod }) => pod.spec.serviceAccountName ?? 'default'),
    ])
    const spiffeIds: string[] = []
    for (const serviceAccount of serviceAccounts) {
      const spiffeId = spiffeIdFor(trustDomain, namespace, serviceAccount)
      if (spiffeId.ok) spiffeIds.push(spiffeId.value)
      else {
        const path = group.template === undefined ? 'spec' : 'spec.template.spec'
        issues.push(
          ...spiffeId.issues.map((found) => ({
            resource: template.resource,
            issue: { ...found, path: `${path}.serviceAccountName` },
          })),
        )
      }
    }
    if (!spiffeIdFor(trustDomain, namespace, template.serviceAccount).ok) continue
    workloads.push({
      id: id.value,
      namespace,
      name,
      labels: template.labels,
      annotations: template.annotations,
      serviceAccount: template.serviceAccount,
      spiffeIds: spiffeIds.sort(),
      ports: template.ports,
      pods: group.pods.map(({ resource, pod }) => podOf(resource, pod, zones, issues)),
    })
  }
  return { workloads: workloads.sort((a, b) => (a.id < b.id ? -1 : 1)), issues }
}

interface Template {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly serviceAccount: string
  readonly ports: readonly ContainerPort[]
  readonly resource: Resource
}

/** Pods without a Deployment that we know: the newest says what they all are. */
function templateOf(pods: readonly { readonly resource: Resource; readonly pod: Pod }[]): Template {
  const newest = pods.reduce((best, other) => {
    const [a, b] = [best.resource.metadata, other.resource.metadata]
    const [left, right] = [a.creationTimestamp ?? '', b.creationTimestamp ?? '']
    return right > left || (right === left && b.name < a.name) ? other : best
  })
  const { resource, pod } = newest
  return {
    labels: resource.metadata.labels ?? {},
    annotations: resource.metadata.annotations ?? {},
    serviceAccount: pod.spec.serviceAccountName ?? 'default',
    ports: tcpPorts(pod.spec.containers ?? []),
    resource,
  }
}

/**
 * The name that a pod's workload goes by, for whoever needs to know it: translation, and the injector that tells the
 * sidecar. A ReplicaSet is its Deployment's name and a hash, a CronJob's Job is its name and a time.
 */
export function ownerName({ metadata }: Pick<Resource, 'metadata'>): string {
  const owner = metadata.ownerReferences?.[0]
  // What comes from files, or from an API server in trouble, may be anything.
  if (typeof owner?.name !== 'string') return metadata.name
  switch (owner.kind) {
    case 'Node':
      return metadata.name
    case 'ReplicaSet': {
      const hash = metadata.labels?.['pod-template-hash']
      return hash !== undefined && owner.name.endsWith(`-${hash}`) ? owner.name.slice(0, -hash.length - 1) : owner.name
    }
    case 'Job':
      return owner.name.replace(/-[0-9]{8,10}$/, '')
    default:
      return owner.name
  }
}

function podOf(
  resource: Resource,
  pod: Pod,
  zones: Zones,
  issues: { resource: Resource; issue: Issue }[],
): WorkloadPod {
  const { metadata } = resource
  const zone = metadata.labels?.[ZONE_LABEL] ?? zones.get(metadata.name)
  const ip = pod.status?.podIP ?? ''
  const running = ip !== '' && metadata.deletionTimestamp === undefined
  const written = metadata.annotations?.[LOCAL_PORTS_ANNOTATION]
  const localPorts = written === undefined ? undefined : parseLocalPorts(written)
  if (written !== undefined && localPorts === undefined) {
    issues.push({
      resource,
      issue: issue(
        'malformed-annotation',
        `metadata.annotations["${LOCAL_PORTS_ANNOTATION}"]`,
        'is not a JSON object of ports',
        `write '{"8080": 31001}'`,
      ),
    })
  }
  const containers = [...(pod.spec.initContainers ?? []), ...(pod.spec.containers ?? [])]
  return {
    key: `${metadata.namespace ?? 'default'}/${metadata.name}`,
    labels: metadata.labels ?? {},
    meshed: written !== undefined || containers.some(({ name }) => name === SIDECAR_CONTAINER),
    running,
    leaving: metadata.deletionTimestamp !== undefined,
    ready: running && (pod.status?.conditions ?? []).some(({ type, status }) => type === 'Ready' && status === 'True'),
    ip,
    otherIps: (pod.status?.podIPs ?? []).map((each) => each.ip).filter((other) => other !== ip),
    ports: tcpPorts(pod.spec.containers ?? []),
    ...(written !== undefined && { localPorts: localPorts ?? new Map() }),
    ...(zone !== undefined && { zone }),
  }
}

function parseLocalPorts(text: string): ReadonlyMap<number, number> | undefined {
  let written: unknown
  try {
    written = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof written !== 'object' || written === null || Array.isArray(written)) return undefined
  const ports = new Map<number, number>()
  for (const [from, to] of Object.entries(written)) {
    if (!isPort(Number(from)) || !isPort(to)) return undefined
    ports.set(Number(from), to)
  }
  return ports
}

function tcpPorts(containers: readonly Container[]): readonly ContainerPort[] {
  const ports = new Map<number, ContainerPort>()
  for (const { ports: declared = [] } of containers) {
    for (const { containerPort, name, protocol = 'TCP' } of declared) {
      if (protocol !== 'TCP' || ports.has(containerPort)) continue
      ports.set(containerPort, name === undefined ? { port: containerPort } : { port: containerPort, name })
    }
  }
  return [...ports.values()].sort((a, b) => a.port - b.port)
}

function isPort(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65535
}
