import { type Resource, resourceKey } from '../../model/resource.ts'
import { type Issue, issue } from '../../model/result.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import { type BackendRef, type ParentRef, readHTTPRoute } from '../resources/http-route.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { GatewayFacts } from './gateways.ts'
import { isGranted } from './grants.ts'
import { intersectHostnames } from './hostnames.ts'
import type { NamespaceFacts } from './namespace.ts'
import { ACCEPTED, type ConditionFound, type ParentReport, RESOLVED, refused } from './report.ts'
import { type RouteRule, readHostnames, readRules } from './route-rules.ts'
import { type ServiceFacts, type ServicePortFacts, upstreamName } from './services.ts'

/** An HTTPRoute and where it is served. */
export interface RouteFacts {
  readonly resource: Resource
  /** `HTTPRoute/namespace/name`. */
  readonly key: string
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

/** Every HTTPRoute with a parent of ours, by namespace and name. */
export function routesOf(
  snapshot: Snapshot,
  gateways: readonly GatewayFacts[],
  namespaces: ReadonlyMap<string, NamespaceFacts>,
): { readonly routes: readonly RouteFacts[]; readonly issues: readonly { resource: Resource; issue: Issue }[] } {
  const byName = new Map(gateways.map((gateway) => [`${gateway.namespace}/${gateway.name}`, gateway]))
  const routes: RouteFacts[] = []
  const unread: { resource: Resource; issue: Issue }[] = []
  for (const resource of snapshot.ofKind('HTTPRoute')) {
    const { name, namespace = 'default', creationTimestamp = '' } = resource.metadata
    const read = readHTTPRoute(resource)
    if (!read.ok) {
      unread.push(...read.issues.map((found) => ({ resource, issue: found })))
      continue
    }
    const ours = (read.value.spec.parentRefs ?? []).flatMap((parentRef) => {
      const { group = GATEWAY_API, kind = 'Gateway' } = parentRef
      const gateway = byName.get(`${parentRef.namespace ?? namespace}/${parentRef.name}`)
      return gateway === undefined || group !== GATEWAY_API || kind !== 'Gateway' ? [] : [{ parentRef, gateway }]
    })
    if (ours.length === 0) continue

    const issues: Issue[] = []
    const rules = readRules(read.value)
    const hostnames = readHostnames(read.value)
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
      const backend = resolveBackend(ref, namespace, snapshot, namespaces)
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
    const parents = ours.map(({ parentRef, gateway }): ParentReport => {
      const found =
        unsupported ?? attach(parentRef, gateway, namespace, labels, hostnames.ok ? hostnames.value : [], attached)
      return { parentRef, gateway: gateway.id, accepted: found, resolvedRefs: refs.reported }
    })
    routes.push({
      resource,
      key: resourceKey('HTTPRoute', namespace, name),
      namespace,
      name,
      createdAt: creationTimestamp,
      rules: resolved,
      attached,
      parents,
      issues,
    })
  }
  return { routes, issues: unread }
}

/** Attaches a route to the listeners that one parentRef comes to; says why where that is none. */
function attach(
  { sectionName, port }: ParentRef,
  gateway: GatewayFacts,
  namespace: string,
  labels: Readonly<Record<string, string>>,
  hostnames: readonly string[],
  attached: RouteAttachment[],
): ConditionFound {
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
  const admitting = named.filter((listener) => listener.admits(namespace, labels))
  if (admitting.length === 0) {
    return refused('NotAllowedByListeners', `allowedRoutes does not admit HTTPRoutes of namespace ${namespace}.`)
  }
  let isServed = false
  for (const listener of admitting) {
    const both = intersectHostnames(hostnames, listener.hostname)
    if (both === undefined) continue
    isServed = true
    const known = attached.findIndex((each) => each.gateway === gateway.id && each.listener === listener.name)
    if (known === -1) attached.push({ gateway: gateway.id, listener: listener.name, hostnames: both })
  }
  return isServed ? ACCEPTED : refused('NoMatchingListenerHostname', 'No hostname of the route is one of the listener.')
}

type Backend =
  | { readonly ok: true; readonly target: BackendTarget }
  | { readonly ok: false; readonly reason: string; readonly message: string }

function resolveBackend(
  ref: BackendRef,
  routeNamespace: string,
  snapshot: Snapshot,
  namespaces: ReadonlyMap<string, NamespaceFacts>,
): Backend {
  const { group = '', kind = 'Service', namespace = routeNamespace, name, port } = ref
  const no = (reason: string, message: string): Backend => ({ ok: false, reason, message })
  if (group !== '' || kind !== 'Service') return no('InvalidKind', `${kind} is not supported: refer to a Service`)
  const from = { group: GATEWAY_API, kind: 'HTTPRoute', namespace: routeNamespace }
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
  return { ok: true, target: { upstream: upstreamName(namespace, name, served.port), service, port: served } }
}
