import type { GatewayListener, RouteConfig, Upstream, WorkloadConfig } from '../../contract/workload-config.ts'
import { CONTRACT_VERSION } from '../../contract/workload-config.ts'
import { gatewayContext } from './gateway-context.ts'
import type { GatewaySlice, ListenerSlice } from './gateway-slice.ts'
import { groupByPrecedence } from './hostnames.ts'
import { type Finding, type Rooms, slotsAt } from './levels.ts'
import type { References } from './references.ts'
import { routeOf, upstreamsOf } from './route-action.ts'
import { byPrecedence, type RankedRoute } from './route-order.ts'
import type { Translated } from './sidecar-config.ts'
import { translateStreams } from './stream-config.ts'
import { traceOf } from './tracing.ts'

/** The config of a gateway; its `version` is yet to be filled in. */
export function translateGateway(slice: GatewaySlice, rooms: Rooms, references: References): Translated {
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
      routes: routesAt({ name, port, reaches }, slice, rooms, references, findings),
    }),
  )
  for (const { rules } of slice.routes) {
    for (const [name, upstream] of upstreamsOf(rules, mesh)) upstreams[name] = upstream
  }
  const carried = translateStreams(slice, rooms, references, findings)
  for (const [name, upstream] of carried.upstreams) upstreams[name] = upstream
  const trace = traceOf(mesh, references)
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
    ...(trace !== undefined && { trace }),
    outbound: { services: [], egress: [] },
    upstreams,
  }
  return { config, findings }
}

function routesAt(
  listener: Pick<ListenerSlice, 'name' | 'port' | 'reaches'>,
  slice: GatewaySlice,
  rooms: Rooms,
  references: References,
  findings: Finding[],
): RouteConfig[] {
  const ranked: RankedRoute[] = []
  for (const { kind, namespace, name, createdAt, attached, rules, meshPolicies } of slice.routes) {
    const here = attached.find((each) => each.listener === listener.name)
    if (here === undefined) continue
    for (const [i, rule] of rules.entries()) {
      const place = { namespace, port: listener.port, protocol: 'http' } as const
      const context = gatewayContext(slice, place, [...rule.backends, ...rule.mirrors], references)
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
