import type {
  GatewayListener,
  ListenerCertificate,
  RouteConfig,
  Upstream,
  WorkloadConfig,
} from '../../contract/workload-config.ts'
import { CONTRACT_VERSION } from '../../contract/workload-config.ts'
import type { SectionContext } from '../../model/section.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import type { ResolvedRule } from './backends.ts'
import { groupByPrecedence } from './hostnames.ts'
import { type Finding, type Reach, type Rooms, slotsAt } from './levels.ts'
import type { RouteKind } from './listeners.ts'
import type { MeshSettings } from './mesh-settings.ts'
import { upstreamOf } from './outbound.ts'
import type { MeshPolicy } from './policy.ts'
import { routeOf, upstreamsOf } from './route-action.ts'
import { byPrecedence, type RankedRoute } from './route-order.ts'
import type { FindIssuer, Translated } from './sidecar-config.ts'
import { type StreamListenerSlice, type StreamRouteSlice, translateStreams } from './stream-config.ts'

/** All that a gateway's config depends on, besides the token issuers that policies look up; see `SidecarSlice`. */
export interface GatewaySlice {
  readonly role: 'gateway'
  readonly id: WorkloadId
  readonly namespace: string
  readonly serviceAccount: string
  readonly listeners: readonly ListenerSlice[]
  readonly routes: readonly RouteSlice[]
  readonly streams: readonly StreamListenerSlice[]
  readonly streamRoutes: readonly StreamRouteSlice[]
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
    for (const [name, upstream] of upstreamsOf(rules, mesh)) upstreams[name] = upstream
  }
  const carried = translateStreams(slice, rooms, findIssuer, findings)
  for (const [name, upstream] of carried.upstreams) upstreams[name] = upstream
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
    ...(carried.streams.length > 0 && { streams: carried.streams }),
    outbound: { services: [], egress: [] },
    upstreams,
  }
  return { config, findings }
}

function routesAt(
  listener: Pick<ListenerSlice, 'name' | 'port' | 'reaches'>,
  slice: GatewaySlice,
  rooms: Rooms,
  findIssuer: FindIssuer,
  findings: Finding[],
): RouteConfig[] {
  const ranked: RankedRoute[] = []
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
      const said = routeOf(kind, rule, slice.mesh)
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
              ...said,
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
