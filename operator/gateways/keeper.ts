import { canonicalJson } from '../../contract/codec.ts'
import type { Log } from '../../runtime/log.ts'
import { applyObject } from '../kubernetes/apply.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { isNotFound } from '../kubernetes/errors.ts'
import { type KubernetesObject, recordOf } from '../kubernetes/object.ts'
import { type ResourcePath, resourcePath } from '../kubernetes/path.ts'
import { CONTROLLER_NAME, readGatewayClass } from '../resources/gateway.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type GatewayFacts, gatewayServiceAccount, SYSTEM_NAMESPACE } from '../translate/gateways.ts'
import type { GatewayCounters } from './counters.ts'
import { FIELD_MANAGER, gatewayOf } from './labels.ts'
import { MANAGED_KINDS, type ManagedObject, type Mirror, managedObject } from './mirror.ts'
import { type GatewayObject, type GatewaySettings, gatewayObjects } from './objects.ts'

/** What is done to the objects of a Gateway. */
export interface Keeper {
  /** What should be there; nothing for a Gateway that is not accepted. */
  wanted(gateway: GatewayFacts): readonly GatewayObject[]
  /** Brings them to where they should be. Rejects when some could not be, after all were tried. */
  keep(gateway: GatewayFacts): Promise<void>
  /** Takes away those of a Gateway (`namespace/name`) that is gone, or is another controller's now. */
  collect(gateway: string): Promise<void>
}

export interface KeeperOptions {
  readonly client: KubernetesClient
  readonly mirror: Pick<Mirror, 'objects'>
  readonly snapshot: () => Snapshot
  readonly settings: GatewaySettings
  readonly counters: GatewayCounters
  readonly log: Log
  readonly signal: AbortSignal
}

/** An object of that name is there, and is not this Gateway's. */
export class NotOursError extends Error {
  override readonly name = 'NotOursError'
}

export function createKeeper({ client, mirror, snapshot, settings, counters, log, signal }: KeeperOptions): Keeper {
  /** By plural and name: what was applied last, and which version came of it. As many as there are objects. */
  const applied = new Map<string, { readonly text: string; readonly version: string }>()

  const wanted = (gateway: GatewayFacts): readonly GatewayObject[] => {
    const { accepted, parameters } = gateway
    // What is not accepted is not made, and what was made before stays: a mistake in an edit takes nobody's service.
    if (accepted.status === 'False' || parameters === undefined) return []
    return gatewayObjects({ ...gateway, parameters }, settings)
  }

  const apply = async ({ plural, object }: GatewayObject, there: readonly ManagedObject[]) => {
    const id = `${plural}/${object.metadata.name}`
    const present = there.find((each) => each.plural === plural && each.name === object.metadata.name)
    const text = canonicalJson(object)
    const before = applied.get(id)
    if (present !== undefined && before?.text === text && before.version === present.version) return
    if (present === undefined) await refuseOthers(plural, object)
    const result = await applyObject(client, object, { plural, fieldManager: FIELD_MANAGER, force: true, signal })
    counters.applied.add()
    if (before?.text !== text) log.info('an object of a gateway was applied', { 'hauberk.object': id })
    applied.set(id, { text, version: managedObject(plural, result).version })
  }

  const refuseOthers = async (
    plural: GatewayObject['plural'],
    { apiVersion, kind, metadata }: GatewayObject['object'],
  ) => {
    const { name, namespace = SYSTEM_NAMESPACE } = metadata
    const there = await read(client, { apiVersion, plural, namespace, name }, signal)
    if (there === undefined || ownerOf(there.metadata) === ownerOf(metadata)) return
    throw new NotOursError(`There is a ${kind} ${namespace}/${name} that was not made for this Gateway.`)
  }

  const remove = async ({ plural, name, uid }: ManagedObject) => {
    const apiVersion = MANAGED_KINDS.find((kind) => kind.plural === plural)?.apiVersion ?? 'v1'
    try {
      await client.request({
        method: 'DELETE',
        path: resourcePath({ apiVersion, plural, namespace: SYSTEM_NAMESPACE, name }),
        // Not another one that was made under the name since.
        body: { preconditions: { uid }, propagationPolicy: 'Background' },
        signal,
      })
      counters.deleted.add()
      log.info('an object of a gateway was deleted', { 'hauberk.object': `${plural}/${name}` })
    } catch (error) {
      if (!isNotFound(error)) throw error
    }
    applied.delete(`${plural}/${name}`)
  }

  return {
    wanted,
    async keep(gateway) {
      const objects = wanted(gateway)
      if (objects.length === 0) return
      const there = mirror.objects(`${gateway.namespace}/${gateway.name}`)
      const failures: unknown[] = []
      for (const object of objects) await apply(object, there).catch((error: unknown) => failures.push(error))
      if (failures.length > 0) throw failures[0]
      for (const each of there) {
        const isWanted = objects.some(({ plural }) => plural === each.plural)
        if (!isWanted && each.name === gateway.serviceAccount) await remove(each)
      }
    },
    async collect(gateway) {
      const [namespace = '', name = ''] = gateway.split('/')
      const there = mirror.objects(gateway).filter((each) => each.name === gatewayServiceAccount(namespace, name))
      if (there.length === 0 || !(await isGone(client, namespace, name, snapshot(), signal))) return
      for (const { plural } of MANAGED_KINDS) {
        for (const each of there) if (each.plural === plural) await remove(each)
      }
    },
  }
}

function ownerOf(metadata: Readonly<Record<string, unknown>>): string | undefined {
  return gatewayOf(metadata['labels'] as Readonly<Record<string, string>> | undefined)
}

/**
 * Whether nobody wants what was made for a Gateway: the API server itself says that it is gone, or it names the class of
 * another controller. One whose class is missing, or that cannot be read, may be ours again in a moment.
 */
async function isGone(
  client: KubernetesClient,
  namespace: string,
  name: string,
  snapshot: Snapshot,
  signal: AbortSignal,
): Promise<boolean> {
  const path = { apiVersion: 'gateway.networking.k8s.io/v1', plural: 'gateways', namespace, name }
  const gateway = await read(client, path, signal)
  if (gateway === undefined) return true
  const className = recordOf(gateway['spec'])['gatewayClassName']
  const found = typeof className === 'string' ? snapshot.get('GatewayClass', undefined, className) : undefined
  const gatewayClass = found && readGatewayClass(found)
  return gatewayClass?.ok === true && gatewayClass.value.spec.controllerName !== CONTROLLER_NAME
}

/** Undefined where there is none. */
async function read(
  client: KubernetesClient,
  path: ResourcePath,
  signal: AbortSignal,
): Promise<KubernetesObject | undefined> {
  try {
    return await client.request<KubernetesObject>({ path: resourcePath(path), signal })
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
  }
}
