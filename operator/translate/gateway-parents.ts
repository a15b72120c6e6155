import type { Resource } from '../../model/resource.ts'
import type { ParentRef } from '../resources/http-route.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { GATEWAY_API } from './backends.ts'
import type { GatewayFacts } from './gateways.ts'
import type { ListenerFacts } from './listeners.ts'
import { type ConditionFound, refused } from './report.ts'

/** Routes of some kinds, older first, then by namespace and name: who was there first keeps what two want. */
export function byAge<Kind extends string>(
  snapshot: Snapshot,
  kinds: readonly Kind[],
): readonly { readonly kind: Kind; readonly resource: Resource }[] {
  const all = kinds.flatMap((kind) =>
    snapshot.ofKind(kind).map((resource) => {
      const { name, namespace = 'default', creationTimestamp = '' } = resource.metadata
      return { kind, resource, age: `${creationTimestamp} ${namespace}/${name} ${kind}` }
    }),
  )
  return all.sort((a, b) => (a.age < b.age ? -1 : 1))
}

/** A parentRef that names a Gateway of ours, and which of the route's it is. */
export interface GatewayParent {
  readonly parentRef: ParentRef
  readonly position: number
  readonly gateway: GatewayFacts
}

/** `gateways`: by `namespace/name`. */
export function gatewayParentsOf(
  parentRefs: readonly ParentRef[],
  namespace: string,
  gateways: ReadonlyMap<string, GatewayFacts>,
): readonly GatewayParent[] {
  return parentRefs.flatMap((parentRef, position) => {
    const { group = GATEWAY_API, kind = 'Gateway' } = parentRef
    const gateway = gateways.get(`${parentRef.namespace ?? namespace}/${parentRef.name}`)
    return gateway === undefined || group !== GATEWAY_API || kind !== 'Gateway'
      ? []
      : [{ parentRef, position, gateway }]
  })
}

/** A route, as far as a listener asks whose it is. */
export interface AttachingRoute<Kind extends ListenerFacts['kinds'][number]> {
  readonly kind: Kind
  readonly namespace: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

/** The listeners of a Gateway that a parentRef comes to and that admit the route; why not, where there is none. */
export function admittingListeners(
  { sectionName, port }: ParentRef,
  gateway: GatewayFacts,
  { kind, namespace, labels }: AttachingRoute<ListenerFacts['kinds'][number]>,
): { readonly listeners: readonly ListenerFacts[] } | { readonly refusal: ConditionFound } {
  const named = gateway.listeners.filter(
    (listener) =>
      listener.isValid &&
      (sectionName === undefined || listener.name === sectionName) &&
      (port === undefined || listener.port === port),
  )
  if (named.length === 0) {
    const which = sectionName === undefined ? 'listener' : `listener ${sectionName}`
    const message = `Gateway ${gateway.namespace}/${gateway.name} has no such ${which} that is valid.`
    return { refusal: refused('NoMatchingParent', message) }
  }
  const listeners = named.filter((listener) => listener.admits(kind, namespace, labels))
  if (listeners.length > 0) return { listeners }
  const message = named.some(({ kinds }) => kinds.includes(kind))
    ? `allowedRoutes does not admit ${kind}s of namespace ${namespace}.`
    : `Listeners of ${protocolsOf(named)} take no ${kind}s.`
  return { refusal: refused('NotAllowedByListeners', message) }
}

function protocolsOf(listeners: readonly ListenerFacts[]): string {
  return [...new Set(listeners.map(({ protocol }) => protocol.toUpperCase()))].join(' and ')
}
