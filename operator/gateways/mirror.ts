import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { type KubernetesObject, recordOf } from '../kubernetes/object.ts'
import { resourcePath } from '../kubernetes/path.ts'
import { type Reflector, runReflector } from '../kubernetes/reflector.ts'
import { SYSTEM_NAMESPACE } from '../translate/gateways.ts'
import { gatewayOf, MANAGED_SELECTOR } from './labels.ts'
import type { GatewayObject } from './objects.ts'

export type ManagedPlural = GatewayObject['plural']

/** The kinds that are kept for Gateways, in the order in which they are taken away. */
export const MANAGED_KINDS: readonly { readonly plural: ManagedPlural; readonly apiVersion: string }[] = [
  { plural: 'services', apiVersion: 'v1' },
  { plural: 'poddisruptionbudgets', apiVersion: 'policy/v1' },
  { plural: 'deployments', apiVersion: 'apps/v1' },
  { plural: 'serviceaccounts', apiVersion: 'v1' },
]

/** What is kept of an object that is there for a Gateway. */
export interface ManagedObject {
  readonly plural: ManagedPlural
  readonly name: string
  readonly uid: string
  /** Changes when somebody changes what it says: its generation, else its resource version. */
  readonly version: string
  /** Services only. */
  readonly service?: ServiceStanding
}

export interface ServiceStanding {
  readonly type: string
  readonly clusterIps: readonly string[]
  /** What the load balancer gave it: addresses and names. */
  readonly ingress: readonly { readonly ip?: string; readonly hostname?: string }[]
}

/** What is kept of a pod of a gateway. */
export interface PodStanding {
  readonly name: string
  readonly ready: boolean
  /** Of its node. */
  readonly hostIps: readonly string[]
  /** Why it does not run. */
  readonly trouble?: { readonly reason: string; readonly message: string }
}

/** Everything that is there for Gateways, as the API server has it. By Gateway: `namespace/name`. */
export interface Mirror {
  /** Whether all of it has been told once. Before that, what seems missing may be there. */
  hasSynced(): boolean
  objects(gateway: string): readonly ManagedObject[]
  pods(gateway: string): readonly PodStanding[]
  /** Gateways for which anything is there. */
  gateways(): readonly string[]
  readonly done: Promise<unknown>
}

export interface MirrorOptions {
  readonly client: KubernetesClient
  readonly onChange: (gateway: string) => void
  readonly clock: Clock
  readonly random: () => number
  readonly log: Log
  readonly signal: AbortSignal
}

/** Watches what is kept for Gateways: objects with our labels in our namespace, and none besides. */
export function runMirror(options: MirrorOptions): Mirror {
  const { onChange } = options
  const objects = new Index<ManagedObject>(onChange)
  const pods = new Index<PodStanding>(onChange)
  const follow = <T>(plural: string, apiVersion: string, index: Index<T>, project: (object: KubernetesObject) => T) =>
    runReflector<Owned<T>>({
      ...options,
      log: options.log.child({ 'hauberk.kind': `gateway ${plural}` }),
      paths: [resourcePath({ apiVersion, plural, namespace: SYSTEM_NAMESPACE })],
      labelSelector: MANAGED_SELECTOR,
      project(object) {
        const owner = gatewayOf(object.metadata['labels'] as Readonly<Record<string, string>> | undefined)
        return owner === undefined ? undefined : { owner, value: project(object) }
      },
      apply(changes) {
        for (const change of changes) {
          const key = `${plural}/${change.name.name}`
          if (change.type === 'set') index.set(key, change.object)
          else index.remove(key)
        }
      },
    })
  const reflectors: readonly Reflector[] = [
    ...MANAGED_KINDS.map(({ plural, apiVersion }) =>
      follow(plural, apiVersion, objects, (object) => managedObject(plural, object)),
    ),
    follow('pods', 'v1', pods, podStanding),
  ]
  return {
    hasSynced: () => reflectors.every((reflector) => reflector.hasSynced()),
    objects: (gateway) => objects.of(gateway),
    pods: (gateway) => pods.of(gateway),
    gateways: () => [...new Set([...objects.owners(), ...pods.owners()])],
    done: Promise.all(reflectors.map(({ done }) => done)),
  }
}

interface Owned<T> {
  readonly owner: string
  readonly value: T
}

/** Values by key and by owner. As many as there are objects with our labels. */
class Index<T> {
  readonly #byKey = new Map<string, Owned<T>>()
  readonly #byOwner = new Map<string, Map<string, T>>()
  readonly #onChange: (owner: string) => void

  constructor(onChange: (owner: string) => void) {
    this.#onChange = onChange
  }

  set(key: string, owned: Owned<T>): void {
    const before = this.#byKey.get(key)
    if (before !== undefined && before.owner !== owned.owner) this.remove(key)
    this.#byKey.set(key, owned)
    const own = this.#byOwner.get(owned.owner) ?? new Map<string, T>()
    this.#byOwner.set(owned.owner, own.set(key, owned.value))
    this.#onChange(owned.owner)
  }

  remove(key: string): void {
    const before = this.#byKey.get(key)
    if (before === undefined) return
    this.#byKey.delete(key)
    const own = this.#byOwner.get(before.owner)
    own?.delete(key)
    if (own?.size === 0) this.#byOwner.delete(before.owner)
    this.#onChange(before.owner)
  }

  of(owner: string): readonly T[] {
    return [...(this.#byOwner.get(owner)?.values() ?? [])]
  }

  owners(): Iterable<string> {
    return this.#byOwner.keys()
  }
}

export function managedObject(plural: ManagedPlural, { metadata, spec, status }: KubernetesObject): ManagedObject {
  const { name, uid = '', resourceVersion = '' } = metadata
  const generation = metadata['generation']
  return {
    plural,
    name,
    uid,
    version: typeof generation === 'number' && plural !== 'services' ? String(generation) : resourceVersion,
    ...(plural === 'services' && { service: serviceStanding(spec, status) }),
  }
}

function serviceStanding(spec: unknown, status: unknown): ServiceStanding {
  const { type, clusterIPs } = recordOf(spec)
  const { ingress } = recordOf(recordOf(status)['loadBalancer'])
  return {
    type: textOr(type, 'ClusterIP'),
    clusterIps: texts(clusterIPs).filter((address) => address !== 'None'),
    ingress: list(ingress).map((entry) => {
      const { ip, hostname } = recordOf(entry)
      return { ...(typeof ip === 'string' && { ip }), ...(typeof hostname === 'string' && { hostname }) }
    }),
  }
}

export function podStanding({ metadata, status }: KubernetesObject): PodStanding {
  const { conditions, hostIPs, hostIP, containerStatuses } = recordOf(status)
  const condition = (type: string) => recordOf(list(conditions).find((each) => recordOf(each)['type'] === type))
  const scheduled = condition('PodScheduled')
  const waiting = list(containerStatuses)
    .map((each) => recordOf(recordOf(recordOf(each)['state'])['waiting']))
    .find(({ reason }) => typeof reason === 'string' && !STARTING.has(reason))
  const trouble =
    scheduled['status'] === 'False'
      ? { reason: textOr(scheduled['reason'], 'Unschedulable'), message: textOr(scheduled['message'], '') }
      : waiting && { reason: textOr(waiting['reason'], ''), message: textOr(waiting['message'], '') }
  const addresses = list(hostIPs).flatMap((each) => texts([recordOf(each)['ip']]))
  return {
    name: metadata.name,
    ready: metadata['deletionTimestamp'] === undefined && condition('Ready')['status'] === 'True',
    hostIps: addresses.length > 0 ? addresses : texts([hostIP]),
    ...(trouble !== undefined && { trouble }),
  }
}

/** Reasons for which a container waits while nothing is wrong. */
const STARTING: ReadonlySet<string> = new Set(['ContainerCreating', 'PodInitializing'])

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function texts(value: unknown): readonly string[] {
  return list(value).filter((each) => typeof each === 'string' && each !== '') as string[]
}

function textOr(value: unknown, fallback: string): string {
  return typeof value === 'string' ? value : fallback
}
