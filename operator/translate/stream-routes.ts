import { generationOf, type Resource, resourceKey } from '../../model/resource.ts'
import { type Issue, issue, ok, type Result } from '../../model/result.ts'
import type { ParentRef } from '../resources/http-route.ts'
import { readTCPRoute } from '../resources/tcp-route.ts'
import { readTLSRoute, type StreamRouteRule } from '../resources/tls-route.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type BackendTarget, resolveBackend } from './backends.ts'
import { type AttachingRoute, admittingListeners, byAge, gatewayParentsOf } from './gateway-parents.ts'
import type { GatewayFacts } from './gateways.ts'
import { intersectHostnames } from './hostnames.ts'
import { STREAM_KINDS, type StreamKind } from './listeners.ts'
import type { NamespaceFacts } from './namespace.ts'
import { ACCEPTED, type ConditionFound, type ParentReport, RESOLVED, refused } from './report.ts'
import { readHostnames } from './route-rules.ts'
import type { RouteAttachment } from './routes.ts'

/** A TLSRoute or TCPRoute, and where it is served. */
export interface StreamRouteFacts {
  readonly resource: Resource
  /** `TLSRoute/namespace/name`. */
  readonly key: string
  readonly kind: StreamKind
  readonly namespace: string
  readonly name: string
  readonly createdAt: string
  readonly generation: number
  /** One, or none where it cannot be obeyed. */
  readonly rules: readonly StreamRule[]
  /** Hostnames that an older route has at a listener are not among those there. */
  readonly attached: readonly RouteAttachment[]
  readonly parents: readonly ParentReport[]
  readonly issues: readonly Issue[]
}

export interface StreamRule {
  readonly name?: string
  readonly backends: readonly {
    readonly weight: number
    /** Absent: the reference does not resolve, and its share of the connections is closed. */
    readonly target?: BackendTarget
  }[]
}

/** Every TLSRoute and TCPRoute with a Gateway of ours as a parent, by kind, namespace and name. */
export function streamRoutesOf(
  snapshot: Snapshot,
  gateways: readonly GatewayFacts[],
  namespaces: ReadonlyMap<string, NamespaceFacts>,
): {
  readonly routes: readonly StreamRouteFacts[]
  readonly issues: readonly { readonly resource: Resource; readonly issue: Issue }[]
} {
  const byName = new Map(gateways.map((gateway) => [`${gateway.namespace}/${gateway.name}`, gateway]))
  const routes: StreamRouteFacts[] = []
  const unread: { resource: Resource; issue: Issue }[] = []
  const claims = new NameClaims()
  for (const { kind, resource } of byAge(snapshot, STREAM_KINDS)) {
    const { name, namespace = 'default', creationTimestamp = '' } = resource.metadata
    const read = readRoute(kind, resource)
    if (!read.ok) {
      unread.push(...read.issues.map((found) => ({ resource, issue: found })))
      continue
    }
    const { parentRefs, hostnames, rules } = read.value
    const ours = gatewayParentsOf(parentRefs, namespace, byName)
    if (ours.length === 0) continue

    const unsupported = hostnames.ok ? tooManyRules(rules) : hostnames.issues
    const [first] = unsupported
    const issues = [...unsupported]
    let resolvedRefs = RESOLVED
    const referrer = { kind, namespace, snapshot, namespaces }
    const resolved = rules.map(
      ({ name: ruleName, backendRefs = [] }, i): StreamRule => ({
        ...(ruleName !== undefined && { name: ruleName }),
        backends: backendRefs.map((ref, j) => {
          const { weight = 1 } = ref
          const backend = resolveBackend(ref, referrer)
          if (backend.ok) return { weight, target: backend.target }
          issues.push(issue('backend-not-resolved', `spec.rules[${i}].backendRefs[${j}]`, backend.message))
          if (resolvedRefs === RESOLVED) resolvedRefs = refused(backend.reason, backend.message)
          return { weight }
        }),
      }),
    )

    const attached: RouteAttachment[] = []
    const labels = namespaces.get(namespace)?.labels ?? {}
    const route: NamingRoute = { kind, namespace, name, labels, hostnames: hostnames.ok ? hostnames.value : [] }
    const parents = ours.map(({ parentRef, gateway }): ParentReport => {
      const accepted =
        first === undefined
          ? attach(parentRef, gateway, route, attached, claims, issues)
          : refused('UnsupportedValue', `${first.path}: ${first.message}`)
      return { parentRef, gateway: gateway.id, accepted, resolvedRefs }
    })
    routes.push({
      resource,
      key: resourceKey(kind, namespace, name),
      kind,
      namespace,
      name,
      createdAt: creationTimestamp,
      generation: generationOf(resource),
      rules: first === undefined ? resolved : [],
      attached,
      parents,
      issues: unique(issues),
    })
  }
  return { routes: routes.sort((a, b) => (a.key < b.key ? -1 : 1)), issues: unread }
}

/** What routes of both kinds say. */
interface ReadRoute {
  readonly parentRefs: readonly ParentRef[]
  /** Empty: every name. */
  readonly hostnames: Result<readonly string[]>
  readonly rules: readonly StreamRouteRule[]
}

function readRoute(kind: StreamKind, resource: Resource): Result<ReadRoute> {
  if (kind === 'TLSRoute') {
    const read = readTLSRoute(resource)
    if (!read.ok) return read
    const { parentRefs = [], rules } = read.value.spec
    return ok({ parentRefs, hostnames: readHostnames(read.value), rules })
  }
  const read = readTCPRoute(resource)
  if (!read.ok) return read
  const { parentRefs = [], rules } = read.value.spec
  return ok({ parentRefs, hostnames: ok([]), rules })
}

/** A connection has nothing that a second rule could be chosen by. */
function tooManyRules(rules: readonly StreamRouteRule[]): readonly Issue[] {
  if (rules.length < 2) return []
  const fix = 'keep one; several backends may share its connections by weight'
  return [issue('unsupported-value', 'spec.rules[1]', 'is a second rule, and nothing says which is for whom', fix)]
}

interface NamingRoute extends AttachingRoute<StreamKind> {
  readonly hostnames: readonly string[]
}

/** A name at a listener is for one route, the oldest that has it: connections cannot be shared out by what is in them. */
class NameClaims {
  readonly #claims = new Map<string, NamingRoute>()

  holderOf(listener: string, hostname: string): NamingRoute | undefined {
    return this.#claims.get(`${listener} ${hostname}`)
  }

  add(listener: string, hostname: string, route: NamingRoute): void {
    const key = `${listener} ${hostname}`
    if (!this.#claims.has(key)) this.#claims.set(key, route)
  }
}

/** Of a route without hostnames, at a listener without one. */
const EVERY_NAME = '*'

/** Attaches a route to the listeners that one parentRef comes to; says why where that is none. */
function attach(
  parentRef: ParentRef,
  gateway: GatewayFacts,
  route: NamingRoute,
  attached: RouteAttachment[],
  claims: NameClaims,
  issues: Issue[],
): ConditionFound {
  const admitting = admittingListeners(parentRef, gateway, route)
  if ('refusal' in admitting) return admitting.refusal
  let taken: { readonly listener: string; readonly hostname: string; readonly by: NamingRoute } | undefined
  let isMatching = false
  let isServed = false
  for (const listener of admitting.listeners) {
    const both = intersectHostnames(route.hostnames, listener.hostname)
    if (both === undefined) continue
    isMatching = true
    const place = `${gateway.id} ${listener.name}`
    const names = both.length === 0 ? [EVERY_NAME] : both
    const free = names.filter((hostname) => {
      const by = claims.holderOf(place, hostname)
      if (by === undefined || isSameRoute(by, route)) return true
      taken ??= { listener: listener.name, hostname, by }
      return false
    })
    for (const hostname of free) claims.add(place, hostname, route)
    if (free.length === 0) continue
    isServed = true
    const known = attached.some((each) => each.gateway === gateway.id && each.listener === listener.name)
    const hostnames = both.length === 0 ? [] : free
    if (!known) attached.push({ gateway: gateway.id, listener: listener.name, hostnames })
  }
  if (!isMatching) return refused('NoMatchingListenerHostname', 'No hostname of the route is one of the listener.')
  if (taken === undefined) return ACCEPTED
  const { hostname, by, listener } = taken
  const what = hostname === EVERY_NAME ? 'every connection' : hostname
  const message = `${what} at listener ${listener} is for ${by.kind} ${by.namespace}/${by.name}, which is older`
  if (!isServed) return refused('HostnameConflict', `${message}.`)
  issues.push({ ...issue('hostname-taken', 'spec.hostnames', message, 'leave it to one of them'), severity: 'warning' })
  return { ...ACCEPTED, message: `Not for all of its hostnames: ${message}.` }
}

function isSameRoute(a: NamingRoute, b: NamingRoute): boolean {
  return a.kind === b.kind && a.namespace === b.namespace && a.name === b.name
}

function unique(issues: readonly Issue[]): readonly Issue[] {
  return [...new Map(issues.map((each) => [`${each.path} ${each.message}`, each])).values()]
}
