import { type Issue, issue, type Result } from '../../model/result.ts'
import type { ParentRef } from '../resources/http-route.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type ResolvedRule, resolveRules } from './backends.ts'
import type { RouteKind } from './listeners.ts'
import type { NamespaceFacts } from './namespace.ts'
import { ACCEPTED, type ConditionFound, RESOLVED, refused } from './report.ts'
import type { RouteRule } from './route-rules.ts'
import type { ServiceFacts, ServicePortFacts } from './services.ts'

/** A Service that a route names as a parent: its callers are to keep to the route (GEP-1294). */
export interface ServiceParent {
  /** Position in `parentRefs`. */
  readonly position: number
  readonly parentRef: ParentRef
  readonly namespace: string
  readonly name: string
}

/** Where a route is in force. */
export interface ServiceAttachment {
  readonly namespace: string
  readonly service: string
  /** By number. */
  readonly ports: readonly number[]
  readonly rules: readonly ResolvedRule[]
}

/** A route, as far as a Service asks whose it is. */
export interface RouteForServices {
  readonly key: string
  readonly kind: RouteKind
  readonly namespace: string
  readonly rules: Result<readonly RouteRule[]>
  /** Why the route is not accepted anywhere. */
  readonly unsupported: ConditionFound | undefined
  readonly parents: readonly ServiceParent[]
}

export interface AttachedToServices {
  readonly attachments: readonly ServiceAttachment[]
  /** For each parent, in their order. */
  readonly conditions: readonly { readonly accepted: ConditionFound; readonly resolvedRefs: ConditionFound }[]
  readonly issues: readonly Issue[]
}

/** The core group has no name; Gateway API's own pages write `core`. */
const CORE = new Set(['', 'core'])

export function isServiceParent({ group, kind }: ParentRef): boolean {
  return kind === 'Service' && group !== undefined && CORE.has(group)
}

export function serviceParentsOf(parentRefs: readonly ParentRef[], routeNamespace: string): readonly ServiceParent[] {
  return parentRefs.flatMap((parentRef, position): ServiceParent[] => {
    if (!isServiceParent(parentRef)) return []
    const { namespace = routeNamespace, name } = parentRef
    return [{ position, parentRef, namespace, name }]
  })
}

/** Kinds in the order of GEP-1294: where two want one port of a Service, the first has it. */
const KINDS: readonly RouteKind[] = ['GRPCRoute', 'HTTPRoute']

/**
 * Attaches routes to the Services that they name, by key of the route. `routes` are in order of age, which decides nothing
 * here: routes of one kind are merged.
 */
export function attachToServices(
  routes: readonly RouteForServices[],
  snapshot: Snapshot,
  namespaces: ReadonlyMap<string, NamespaceFacts>,
): ReadonlyMap<string, AttachedToServices> {
  /** By namespace of the route and port of a Service: those of other namespaces are for other callers. */
  const claims = new Map<string, RouteKind>()
  const found = new Map<string, AttachedToServices>()
  for (const kind of KINDS) {
    for (const route of routes) {
      if (route.kind === kind && route.parents.length > 0)
        found.set(route.key, attach(route, snapshot, namespaces, claims))
    }
  }
  return found
}

function attach(
  route: RouteForServices,
  snapshot: Snapshot,
  namespaces: ReadonlyMap<string, NamespaceFacts>,
  claims: Map<string, RouteKind>,
): AttachedToServices {
  const { kind, namespace, rules, unsupported } = route
  const attachments: ServiceAttachment[] = []
  const issues = new Map<string, Issue>()
  const conditions = route.parents.map((parent) => {
    const { namespace: its, name } = parent
    const referrer = { kind, namespace, snapshot, namespaces, called: { namespace: its, name } }
    const resolved = rules.ok ? resolveRules(rules.value, referrer) : undefined
    for (const each of resolved?.issues ?? []) issues.set(`${each.path} ${each.message}`, each)
    const resolvedRefs = resolved?.resolvedRefs ?? RESOLVED
    if (unsupported !== undefined || resolved === undefined) return { accepted: unsupported ?? ACCEPTED, resolvedRefs }
    const service = namespaces.get(its)?.services.find((known) => known.name === name)
    const ports = portsFor(kind, parent, service)
    if ('status' in ports) return { accepted: ports, resolvedRefs }
    const claim = ({ port }: ServicePortFacts) => `${namespace} ${its}/${name}:${port}`
    const free = ports.filter((port) => (claims.get(claim(port)) ?? kind) === kind)
    if (free.length === 0) {
      const message = `${claims.get(claim(ports[0]!))}s are at Service ${its}/${name}, and one port is for routes of one kind.`
      return { accepted: refused('Conflicted', message), resolvedRefs }
    }
    for (const port of free) claims.set(claim(port), kind)
    attachments.push({
      namespace: its,
      service: name,
      ports: free.map(({ port }) => port).sort((a, b) => a - b),
      rules: resolved.rules,
    })
    const left = service!.ports.filter((port) => isAskedFor(parent.parentRef, port) && !free.includes(port))
    for (const { port } of left) {
      const message = `says nothing on port ${port} of Service ${its}/${name}, ${whyNot(kind)}`
      const path = `spec.parentRefs[${parent.position}]`
      issues.set(`${path} ${message}`, { ...issue('not-applied', path, message), severity: 'warning' })
    }
    return { accepted: ACCEPTED, resolvedRefs }
  })
  return { attachments, conditions, issues: [...issues.values()] }
}

/** Why a port that was asked for is not one for routes of a kind. */
function whyNot(kind: RouteKind): string {
  return kind === 'GRPCRoute' ? 'which is not said to speak gRPC' : 'which is not HTTP, or is for GRPCRoutes'
}

function isAskedFor({ port, sectionName }: ParentRef, served: ServicePortFacts): boolean {
  return (port === undefined || served.port === port) && (sectionName === undefined || served.name === sectionName)
}

/** The ports of a Service that a route can be at; why it can be at none. */
function portsFor(
  kind: RouteKind,
  { namespace, name, parentRef }: ServiceParent,
  service: ServiceFacts | undefined,
): readonly ServicePortFacts[] | ConditionFound {
  const no = (message: string) => refused('NoMatchingParent', message)
  if (service === undefined) return no(`There is no Service ${namespace}/${name} with a selector.`)
  if (service.isHeadless) {
    return no(
      `Service ${namespace}/${name} is headless: its callers dial its pods, and routes are for calls to the Service.`,
    )
  }
  const asked = service.ports.filter((port) => isAskedFor(parentRef, port))
  if (asked.length === 0) {
    const { port, sectionName } = parentRef
    const words = [...(sectionName === undefined ? [] : [sectionName]), ...(port === undefined ? [] : [port])].join(' ')
    return no(`Service ${namespace}/${name} has no TCP port ${words}.`.replace(' .', '.'))
  }
  const http = asked.filter(({ protocol }) => protocol === 'http')
  const numbers = asked.map(({ port }) => port).join(', ')
  if (http.length === 0) {
    return no(`Port ${numbers} of Service ${namespace}/${name} is opaque TCP: nobody reads requests there.`)
  }
  if (kind === 'HTTPRoute') return http
  const grpc = http.filter(({ appProtocol }) => appProtocol === 'http2')
  if (grpc.length > 0) return grpc
  return no(
    `Port ${numbers} of Service ${namespace}/${name} is not said to speak gRPC: give it appProtocol kubernetes.io/h2c.`,
  )
}
