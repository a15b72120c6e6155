import { type Resource, resourceKey } from '../../model/resource.ts'
import { type Issue, issue, ok, type Result } from '../../model/result.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import { readGRPCRoute } from '../resources/grpc-route.ts'
import { type ParentRef, readHTTPRoute } from '../resources/http-route.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type ResolvedRule, resolveRules } from './backends.ts'
import { type AttachingRoute, admittingListeners, byAge, gatewayParentsOf } from './gateway-parents.ts'
import type { GatewayFacts } from './gateways.ts'
import { readGrpcRules } from './grpc-rules.ts'
import { intersectHostnames } from './hostnames.ts'
import { ROUTE_KINDS, type RouteKind } from './listeners.ts'
import type { NamespaceFacts } from './namespace.ts'
import { ACCEPTED, type ConditionFound, type ParentReport, RESOLVED, refused } from './report.ts'
import { type RouteRule, readHostnames, readRules } from './route-rules.ts'
import {
  type AttachedToServices,
  attachToServices,
  type RouteForServices,
  type ServiceAttachment,
  type ServiceParent,
  serviceParentsOf,
} from './service-parents.ts'

/** A route and where it is served. */
export interface RouteFacts {
  readonly resource: Resource
  /** `HTTPRoute/namespace/name`. */
  readonly key: string
  readonly kind: RouteKind
  readonly namespace: string
  readonly name: string
  readonly createdAt: string
  /** As Gateways have them. */
  readonly rules: readonly ResolvedRule[]
  readonly attached: readonly RouteAttachment[]
  readonly atServices: readonly ServiceAttachment[]
  readonly parents: readonly ParentReport[]
  readonly issues: readonly Issue[]
}

export interface RouteAttachment {
  readonly gateway: WorkloadId
  readonly listener: string
  /** Empty: every host. */
  readonly hostnames: readonly string[]
}

/** Every route with a parent of ours, by kind, namespace and name. */
export function routesOf(
  snapshot: Snapshot,
  gateways: readonly GatewayFacts[],
  namespaces: ReadonlyMap<string, NamespaceFacts>,
): { readonly routes: readonly RouteFacts[]; readonly issues: readonly { resource: Resource; issue: Issue }[] } {
  const byName = new Map(gateways.map((gateway) => [`${gateway.namespace}/${gateway.name}`, gateway]))
  const drafts: Draft[] = []
  const unread: { resource: Resource; issue: Issue }[] = []
  const claims = new HostClaims()
  for (const { kind, resource } of byAge(snapshot, ROUTE_KINDS)) {
    const { name, namespace = 'default', creationTimestamp = '' } = resource.metadata
    const read = readRoute(kind, resource)
    if (!read.ok) {
      unread.push(...read.issues.map((found) => ({ resource, issue: found })))
      continue
    }
    const ours = gatewayParentsOf(read.value.parentRefs, namespace, byName)
    const services = serviceParentsOf(read.value.parentRefs, namespace)
    if (ours.length === 0 && services.length === 0) continue

    const { rules } = read.value
    // Nobody asks for them at a Service (GEP-1294).
    const hostnames = ours.length === 0 ? ok([]) : read.value.hostnames
    const issues = [...(rules.ok ? [] : rules.issues), ...(hostnames.ok ? [] : hostnames.issues)]
    const unsupported = refusalFor(issues)
    const resolved = rules.ok ? resolveRules(rules.value, { kind, namespace, snapshot, namespaces }) : undefined
    const labels = namespaces.get(namespace)?.labels ?? {}
    const attached: RouteAttachment[] = []
    const route = { kind, namespace, name, labels }
    const parents = ours.map(({ parentRef, position, gateway }): Draft['parents'][number] => {
      const accepted =
        unsupported ?? attach(parentRef, gateway, route, hostnames.ok ? hostnames.value : [], attached, claims)
      const resolvedRefs = resolved?.resolvedRefs ?? RESOLVED
      return [position, { parentRef, gateway: gateway.id, accepted, resolvedRefs }]
    })
    drafts.push({
      resource,
      key: resourceKey(kind, namespace, name),
      kind,
      namespace,
      name,
      createdAt: creationTimestamp,
      rules: resolved?.rules ?? [],
      attached,
      parents,
      issues: [
        ...issues,
        ...((ours.length > 0 && resolved?.issues) || []),
        ...withoutEffect(services, ours.length, resource),
      ],
      forServices: {
        key: resourceKey(kind, namespace, name),
        kind,
        namespace,
        rules,
        unsupported: rules.ok ? undefined : refusalFor(rules.issues),
        parents: services,
      },
    })
  }
  const atServices = attachToServices(
    drafts.map(({ forServices }) => forServices),
    snapshot,
    namespaces,
  )
  const routes = drafts.map((draft) => routeFacts(draft, atServices.get(draft.key)))
  return { routes: routes.sort((a, b) => (a.key < b.key ? -1 : 1)), issues: unread }
}

/** A route as its Gateways have it; what its Services make of it is known only when all routes are. */
interface Draft extends Omit<RouteFacts, 'parents' | 'atServices'> {
  readonly parents: readonly (readonly [position: number, report: ParentReport])[]
  readonly forServices: RouteForServices
}

function routeFacts({ parents, forServices, ...draft }: Draft, found: AttachedToServices | undefined): RouteFacts {
  if (found === undefined) return { ...draft, parents: parents.map(([, report]) => report), atServices: [] }
  const atServices = forServices.parents.map(({ position, parentRef, namespace, name }, i) => {
    const report: ParentReport = { parentRef, service: `${namespace}/${name}`, ...found.conditions[i]! }
    return [position, report] as const
  })
  const told = new Set(draft.issues.map(({ path, message }) => `${path} ${message}`))
  return {
    ...draft,
    parents: [...parents, ...atServices].sort(([a], [b]) => a - b).map(([, report]) => report),
    atServices: found.attachments,
    issues: [...draft.issues, ...found.issues.filter(({ path, message }) => !told.has(`${path} ${message}`))],
  }
}

/** What is not supported of a route refuses it as a whole. */
function refusalFor([first]: readonly Issue[]): ConditionFound | undefined {
  if (first === undefined) return undefined
  const reason = first.code === 'incompatible-filters' ? 'IncompatibleFilters' : 'UnsupportedValue'
  return refused(reason, `${first.path}: ${first.message}`)
}

/** Hostnames of a route that only Services are parents of. */
function withoutEffect(services: readonly ServiceParent[], gateways: number, { spec }: Resource): readonly Issue[] {
  const { hostnames } = spec as { readonly hostnames?: readonly string[] }
  if (services.length === 0 || gateways > 0 || (hostnames ?? []).length === 0) return []
  const message = 'say nothing at a Service: every call to it is for the route'
  return [{ ...issue('not-applied', 'spec.hostnames', message, 'match the header Host'), severity: 'warning' }]
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

/**
 * A hostname of a listener is for routes of one kind, those of the oldest route (Gateway API, GRPCRouteSpec.hostnames):
 * what is a call and what is a request is not to be told apart by the paths of two authors.
 */
class HostClaims {
  /** By kind and listener: where all routes are of one kind, nobody is looked at. */
  readonly #claims = new Map<
    string,
    { readonly route: AttachingRoute<RouteKind>; readonly hostnames: readonly string[] }[]
  >()

  /** The route of another kind that has one of the hostnames at the listener. */
  holderOf(listener: string, kind: RouteKind, hostnames: readonly string[]): AttachingRoute<RouteKind> | undefined {
    for (const other of ROUTE_KINDS) {
      if (other === kind) continue
      const there = this.#claims.get(`${other} ${listener}`) ?? []
      const found = there.find((claim) => haveOneInCommon(claim.hostnames, hostnames))
      if (found !== undefined) return found.route
    }
    return undefined
  }

  add(listener: string, route: AttachingRoute<RouteKind>, hostnames: readonly string[]): void {
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
  parentRef: ParentRef,
  gateway: GatewayFacts,
  route: AttachingRoute<RouteKind>,
  hostnames: readonly string[],
  attached: RouteAttachment[],
  claims: HostClaims,
): ConditionFound {
  const admitting = admittingListeners(parentRef, gateway, route)
  if ('refusal' in admitting) return admitting.refusal
  const served = admitting.listeners.flatMap((listener) => {
    const both = intersectHostnames(hostnames, listener.hostname)
    return both === undefined ? [] : [{ listener, both, place: `${gateway.id} ${listener.name}` }]
  })
  for (const { listener, both, place } of served) {
    const holder = claims.holderOf(place, route.kind, both)
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
