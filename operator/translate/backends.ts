import { type Issue, issue } from '../../model/result.ts'
import type { BackendRef } from '../resources/http-route.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { isGranted } from './grants.ts'
import type { RouteKind, StreamKind } from './listeners.ts'
import type { NamespaceFacts } from './namespace.ts'
import { type ConditionFound, RESOLVED, refused } from './report.ts'
import type { RouteRule } from './route-rules.ts'
import { type ServiceFacts, type ServicePortFacts, upstreamName } from './services.ts'

/** The API group of Gateway API, whose kinds our own refer to. */
export const GATEWAY_API = 'gateway.networking.k8s.io'

/** A rule whose backends have been looked up. */
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

/** Who refers to backends, and where they may be. */
export interface Referrer {
  readonly kind: RouteKind | StreamKind
  readonly namespace: string
  readonly snapshot: Snapshot
  readonly namespaces: ReadonlyMap<string, NamespaceFacts>
  /** A Service that may be referred to without a grant: whoever the rules are for calls it anyway. */
  readonly called?: { readonly namespace: string; readonly name: string }
}

export interface ResolvedRules {
  readonly rules: readonly ResolvedRule[]
  readonly resolvedRefs: ConditionFound
  readonly issues: readonly Issue[]
}

/** Looks up the backends of all rules of a route. */
export function resolveRules(rules: readonly RouteRule[], referrer: Referrer): ResolvedRules {
  const issues: Issue[] = []
  let resolvedRefs = RESOLVED
  const resolve = (ref: BackendRef, path: string): BackendTarget | undefined => {
    const backend = resolveBackend(ref, referrer)
    if (backend.ok) return backend.target
    issues.push(issue('backend-not-resolved', path, backend.message))
    if (resolvedRefs === RESOLVED) resolvedRefs = refused(backend.reason, backend.message)
    return undefined
  }
  const resolved = rules.map(
    ({ backendRefs, mirrors, ...rule }, index): ResolvedRule => ({
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
    }),
  )
  return { rules: resolved, resolvedRefs, issues }
}

type Backend =
  | { readonly ok: true; readonly target: BackendTarget }
  | { readonly ok: false; readonly reason: string; readonly message: string }

/** Looks up one backend; says why where that is none. */
export function resolveBackend(
  ref: BackendRef,
  { kind: routeKind, snapshot, namespaces, called, ...referrer }: Referrer,
): Backend {
  const { group = '', kind = 'Service', namespace = referrer.namespace, name, port } = ref
  const no = (reason: string, message: string): Backend => ({ ok: false, reason, message })
  if (group !== '' || kind !== 'Service') return no('InvalidKind', `${kind} is not supported: refer to a Service`)
  const from = { group: GATEWAY_API, kind: routeKind, namespace: referrer.namespace }
  const isCalled = called?.namespace === namespace && called.name === name
  if (!isCalled && !isGranted(snapshot, { from, to: { group, kind, namespace, name } })) {
    return no('RefNotPermitted', `no ReferenceGrant of ${namespace} permits Service ${namespace}/${name}`)
  }
  const service = namespaces.get(namespace)?.services.find((known) => known.name === name)
  const served = service?.ports.find((known) => known.port === port)
  if (service === undefined) return no('BackendNotFound', `there is no Service ${namespace}/${name} with a selector`)
  if (served === undefined)
    return no('BackendNotFound', `Service ${namespace}/${name} has no TCP port ${port ?? '(none given)'}`)
  const isStream = routeKind === 'TLSRoute' || routeKind === 'TCPRoute'
  if (isStream && served.protocol === 'http') {
    const message = `port ${port} of Service ${namespace}/${name} is read as HTTP: give it appProtocol tls or tcp`
    return no('UnsupportedProtocol', message)
  }
  if (!isStream && served.protocol !== 'http') {
    return no('UnsupportedProtocol', `port ${port} of Service ${namespace}/${name} is not HTTP`)
  }
  if (routeKind === 'GRPCRoute' && served.appProtocol !== 'http2') {
    const message = `port ${port} of Service ${namespace}/${name} is not said to speak gRPC: give it appProtocol kubernetes.io/h2c`
    return no('UnsupportedProtocol', message)
  }
  return { ok: true, target: { upstream: upstreamName(namespace, name, served.port), service, port: served } }
}
