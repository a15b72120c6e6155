import { type LabelMatcher, parseLabelSelector } from '../../model/match/labels.ts'
import type { LabelSelector } from '../../model/resource.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import type { GatewayAttachments } from './attach-gateways.ts'
import type { GatewaySlice, ListenerSlice, RouteSlice, StreamListenerSlice, StreamRouteSlice } from './gateway-slice.ts'
import { type GatewayFacts, SYSTEM_NAMESPACE } from './gateways.ts'
import type { ListenerFacts } from './listeners.ts'
import type { MeshSettings } from './mesh-settings.ts'
import type { NamespaceFacts } from './namespace.ts'
import { type OutboundRef, serviceNamed } from './outbound.ts'
import type { MeshPolicy } from './policy.ts'
import type { RouteFacts } from './routes.ts'
import { indexRoutedPorts } from './service-routing.ts'
import type { ServiceFacts } from './services.ts'
import type { SidecarSlice } from './sidecar-config.ts'
import type { StreamRouteFacts } from './stream-routes.ts'

/**
 * All that one workload depends on, as a value: the only thing that the code which makes its config is given, and the
 * key under which that config is kept. It holds no addresses, so that a restart of a pod makes no config anew.
 */
export type Slice = SidecarSlice | GatewaySlice

export interface World {
  readonly namespaces: ReadonlyMap<string, NamespaceFacts>
  readonly meshPolicies: readonly MeshPolicy[]
  readonly gateways: readonly GatewayFacts[]
  readonly routes: readonly RouteFacts[]
  readonly streamRoutes: readonly StreamRouteFacts[]
  readonly atGateways: GatewayAttachments
  readonly mesh: MeshSettings
  readonly roots: readonly string[]
  readonly distrustedRoots: readonly string[]
}

/** The slice of every workload and gateway. */
export function slicesOf(world: World): ReadonlyMap<WorkloadId, Slice> {
  const slices = new Map<WorkloadId, Slice>()
  const named = egressServices(world.mesh)
  const foreign = named.flatMap(({ namespace, service }) =>
    (world.namespaces.get(namespace)?.foreign ?? []).filter(({ name }) => name === service),
  )
  const routed = indexRoutedPorts(world.routes)
  for (const facts of world.namespaces.values()) {
    if (facts.name === SYSTEM_NAMESPACE) continue
    const meshPolicies = meshPoliciesFor(world.meshPolicies, facts.labels, 'sidecar')
    for (const workload of facts.workloads) {
      const outbound = outboundServices(facts, [...workload.outbound, ...named], world.namespaces)
      const slice: SidecarSlice = {
        role: 'sidecar',
        workload,
        meshPolicies,
        mesh: world.mesh,
        roots: world.roots,
        distrustedRoots: world.distrustedRoots,
        outbound,
        routed: routed.for(facts.name, outbound),
        foreign,
      }
      slices.set(workload.id, slice)
    }
  }
  for (const gateway of world.gateways) {
    if (gateway.listeners.length > 0) slices.set(gateway.id, gatewaySlice(gateway, world))
  }
  return slices
}

/** The MeshSecurityPolicies that are enforced for a namespace. One whose selector cannot be read is for every one. */
export function meshPoliciesFor(
  policies: readonly MeshPolicy[],
  labels: Readonly<Record<string, string>>,
  role: 'sidecar' | 'gateway',
): readonly MeshPolicy[] {
  return policies.filter(({ mode, roles, namespaceSelector }) => {
    if (mode === 'Off' || !roles.includes(role)) return false
    return namespaceSelector === undefined || matcherOf(namespaceSelector)(labels)
  })
}

const matchers = new WeakMap<LabelSelector, LabelMatcher>()

function matcherOf(selector: LabelSelector): LabelMatcher {
  const known = matchers.get(selector)
  if (known !== undefined) return known
  const parsed = parseLabelSelector(selector)
  const matcher: LabelMatcher = parsed.ok ? parsed.value : () => true
  matchers.set(selector, matcher)
  return matcher
}

/** The Services that the egress list names one by one. */
function egressServices({ egress }: MeshSettings): readonly Required<OutboundRef>[] {
  const refs = new Map<string, Required<OutboundRef>>()
  for (const { host = '' } of egress) {
    const ref = serviceNamed(host)
    if (ref !== undefined) refs.set(`${ref.namespace}/${ref.service}`, ref)
  }
  return [...refs.values()]
}

/** Its own namespace's Services and those that it, or the egress list, names. So a config does not grow with the cluster. */
function outboundServices(
  own: NamespaceFacts,
  refs: readonly OutboundRef[],
  namespaces: ReadonlyMap<string, NamespaceFacts>,
): readonly (readonly ServiceFacts[])[] {
  const wanted = new Map<string, Set<string> | 'all'>()
  for (const { namespace, service } of refs) {
    if (namespace === own.name) continue
    const there = wanted.get(namespace)
    if (service === undefined || there === 'all') wanted.set(namespace, 'all')
    else wanted.set(namespace, (there ?? new Set<string>()).add(service))
  }
  const lists = [own.services]
  for (const namespace of [...wanted.keys()].sort()) {
    const services = namespaces.get(namespace)?.services ?? []
    const names = wanted.get(namespace)
    lists.push(names === 'all' ? services : services.filter(({ name }) => names?.has(name)))
  }
  return lists
}

function gatewaySlice(
  gateway: GatewayFacts,
  { routes, streamRoutes, namespaces, meshPolicies, atGateways, mesh, roots, distrustedRoots }: World,
): GatewaySlice {
  const served = gateway.listeners.filter(isServed).map((listener) => ({
    listener,
    reaches: atGateways.reachesOfListener(gateway.id, listener.name),
  }))
  const policiesOf = (namespace: string) =>
    meshPoliciesFor(meshPolicies, namespaces.get(namespace)?.labels ?? {}, 'gateway')
  const attachedHere = (attached: RouteFacts['attached']) =>
    attached.filter((each) => each.gateway === gateway.id).map(({ listener, hostnames }) => ({ listener, hostnames }))
  return {
    role: 'gateway',
    id: gateway.id,
    namespace: gateway.namespace,
    serviceAccount: gateway.serviceAccount,
    listeners: served.flatMap(({ listener, reaches }): ListenerSlice[] => {
      const { name, port, protocol, hostname, certificates } = listener
      if (protocol === 'tls' || protocol === 'tcp') return []
      return [{ name, port, protocol, ...(hostname !== undefined && { hostname }), certificates, reaches }]
    }),
    routes: routes.flatMap((route): RouteSlice[] => {
      const attached = attachedHere(route.attached)
      if (attached.length === 0) return []
      const { kind, namespace, name, createdAt, key } = route
      return [
        {
          kind,
          namespace,
          name,
          createdAt,
          attached,
          rules: route.rules.map((rule, i) => ({ ...rule, reaches: atGateways.reachesOfRule(key, i) })),
          meshPolicies: policiesOf(namespace),
        },
      ]
    }),
    streams: served.flatMap(({ listener, reaches }): StreamListenerSlice[] => {
      const { name, port, protocol, mode, hostname, certificates } = listener
      if (protocol === 'http' || protocol === 'https') return []
      const named = { ...(mode !== undefined && { mode }), ...(hostname !== undefined && { hostname }) }
      return [{ name, port, protocol, ...named, certificates, reaches }]
    }),
    streamRoutes: streamRoutes.flatMap((route): StreamRouteSlice[] => {
      const attached = attachedHere(route.attached)
      if (attached.length === 0) return []
      const { kind, namespace, name, createdAt, generation, key } = route
      const rules = route.rules.map((rule, i) => ({ ...rule, reaches: atGateways.reachesOfRule(key, i) }))
      return [{ kind, namespace, name, createdAt, generation, attached, rules, meshPolicies: policiesOf(namespace) }]
    }),
    mesh,
    roots,
    distrustedRoots,
  }
}

/** What shows clients a certificate is not served without one. */
export function isServed({ isValid, protocol, mode, certificates }: ListenerFacts): boolean {
  return isValid && ((protocol !== 'https' && mode !== 'terminate') || certificates.length > 0)
}
