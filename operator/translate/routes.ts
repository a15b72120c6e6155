import { type Resource, resourceKey } from '../../model/resource.ts'
import { type Issue, issue, ok, type Result } from '../../model/result.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import { readGRPCRoute } from '../resources/grpc-route.ts'
import { type BackendRef, type ParentRef, readHTTPRoute } from '../resources/http-route.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { GatewayFacts } from './gateways.ts'
import { isGranted } from './grants.ts'
import { readGrpcRules } from './grpc-rules.ts'
import { intersectHostnames } from './hostnames.ts'
import { ROUTE_KINDS, type RouteKind } from './listeners.ts'
import type { NamespaceFacts } from './namespace.ts'
import { ACCEPTED, type ConditionFound, type ParentReport, RESOLVED, refused } from './report.ts'
import { type RouteRule, readHostnames, readRules } from './route-rules.ts'
import { type ServiceFacts, type ServicePortFacts, upstreamName } from './services.ts'

/** A route and where it is served. */
export interface RouteFacts {
  readonly resource: Resource
  /** `HTTPRoute/namespace/name`. */
  readonly key: string
  readonly kind: RouteKind
  readonly namespace: string
  readonly name: string
  readonly createdAt: string
  readonly rules: readonly ResolvedRule[]
  readonly attached: readonly RouteAttachment[]
  readonly parents: readonly ParentReport[]
  readonly issues: readonly Issue[]
}

export interface RouteAttachment {
  readonly gateway: WorkloadId
  readonly listener: string
  /** Empty: every host. */
  readonly hostnames: readonly string[]
}

export interface ResolvedRule extends Omit<RouteRule, 'backendRefs' | 'mirrors'> {
  readonly backends: readonly {
    readonly weight: number
    /** Absent: the reference does not resolve, and its share is answered 500. */
    readonly target?: BackendTarget
  }[]
  /** Those that resolve. */
  readonly mirrors: readonly {
    readonly target: BackendTarget
    readonly numerator: number
    readonly denominator: number
  }[]
}

export interface BackendTarget {
  readonly upstream: string
  readonly service: ServiceFacts
  readonly port: ServicePortFacts
}

const GATEWAY_API = 'gateway.networking.k8s.io'

/** Every route with a parent of ours, by kind, namespace and name. */
export function routesOf(
  snapshot: Snapshot,
  gateways: readonly GatewayFacts[],
  namespaces: ReadonlyMap<string, NamespaceFacts>,
): { readonly routes: readonly RouteFacts[]; readonly issues: readonly { resource: Resource; issue: Issue }[] } {
  const byName = new Map(gateways.map((gateway) => [`${gateway.namespace}/${gateway.name}`, gateway]))
  const routes: RouteFacts[] = []
  const unread: { resource: Resource; issue: Issue }[] = []
  const claims = new HostClaims()
  for (const { kind, resource } of byAge(snapshot)) {
    const { name, namespace = 'default', creationTimestamp = '' } = resource.metadata
    const read = readRoute(kind, resource)
    if (!read.ok) {
      unread.push(...read.issues.map((found) => ({ resource, issue: found })))
      continue
    }
    const ours = read.value.parentRefs.flatMap((parentRef) => {
      const { group = GATEWAY_API, kind = 'Gateway' } = parentRef
      const gateway = byName.get(`${parentRef.namespace ?? namespace}/${parentRef.name}`)
      return gateway === undefined || group !== GATEWAY_API || kind !== 'Gateway' ? [] : [{ parentRef, gateway }]
    })
    if (ours.length === 0) continue

    const issues: Issue[] = []
    const { rules, hostnames } = read.value
    issues.push(...(rules.ok ? [] : rules.issues), ...(hostnames.ok ? [] : hostnames.issues))
    const [first] = issues
    const unsupported =
      first === undefined
        ? undefined
        : refused(
            first.code === 'incompatible-filters' ? 'IncompatibleFilters' : 'UnsupportedValue',
            `${first.path}: ${first.message}`,
          )
    const refs = { reported: RESOLVED }
    const resolved = rules.ok ? rules.value.map((rule, i) => resolveRule(rule, i)) : []
    function resolve(ref: BackendRef, path: string): BackendTarget | undefined {
      const backend = resolveBackend(ref, kind, namespace, snapshot, namespaces)
      if (backend.ok) return backend.target
      issues.push(issue('backend-not-resolved', path, backend.message))
      if (refs.reported === RESOLVED) refs.reported = refused(backend.reason, backend.message)
      return undefined
    }
    function resolveRule({ backendRefs, mirrors, ...rule }: RouteRule, index: number): ResolvedRule {
      return {
        ...rule,
        mirrors: mirrors.flatMap(({ path, backendRef, numerator, denominator }) => {
          const target = resolve(backendRef, path)
          return target === undefined ? [] : [{ target, numerator, denominator }]
        }),
        backends: backendRefs.map((ref, i) => {
          const target = resolve(ref, `spec.rules[${index}].backendRefs[${i}]`)
          const { weight = 1 } = ref
          return target === undefined ? { weight } : { target, weight }
        }),
      }
    }

    const labels = namespaces.get(namespace)?.labels ?? {}
    const attached: RouteAttachment[] = []
    const route = { kind, namespace, name, labels }
    const parents = ours.map(({ parentRef, gateway }): ParentReport => {
      const found =
        unsupported ?? attach(parentRef, gateway, route, hostnames.ok ? hostnames.value : [], attached, claims)
      return { parentRef, gateway: gateway.id, accepted: found, resolvedRefs: refs.reported }
    })
    routes.push({
      resource,
      key: resourceKey(kind, namespace, name),
      kind,
      namespace,
      name,
      createdAt: creationTimestamp,
      rules: resolved,
      attached,
      parents,
      issues,
    })
  }
  return { routes: routes.sort((a, b) => (a.key < b.key ? -1 : 1)), issues: unread }
}

/** Older first, then by namespace and name: who was there first keeps a hostname that two kinds want. */
function byAge(snapshot: Snapshot): readonly { readonly kind: RouteKind; readonly resource: Resource }[] {
  const all = ROUTE_KINDS.flatMap((kind) =>
    snapshot.ofKind(kind).map((resource) => {
      const { name, namespace = 'default', creationTimestamp = '' } = resource.metadata
      return { kind, resource, age: `${creationTimestamp} ${namespace}/${name} ${kind}` }
    }),
  )
  return all.sort((a, b) => (a.age < b.age ? -1 : 1))
}

/** What routes of every kind say. */
interface ReadRoute {
  readonly parentRefs: readonly ParentRef[]
  readonly hostnames: Result<readonly string[]>
  readonly rules: Result<readonly RouteRule[]>
}

function readRoute(kind: RouteKind, resource: Resource): Result<ReadRoute> {
  if (kind === 'GRPCRoute') {
    const read = readGRPCRoute(resource)
    if (!read.ok) return read
    const { parentRefs = [] } = read.value.spec
    return ok({ parentRefs, hostnames: readHostnames(read.value), rules: readGrpcRules(read.value) })
  }
  const read = readHTTPRoute(resource)
  if (!read.ok) return read
  const { parentRefs = [] } = read.value.spec
  return ok({ parentRefs, hostnames: readHostnames(read.value), rules: readRules(read.value) })
}

/** A route, as far as a listener asks whose it is. */
interface AttachingRoute {
  readonly kind: RouteKind
  readonly namespace: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

/**
 * A hostname of a listener is for routes of one kind, those of the oldest route (Gateway API, GRPCRouteSpec.hostnames):
 * what is a call and what is a request is not to be told apart by the paths of two authors.
 */
class HostClaims {
  /** By kind and listener: where all routes are of one kind, nobody is looked at. */
  readonly #claims = new Map<string, { readonly route: AttachingRoute; readonly hostnames: readonly string[] }[]>()

  /** The route of another kind that has one of the hostnames at the listener. */
  holderOf(listener: string, kind: RouteKind, hostnames: readonly string[]): AttachingRoute | undefined {
    for (const other of ROUTE_KINDS) {
      if (other === kind) continue
      const there = this.#claims.get(`${other} ${listener}`) ?? []
      const found = there.find((claim) => haveOneInCommon(claim.hostnames, hostnames))
      if (found !== undefined) return found.route
    }
    return undefined
  }

  add(listener: string, route: AttachingRoute, hostnames: readonly string[]): void {
    const key = `${route.kind} ${listener}`
    const there = this.#claims.get(key) ?? []
    this.#claims.set(key, there)
    there.push({ route, hostnames })
  }
}

/** Of two lists, of which an empty one is every host. */
function haveOneInCommon(a: readonly string[], b: readonly string[]): boolean {
  if (a.length === 0 || b.length === 0) return true
  return a.some((hostname) => intersectHostnames(b, hostname) !== undefined)
}

/** Attaches a route to the listeners that one parentRef comes to; says why where that is none. */
function attach(
  { sectionName, port }: ParentRef,
  gateway: GatewayFacts,
  route: AttachingRoute,
  hostnames: readonly string[],
  attached: RouteAttachment[],
  claims: HostClaims,
): ConditionFound {
  const { kind, namespace, labels } = route
  const named = gateway.listeners.filter(
    (listener) =>
      listener.isValid &&
      (sectionName === undefined || listener.name === sectionName) &&
      (port === undefined || listener.port === port),
  )
  if (named.length === 0) {
    const which = sectionName === undefined ? 'listener' : `listener ${sectionName}`
    return refused(
      'NoMatchingParent',
      `Gateway ${gateway.namespace}/${gateway.name} has no such ${which} that is valid.`,
    )
  }
  const admitting = named.filter((listener) => listener.admits(kind, namespace, labels))
  if (admitting.length === 0) {
    return refused('NotAllowedByListeners', `allowedRoutes does not admit ${kind}s of namespace ${namespace}.`)
  }
  const served = admitting.flatMap((listener) => {
    const both = intersectHostnames(hostnames, listener.hostname)
    return both === undefined ? [] : [{ listener, both, place: `${gateway.id} ${listener.name}` }]
  })
  for (const { listener, both, place } of served) {
    const holder = claims.holderOf(place, kind, both)
    if (holder === undefined) continue
    const message = `${holder.kind} ${holder.namespace}/${holder.name} is older and has a hostname of its own at listener ${listener.name}: one hostname is for routes of one kind.`
    return refused('HostnameConflict', message)
  }
  for (const { listener, both, place } of served) {
    claims.add(place, route, both)
    const known = attached.findIndex((each) => each.gateway === gateway.id && each.listener === listener.name)
    if (known === -1) attached.push({ gateway: gateway.id, listener: listener.name, hostnames: both })
  }
  return served.length > 0
    ? ACCEPTED
    : refused('NoMatchingListenerHostname', 'No hostname of the route is one of the listener.')
}

type Backend =
  | { readonly ok: true; readonly target: BackendTarget }
  | { readonly ok: false; readonly reason: string; readonly message: string }

function resolveBackend(
  ref: BackendRef,
  routeKind: RouteKind,
  routeNamespace: string,
  snapshot: Snapshot,
  namespaces: ReadonlyMap<string, NamespaceFacts>,
): Backend {
  const { group = '', kind = 'Service', namespace = routeNamespace, name, port } = ref
  const no = (reason: string, message: string): Backend => ({ ok: false, reason, message })
  if (group !== '' || kind !== 'Service') return no('InvalidKind', `${kind} is not supported: refer to a Service`)
  const from = { group: GATEWAY_API, kind: routeKind, namespace: routeNamespace }
  if (!isGranted(snapshot, { from, to: { group, kind, namespace, name } })) {
    return no('RefNotPermitted', `no ReferenceGrant of ${namespace} permits Service ${namespace}/${name}`)
  }
  const service = namespaces.get(namespace)?.services.find((known) => known.name === name)
  const served = service?.ports.find((known) => known.port === port)
  if (service === undefined) return no('BackendNotFound', `there is no Service ${namespace}/${name} with a selector`)
  if (served === undefined)
    return no('BackendNotFound', `Service ${namespace}/${name} has no TCP port ${port ?? '(none given)'}`)
  if (served.protocol !== 'http') {
    return no('UnsupportedProtocol', `port ${port} of Service ${namespace}/${name} is not HTTP`)
  }
  if (routeKind === 'GRPCRoute' && served.appProtocol !== 'http2') {
    const message = `port ${port} of Service ${namespace}/${name} is not said to speak gRPC: give it appProtocol kubernetes.io/h2c`
    return no('UnsupportedProtocol', message)
  }
  return { ok: true, target: { upstream: upstreamName(namespace, name, served.port), service, port: served } }
}
