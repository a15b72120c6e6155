import type { StreamListener, StreamRoute, Upstream } from '../../contract/workload-config.ts'
import { gatewayContext } from './gateway-context.ts'
import type { GatewaySlice, StreamRouteSlice } from './gateway-slice.ts'
import { type Finding, type Rooms, slotsAt } from './levels.ts'
import type { References } from './references.ts'
import { upstreamsOf } from './route-action.ts'

/** The listeners of a gateway whose connections are carried as bytes, and where they go. */
export function translateStreams(
  slice: Pick<GatewaySlice, 'id' | 'mesh' | 'streams' | 'streamRoutes'>,
  rooms: Rooms,
  references: References,
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
          const context = gatewayContext(slice, { namespace, port, protocol: 'tcp' }, rule.backends, references)
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
  const rules = slice.streamRoutes.flatMap((route) => route.rules)
  return { streams, upstreams: upstreamsOf(rules, slice.mesh) }
}

function ageOf({ createdAt, namespace, name, kind }: StreamRouteSlice): string {
  return `${createdAt} ${namespace}/${name} ${kind}`
}
