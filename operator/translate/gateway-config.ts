import type {
  GatewayListener,
  ListenerCertificate,
  RouteAction,
  RouteConfig,
  Upstream,
  WorkloadConfig,
} from '../../contract/workload-config.ts'
import { CONTRACT_VERSION } from '../../contract/workload-config.ts'
import type { SectionContext } from '../../model/section.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import { groupByPrecedence } from './hostnames.ts'
import { type Finding, type Reach, type Rooms, slotsAt } from './levels.ts'
import type { RouteKind } from './listeners.ts'
import type { MeshSettings } from './mesh-settings.ts'
import { upstreamOf } from './outbound.ts'
import type { MeshPolicy } from './policy.ts'
import type { ResolvedRule } from './routes.ts'
import type { FindIssuer, Translated } from './sidecar-config.ts'

/** All that a gateway's config depends on, besides the token issuers that policies look up; see `SidecarSlice`. */
export interface GatewaySlice {
  readonly role: 'gateway'
  readonly id: WorkloadId
  readonly namespace: string
  readonly serviceAccount: string
  readonly listeners: readonly ListenerSlice[]
  readonly routes: readonly RouteSlice[]
  readonly mesh: MeshSettings
  readonly roots: readonly string[]
  readonly distrustedRoots: readonly string[]
}

/** A listener that is served. */
export interface ListenerSlice {
  readonly name: string
  readonly port: number
  readonly protocol: 'http' | 'https'
  readonly hostname?: string
  readonly certificates: readonly ListenerCertificate[]
  /** Of the Gateway and of the listener. */
  readonly reaches: readonly Reach[]
}

export interface RouteSlice {
  readonly kind: RouteKind
  readonly namespace: string
  readonly name: string
  readonly createdAt: string
  readonly attached: readonly { readonly listener: string; readonly hostnames: readonly string[] }[]
  readonly rules: readonly (ResolvedRule & {
    /** Of the route and of the rule. */
    readonly reaches: readonly Reach[]
  })[]
  /** The MeshSecurityPolicies that hold at gateways for the route's namespace. */
  readonly meshPolicies: readonly MeshPolicy[]
}

/** The config of a gateway; its `version` is yet to be filled in. */
export function translateGateway(slice: GatewaySlice, rooms: Rooms, findIssuer: FindIssuer): Translated {
  const { mesh } = slice
  const findings: Finding[] = []
  const upstreams: Record<string, Upstream> = {}
  const listeners = slice.listeners.map(
    ({ name, port, protocol, hostname, certificates, reaches }): GatewayListener => ({
      kind: 'gateway',
      name,
      port,
      protocol,
      ...(hostname !== undefined && { hostname }),
      certificates: [...certificates],
      routes: routesAt({ name, port, reaches }, slice, rooms, findIssuer, findings),
    }),
  )
  for (const { rules } of slice.routes) {
    for (const { target } of rules.flatMap(({ backends, mirrors }) => [...backends, ...mirrors])) {
      if (target !== undefined) upstreams[target.upstream] = upstreamOf(target.service, target.port, mesh)
    }
  }
  const config: WorkloadConfig = {
    contract: CONTRACT_VERSION,
    version: '',
    workload: slice.id,
    role: 'gateway',
    identity: {
      spiffeId: `spiffe://${mesh.trustDomain}/ns/${slice.id.split('/')[0]}/sa/${slice.serviceAccount}`,
      trustDomain: mesh.trustDomain,
    },
    trustBundle: [...slice.roots],
    ...(slice.distrustedRoots.length > 0 && { distrustedRoots: [...slice.distrustedRoots] }),
    trustedHops: mesh.trustedHops,
    listeners,
    outbound: { services: [], egress: [] },
    upstreams,
  }
  return { config, findings }
}

/** Where a RouteConfig stands among the others of its listener. */
interface Ranked {
  readonly route: RouteConfig
  readonly hostPrecedence: number
  readonly age: string
  readonly order: number
}

function routesAt(
  listener: Pick<ListenerSlice, 'name' | 'port' | 'reaches'>,
  slice: GatewaySlice,
  rooms: Rooms,
  findIssuer: FindIssuer,
  findings: Finding[],
): RouteConfig[] {
  const ranked: Ranked[] = []
  for (const { kind, namespace, name, createdAt, attached, rules, meshPolicies } of slice.routes) {
    const here = attached.find((each) => each.listener === listener.name)
    if (here === undefined) continue
    for (const [i, rule] of rules.entries()) {
      const context: SectionContext = {
        namespace,
        workload: slice.id,
        port: listener.port,
        protocol: 'http',
        role: 'gateway',
        trustDomain: slice.mesh.trustDomain,
        authorizationDefault: authorizationDefaultFor(rule, slice.mesh),
        ...(slice.mesh.maxTokenLifetimeSeconds !== undefined && {
          maxTokenLifetimeSeconds: slice.mesh.maxTokenLifetimeSeconds,
        }),
        tokenIssuer: (issuer) => findIssuer(namespace, issuer),
      }
      const settled = slotsAt({ context, reaches: [...listener.reaches, ...rule.reaches], meshPolicies }, rooms)
      findings.push(...settled.findings)
      const action = actionOf(kind, rule, slice.mesh)
      for (const [j, match] of rule.matches.entries()) {
        for (const { hostnames, precedence } of groupByPrecedence(here.hostnames)) {
          ranked.push({
            hostPrecedence: precedence,
            age: `${createdAt} ${namespace}/${name}`,
            order: ranked.length,
            route: {
              id: `${kind}/${namespace}/${name}/${i}/${j}`,
              match: { hostnames: [...hostnames], ...match },
              filters: settled.slots,
              ...(rule.requestHeaders !== undefined && { requestHeaders: rule.requestHeaders }),
              ...(rule.responseHeaders !== undefined && { responseHeaders: rule.responseHeaders }),
              action,
            },
          })
        }
      }
    }
  }
  return ranked.sort(byPrecedence).map(({ route }) => route)
}

/**
 * The mesh's default is about workloads, and the sidecar of each keeps to it: a gateway that asked again would only make
 * every team write its policy twice. Where a backend has no sidecar, nobody else asks.
 */
function authorizationDefaultFor({ backends, mirrors }: ResolvedRule, mesh: MeshSettings): 'Deny' | 'Allow' {
  const isJudgedAgain = [...backends, ...mirrors].every(
    ({ target }) => target === undefined || upstreamOf(target.service, target.port, mesh).tls === 'mesh',
  )
  return isJudgedAgain ? 'Allow' : mesh.authorizationDefault
}

function actionOf(kind: RouteKind, rule: ResolvedRule, mesh: MeshSettings): RouteAction {
  if (rule.redirect !== undefined) return rule.redirect
  const backends = rule.backends.map(({ target, weight }) => ({ upstream: target?.upstream ?? '', weight }))
  // A caller of gRPC is told UNAVAILABLE (GRPCRouteRule.backendRefs).
  if (backends.every(({ weight }) => weight === 0)) return { kind: 'respond', status: kind === 'GRPCRoute' ? 503 : 500 }
  return {
    kind: 'forward',
    backends,
    ...(rule.rewritePath !== undefined && { rewritePath: rule.rewritePath }),
    ...(rule.rewriteHost !== undefined && { rewriteHost: rule.rewriteHost }),
    requestTimeoutMs: mesh.requestTimeoutMs,
    ...(rule.delivery !== undefined && { delivery: rule.delivery }),
    ...(rule.mirrors.length > 0 && {
      mirrors: rule.mirrors.map(({ target, ...share }) => ({ upstream: target.upstream, ...share })),
    }),
    ...(rule.session !== undefined && { session: rule.session }),
  }
}

/**
 * Gateway API's order (HTTPRouteRule.matches, and GRPCRouteRule.matches by the paths of its calls): the narrower hostname, an exact path, the longer prefix, a method, more headers,
 * more query parameters; then the older route, the first by namespace and name, and the first in its list.
 */
function byPrecedence(a: Ranked, b: Ranked): number {
  const [left, right] = [a.route.match, b.route.match]
  const keys: readonly (readonly [number, number])[] = [
    [a.hostPrecedence, b.hostPrecedence],
    [Number(left.path.type === 'exact'), Number(right.path.type === 'exact')],
    [left.path.value.length, right.path.value.length],
    [Number(left.method !== undefined), Number(right.method !== undefined)],
    [left.headers.length, right.headers.length],
    [left.query.length, right.query.length],
  ]
  for (const [mine, other] of keys) if (mine !== other) return mine > other ? -1 : 1
  if (a.age !== b.age) return a.age < b.age ? -1 : 1
  return a.order - b.order
}
