import type { LastChange, Metadata, Resource } from '../../model/resource.ts'
import { type KubernetesObject, recordOf } from '../kubernetes/object.ts'
import type { KindDefinition } from '../resources/kinds.ts'
import type { Share } from './share.ts'

/** Annotations that say anything to us; the rest, such as `last-applied-configuration`, may be as large as the object. */
const ANNOTATION_PREFIX = 'hauberk.dev/'

/**
 * What we keep of an object: the fields that this program reads. `managedFields`, statuses but those of pods, volumes,
 * environments and the rest of the ten kilobytes that a pod comes to are left behind.
 *
 * Values are taken as they are: whether they are what the schema says is for whoever reads them. Of kinds of ours, and of
 * routes and gateways, the whole `spec` is kept, because a field that we do not know may be one that we would have to
 * enforce.
 *
 * `share` makes pods of one template share what they have in common.
 */
export function projectObject(definition: KindDefinition, object: KubernetesObject, share: Share = same): Resource {
  const { apiVersions, kind } = definition
  const apiVersion = apiVersions.find((version) => version === object.apiVersion) ?? apiVersions[0]!
  const project = PROJECTIONS[kind] ?? projectWhole
  return { apiVersion, kind, ...project(object, share) }
}

const same: Share = (value) => value

type Projection = (object: KubernetesObject, share: Share) => Omit<Resource, 'apiVersion' | 'kind'>

const PROJECTIONS: Readonly<Record<string, Projection>> = {
  Namespace: projectMetadata,
  ServiceAccount: projectMetadata,
  Service: ({ metadata, spec }) => ({
    metadata: commonMetadata(metadata),
    spec: picked(spec, SERVICE_SPEC),
  }),
  Deployment({ metadata, spec }) {
    const template = recordOf(recordOf(spec)['template'])
    const { labels, annotations } = recordOf(template['metadata'])
    const kept = { ...(labels !== undefined && { labels }), ...ourAnnotations(annotations) }
    return {
      metadata: commonMetadata(metadata),
      spec: { template: { metadata: kept, spec: podSpec(template['spec']) } },
    }
  },
  Pod: ({ metadata, spec, status }, share) => ({
    metadata: shared(podMetadata(metadata), ['labels', 'annotations', 'ownerReferences'], share),
    spec: share(podSpec(spec)),
    status: shared(podStatus(status), ['conditions'], share),
  }),
  /** Where pods are, and not which of them are ready: that changes often, and is read of the pods. */
  EndpointSlice({ metadata, endpoints }) {
    const { labels: _, annotations: __, ownerReferences: ___, ...common } = commonMetadata(metadata)
    const zoned = (Array.isArray(endpoints) ? endpoints : []).filter(
      (endpoint) => recordOf(endpoint)['zone'] !== undefined,
    )
    const kept = zoned.map((endpoint) => ({
      ...picked(endpoint, ['zone']),
      targetRef: picked(recordOf(endpoint)['targetRef'], ['kind', 'name']),
    }))
    return { metadata: common, endpoints: kept } as Omit<Resource, 'apiVersion' | 'kind'>
  },
  Secret: ({ metadata, data, type }) => ({
    metadata: commonMetadata(metadata),
    ...(data !== undefined && { data: data as Readonly<Record<string, string>> }),
    ...(type !== undefined && { type: type as string }),
  }),
}

const SERVICE_SPEC = ['type', 'selector', 'ports', 'clusterIP', 'clusterIPs', 'publishNotReadyAddresses']
const POD_SPEC = ['serviceAccountName', 'hostNetwork']

function projectMetadata({ metadata }: KubernetesObject) {
  return { metadata: commonMetadata(metadata) }
}

function projectWhole({ metadata, spec }: KubernetesObject) {
  const { generation } = metadata
  return {
    metadata: {
      ...commonMetadata(metadata),
      ...(generation !== undefined && { generation: generation as number }),
      ...lastChangeOf(metadata),
    },
    ...(spec !== undefined && { spec }),
  }
}

function commonMetadata(metadata: KubernetesObject['metadata']): Metadata {
  const { annotations, ownerReferences } = metadata
  return {
    ...(picked(metadata, METADATA) as unknown as Metadata),
    ...ourAnnotations(annotations),
    ...(Array.isArray(ownerReferences) &&
      ownerReferences.length > 0 && {
        ownerReferences: ownerReferences.map((owner) => picked(owner, OWNER) as unknown as Owner),
      }),
  }
}

/** Characters of a manager's name: Kubernetes allows 128. */
const MAX_MANAGER = 128

/** Of all `managedFields` what the newest says. Statuses are written all the time, by us among others. */
function lastChangeOf({ managedFields }: KubernetesObject['metadata']): { readonly lastChange?: LastChange } {
  let newest: LastChange | undefined
  for (const entry of Array.isArray(managedFields) ? managedFields : []) {
    const { manager, operation, time, subresource = '' } = recordOf(entry)
    if (subresource !== '' || typeof manager !== 'string' || typeof operation !== 'string') continue
    if (typeof time !== 'string' || (newest !== undefined && newest.time >= time)) continue
    newest = { manager: manager.slice(0, MAX_MANAGER), operation, time }
  }
  return newest === undefined ? {} : { lastChange: newest }
}

type Owner = NonNullable<Metadata['ownerReferences']>[number]

const METADATA = ['name', 'namespace', 'uid', 'creationTimestamp', 'deletionTimestamp', 'labels']
const OWNER = ['apiVersion', 'kind', 'name']

function ourAnnotations(annotations: unknown): { readonly annotations?: Readonly<Record<string, string>> } {
  const kept = Object.entries(recordOf(annotations)).filter(([name]) => name.startsWith(ANNOTATION_PREFIX))
  return kept.length === 0 ? {} : { annotations: Object.fromEntries(kept) as Readonly<Record<string, string>> }
}

/** Of a pod, which a tenant writes: annotations that are kept, and characters of each. */
const MAX_POD_ANNOTATIONS = 16
const MAX_POD_ANNOTATION = 4_096

/** Annotations with which the local mesh tells of pods that it has made. Here one would make a pod without a sidecar pass for one with. */
const LOCAL_PREFIX = 'hauberk.dev/local-'

function podMetadata(metadata: KubernetesObject['metadata']): Metadata {
  const { annotations = {}, ...common } = commonMetadata(metadata)
  const kept = Object.entries(annotations)
    .filter(([name, value]) => !name.startsWith(LOCAL_PREFIX) && String(value).length <= MAX_POD_ANNOTATION)
    .slice(0, MAX_POD_ANNOTATIONS)
  return { ...common, ...(kept.length > 0 && { annotations: Object.fromEntries(kept) }) }
}

function podSpec(spec: unknown) {
  const { containers, initContainers } = recordOf(spec)
  return {
    ...picked(spec, POD_SPEC),
    ...(Array.isArray(containers) && { containers: containers.map(container) }),
    ...(Array.isArray(initContainers) && { initContainers: initContainers.map(container) }),
  }
}

function container(written: unknown) {
  const { name, ports } = recordOf(written)
  return {
    ...(name !== undefined && { name }),
    ...(Array.isArray(ports) && { ports: ports.map((port) => picked(port, CONTAINER_PORT)) }),
  }
}

const CONTAINER_PORT = ['name', 'containerPort', 'protocol']

function podStatus(status: unknown) {
  const { podIPs, conditions } = recordOf(status)
  return {
    ...picked(status, ['phase', 'podIP']),
    ...(Array.isArray(podIPs) && { podIPs: podIPs.map((address) => picked(address, ['ip'])) }),
    ...(Array.isArray(conditions) && {
      conditions: conditions
        .filter((condition) => recordOf(condition)['type'] === 'Ready')
        .map((condition) => picked(condition, ['type', 'status'])),
    }),
  }
}

/** The same object, with members that it shares with others. */
function shared<T extends object>(object: T, names: readonly (keyof T)[], share: Share): T {
  for (const name of names) if (Object.hasOwn(object, name)) object[name] = share(object[name])
  return object
}

/** The members of these names that are there; none of what is no object. */
function picked(value: unknown, names: readonly string[]): Readonly<Record<string, unknown>> {
  const from = recordOf(value)
  const kept: Record<string, unknown> = {}
  for (const name of names) if (from[name] !== undefined && Object.hasOwn(from, name)) kept[name] = from[name]
  return kept
}
