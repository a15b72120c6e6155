import type { ListenerCertificate, StreamListener, StreamRoute, Upstream } from '../../contract/workload-config.ts'
import type { SectionContext } from '../../model/section.ts'
import type { GatewaySlice } from './gateway-config.ts'
import { type Finding, type Reach, type Rooms, slotsAt } from './levels.ts'
import type { StreamKind } from './listeners.ts'
import type { MeshSettings } from './mesh-settings.ts'
import { upstreamOf } from './outbound.ts'
import type { MeshPolicy } from './policy.ts'
import type { FindIssuer } from './sidecar-config.ts'
import type { StreamRule } from './stream-routes.ts'

/** A listener that is served, whose connections are carried as bytes. */
export interface StreamListenerSlice {
  readonly name: string
  readonly port: number
  readonly protocol: 'tls' | 'tcp'
  readonly mode?: 'passthrough' | 'terminate'
  readonly hostname?: string
  readonly certificates: readonly ListenerCertificate[]
  /** Of the Gateway and of the listener. */
  readonly reaches: readonly Reach[]
}

/** A TLSRoute or TCPRoute of a gateway. */
export interface StreamRouteSlice {
  readonly kind: StreamKind
  readonly namespace: string
  readonly name: string
  readonly createdAt: string
  readonly generation: number
  readonly attached: readonly { readonly listener: string; readonly hostnames: readonly string[] }[]
  readonly rules: readonly (StreamRule & {
    /** Of the route and of the rule. */
    readonly reaches: readonly Reach[]
  })[]
  /** The MeshSecurityPolicies that hold at gateways for the route's namespace. */
  readonly meshPolicies: readonly MeshPolicy[]
}

/** The listeners of a gateway whose connections are carried as bytes, and where they go. */
export function translateStreams(
  slice: Pick<GatewaySlice, 'id' | 'mesh' | 'streams' | 'streamRoutes'>,
  rooms: Rooms,
  findIssuer: FindIssuer,
  findings: Finding[],
): { readonly streams: StreamListener[]; readonly upstreams: readonly (readonly [name: string, Upstream])[] } {
  const routes = [...slice.streamRoutes].sort((a, b) => (ageOf(a) < ageOf(b) ? -1 : 1))
  const streams = slice.streams.map((listener): StreamListener => {
    const { name, port, protocol, mode, hostname, certificates } = listener
    const here = routes.flatMap((route) => {
      const place = route.attached.find((each) => each.listener === name)
      return place === undefined ? [] : [{ route, hostnames: place.hostnames }]
    })
    return {
      name,
      port,
      protocol,
      ...(mode !== undefined && { mode }),
      ...(hostname !== undefined && { hostname }),
      certificates: [...certificates],
      routes: here.flatMap(({ route, hostnames }) =>
        route.rules.map((rule, i): StreamRoute => {
          const { kind, namespace, name: routeName, generation, meshPolicies } = route
          const context = contextAt(slice, namespace, port, rule, findIssuer)
          const settled = slotsAt({ context, reaches: [...listener.reaches, ...rule.reaches], meshPolicies }, rooms)
          findings.push(...settled.findings)
          return {
            id: `${kind}/${namespace}/${routeName}/${i}`,
            origin: `${kind}/${namespace}/${routeName}@${generation}`,
            hostnames: [...hostnames],
            filters: settled.slots,
            backends: rule.backends.map(({ target, weight }) => ({ upstream: target?.upstream ?? '', weight })),
          }
        }),
      ),
    }
  })
  const targets = slice.streamRoutes.flatMap(({ rules }) => rules).flatMap(({ backends }) => backends)
  const upstreams = targets.flatMap(({ target }) =>
    target === undefined ? [] : [[target.upstream, upstreamOf(target.service, target.port, slice.mesh)] as const],
  )
  return { streams, upstreams }
}

function ageOf({ createdAt, namespace, name, kind }: StreamRouteSlice): string {
  return `${createdAt} ${namespace}/${name} ${kind}`
}

function contextAt(
  { id, mesh }: Pick<GatewaySlice, 'id' | 'mesh'>,
  namespace: string,
  port: number,
  rule: StreamRule,
  findIssuer: FindIssuer,
): SectionContext {
  return {
    namespace,
    workload: id,
    port,
    protocol: 'tcp',
    role: 'gateway',
    trustDomain: mesh.trustDomain,
    authorizationDefault: authorizationDefaultFor(rule, mesh),
    ...(mesh.maxTokenLifetimeSeconds !== undefined && { maxTokenLifetimeSeconds: mesh.maxTokenLifetimeSeconds }),
    tokenIssuer: (issuer) => findIssuer(namespace, issuer),
  }
}

/** As for requests: where every backend has a sidecar, that one keeps to the mesh's default. */
function authorizationDefaultFor({ backends }: StreamRule, mesh: MeshSettings): 'Deny' | 'Allow' {
  const isJudgedAgain = backends.every(
    ({ target }) => target === undefined || upstreamOf(target.service, target.port, mesh).tls === 'mesh',
  )
  return isJudgedAgain ? 'Allow' : mesh.authorizationDefault
}
