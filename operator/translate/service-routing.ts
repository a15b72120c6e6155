import type { RouteConfig, ServiceRouting, Upstream } from '../../contract/workload-config.ts'
import { generationOf } from '../../model/resource.ts'
import type { ResolvedRule } from './backends.ts'
import type { RouteKind } from './listeners.ts'
import type { MeshSettings } from './mesh-settings.ts'
import type { Outbound } from './outbound.ts'
import { routeOf, upstreamsOf } from './route-action.ts'
import { byPrecedence, type RankedRoute } from './route-order.ts'
import type { RouteFacts } from './routes.ts'
import type { ServiceFacts } from './services.ts'

/** A port of a Service with routes, as the callers of one namespace are told of it. */
export interface RoutedPort {
  /** `namespace/name`. */
  readonly service: string
  readonly port: number
  readonly routes: readonly RouteAtPort[]
}

export interface RouteAtPort {
  readonly kind: RouteKind
  /** `namespace/name`. */
  readonly name: string
  readonly generation: number
  readonly createdAt: string
  readonly rules: readonly ResolvedRule[]
}

/** The routes at Services, by who is to keep to them. */
export interface RoutedPorts {
  /** Those of `services` that have routes for callers of this namespace. */
  for(callerNamespace: string, services: readonly (readonly ServiceFacts[])[]): readonly RoutedPort[]
}

const NONE: readonly RoutedPort[] = Object.freeze([])

/**
 * Routes of the Service's own namespace are for every caller; routes of another one are for callers of that namespace alone, and
 * there they stand in place of those of the Service's own (GEP-1294).
 */
export function indexRoutedPorts(routes: readonly RouteFacts[]): RoutedPorts {
  /** By Service and port, and the namespace of the routes. */
  const index = new Map<string, Map<string, RoutedPort>>()
  const add = (service: string, port: number, namespace: string, route: RouteAtPort) => {
    const key = `${service}:${port}`
    const byNamespace = index.get(key) ?? new Map<string, RoutedPort>()
    index.set(key, byNamespace)
    const { routes: there } = byNamespace.get(namespace) ?? { routes: [] }
    // A route may name one port twice.
    if (there.some(({ kind, name }) => kind === route.kind && name === route.name)) return
    byNamespace.set(namespace, { service, port, routes: [...there, route] })
  }
  for (const { kind, namespace, name, createdAt, resource, atServices } of routes) {
    for (const { namespace: its, service, ports, rules } of atServices) {
      const route = { kind, name: `${namespace}/${name}`, generation: generationOf(resource), createdAt, rules }
      for (const port of ports) add(`${its}/${service}`, port, namespace, route)
    }
  }
  return {
    for(callerNamespace, services) {
      if (index.size === 0) return NONE
      return services.flat().flatMap(({ namespace, name, ports }) =>
        ports.flatMap(({ port }) => {
          const byNamespace = index.get(`${namespace}/${name}:${port}`)
          return byNamespace?.get(callerNamespace) ?? byNamespace?.get(namespace) ?? []
        }),
      )
    },
  }
}

/** What a workload may call, with the routes that are for it there. */
export function withRouting(outbound: Outbound, routed: readonly RoutedPort[], mesh: MeshSettings): Outbound {
  if (routed.length === 0) return outbound
  const { services, upstreams } = outbound
  const byUpstream = new Map(routed.map((each) => [`${each.service}:${each.port}`, routingOf(each, mesh)]))
  const all = { ...upstreams }
  for (const { upstreams: its } of byUpstream.values()) for (const [name, upstream] of its) all[name] ??= upstream
  return {
    services: services.map((service) => {
      const routing = byUpstream.get(service.upstream)?.routing
      return routing === undefined ? service : { ...service, routing }
    }),
    upstreams: all,
  }
}

/** What a config says of the routes at a port, and the upstreams that they lead to. */
interface Routing {
  readonly routing: ServiceRouting
  readonly upstreams: readonly (readonly [name: string, upstream: Upstream])[]
}

/** Its parts are those of others too: nobody changes them. */
function routingOf(routed: RoutedPort, mesh: MeshSettings): Routing {
  const known = made.get(routed)
  if (known?.mesh === mesh) return known.routing
  const routing = makeRouting(routed, mesh)
  made.set(routed, { mesh, routing })
  return routing
}

const made = new WeakMap<RoutedPort, { readonly mesh: MeshSettings; readonly routing: Routing }>()

function makeRouting({ routes }: RoutedPort, mesh: MeshSettings): Routing {
  const ranked = routes.flatMap(({ kind, name, createdAt, rules }) =>
    rules.flatMap((rule, i) => {
      const said = routeOf(kind, rule, mesh)
      return rule.matches.map((match, j): RankedRoute => {
        const route: RouteConfig = {
          id: `${kind}/${name}/${i}/${j}`,
          // Whatever the caller calls the Service, it is the same one.
          match: { hostnames: [], ...match },
          // Its own sidecar, and nobody before it, decides what may be asked of a backend.
          filters: {},
          ...said,
        }
        return { route, hostPrecedence: 0, age: `${createdAt} ${name}`, order: 0 }
      })
    }),
  )
  return {
    routing: {
      origins: routes.map(({ kind, name, generation }) => `${kind}/${name}@${generation}`).sort(),
      routes: ranked
        .map((each, order) => ({ ...each, order }))
        .sort(byPrecedence)
        .map(({ route }) => route),
    },
    upstreams: upstreamsOf(
      routes.flatMap(({ rules }) => rules),
      mesh,
    ),
  }
}
