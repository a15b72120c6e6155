import { getServers } from 'node:dns'
import type { Denial, Deny } from '../../model/verdict.ts'
import type { Pipeline } from '../compile/pipeline.ts'
import type { Accepted, ConnectionTable } from '../serve/accepted.ts'
import { outsideClient } from '../serve/client.ts'
import { NOT_CAPTURED, NOT_SERVING, OUTBOUND_UNKNOWN_ADDRESS, refusal } from '../serve/denials.ts'
import type { Engine } from '../serve/engine.ts'
import type { Refusal } from '../serve/observation.ts'
import { routeOfRequest, type ServiceDestination } from '../serve/outbound/destinations.ts'
import { joinUpstream } from '../serve/outbound/join-upstream.ts'
import { createPort, type Port, type PortLabel, tellRefused } from '../serve/port.ts'
import { serveHttp } from '../serve/serve-http.ts'
import type { HttpSite } from '../serve/site.ts'
import { joinWith, refusalOf } from '../serve/tcp.ts'
import { isLoopback } from '../upstream/outside.ts'
import type { EndpointPool } from '../upstream/pool.ts'
import type { CaptureOptions } from './capture.ts'
import { type Destination, describeDestination, oneSpelling } from './destination.ts'
import { compileLeads, isOfCluster, type Lead, type Leads } from './leads.ts'
import type { Names } from './names.ts'
import { readSpokenHost } from './spoken-host.ts'

const LABEL: PortLabel = { direction: 'outbound', listener: 'captured' }

/**
 * Where the workload's own calls arrive, wherever they were going: to a Service of the mesh over mutual TLS, to what the
 * egress list names as they are, and nowhere else (T33). What HTTP says of its host chooses nothing.
 */
export function createCapturedOutboundPort(
  engine: Engine,
  table: ConnectionTable,
  { originalDestination, ...place }: CaptureOptions,
  names: Names,
): Port {
  const leadsIn = followLeads(engine, new Set((place.resolvers ?? getServers()).map(oneSpelling)))
  const ownPorts = new Set([...place.inbound, ...place.outbound].map(({ port }) => port))
  const ownIps = new Set(place.podIps.map(oneSpelling))

  const serve = (accepted: Accepted): void => {
    const destination = originalDestination(accepted.socket)
    if (destination === undefined) return refuse(accepted, NOT_CAPTURED)
    const { address, port } = destination
    const isOwn = ownIps.has(address) || isLoopback(address)
    // Whoever dials the port itself was not redirected; and what came back here would come back for ever.
    if (isOwn && ownPorts.has(port)) return refuse(accepted, NOT_CAPTURED, destination)
    const pipeline = engine.pipeline()
    if (pipeline === undefined) return refuse(accepted, NOT_SERVING, destination)
    engine.upstreams.update(pipeline.config, engine.endpoints())
    follow(accepted, destination, leadsIn(pipeline).find(destination), pipeline)
  }

  const follow = (accepted: Accepted, destination: Destination, lead: Lead, pipeline: Pipeline): void => {
    switch (lead.kind) {
      case 'service':
        return serveService(accepted, destination, lead, pipeline)
      case 'outside':
        return goOutside(accepted, destination, lead.rule, pipeline)
      case 'named':
        accepted.socket.pause()
        return void findRule(accepted, destination, lead).then((rule) => {
          if (accepted.socket.destroyed) return
          if (rule === undefined) refuse(accepted, OUTBOUND_UNKNOWN_ADDRESS, destination)
          else goOutside(accepted, destination, rule, pipeline)
        })
      case 'refused':
        return refuse(accepted, lead.denial, destination)
    }
  }

  const serveService = (
    accepted: Accepted,
    destination: Destination,
    { destination: found, endpoint }: Extract<Lead, { readonly kind: 'service' }>,
    pipeline: Pipeline,
  ): void => {
    const { socket } = accepted
    const { protocol, upstream } = found.service
    const only =
      endpoint === undefined ? undefined : engine.upstreams.endpoint(upstream, endpoint.address, endpoint.port)
    if (protocol === 'http') {
      const client = outsideClient(socket.remoteAddress)
      const site = siteOf(destination, found, only, () => accepted.served?.drain())
      return serveHttp(engine, { accepted, socket, client, site })
    }
    const again = (next: Pipeline): Refusal | undefined => {
      const lead = leadsIn(next).find(destination)
      const isSame = lead.kind === 'service' && lead.destination.service.upstream === upstream
      // A pod that ends is no endpoint any more, and ends what it has begun.
      return isSame || (only !== undefined && isCalled(found, next))
        ? undefined
        : refusalOf(OUTBOUND_UNKNOWN_ADDRESS.name, describeDestination(destination))
    }
    joinUpstream(engine, accepted, LABEL, upstream, { by: pipeline, again }, only)
  }

  /** `leave` is called when the connection is to end with the response to this request: what it was dialled for is gone. */
  const siteOf = (
    destination: Destination,
    found: ServiceDestination,
    only: EndpointPool | undefined,
    leave: () => void,
  ): HttpSite => {
    let { route } = found
    let pool = only
    const site: HttpSite = {
      direction: LABEL.direction,
      listener: () => LABEL.listener,
      port: () => found.service.port,
      takesPreface: found.service.appProtocol === 'http2',
      resolve(pipeline, request) {
        const lead = leadsIn(pipeline).find(destination)
        if (lead.kind === 'service' && lead.destination.service.protocol === 'http') {
          const { upstream } = lead.destination.service
          route = lead.destination.route
          pool = lead.endpoint && engine.upstreams.endpoint(upstream, lead.endpoint.address, lead.endpoint.port)
          // Whoever dials a pod asks that pod, and no route: those are at the Service.
          return lead.endpoint === undefined ? routeOfRequest(pipeline, lead.destination, request) : route
        }
        leave()
        // A pod that ends answers what comes on connections that were made to it; new ones find another.
        return pool !== undefined && isCalled(found, pipeline) ? route : UNKNOWN_ADDRESS
      },
    }
    return only === undefined ? site : { ...site, endpoint: () => pool }
  }

  /** The name of the rule by which a host leads there; undefined: none does. */
  const findRule = async (
    accepted: Accepted,
    { address }: Destination,
    { exact, wildcards }: Extract<Lead, { readonly kind: 'named' }>,
  ): Promise<string | undefined> => {
    const hosts = exact.map(({ host }) => host.text)
    const found = await names.leadingTo(address, hosts)
    if (found !== undefined) return exact[hosts.indexOf(found)]?.rule
    if (wildcards.length === 0) return undefined
    const spoken = await new Promise<string | undefined>((resolve) => readSpokenHost(engine, accepted, resolve))
    const proposed = spoken === undefined ? undefined : wildcards.find(({ host }) => host.matches(spoken))
    // The name opens nothing by itself: it must lead where the connection was going.
    if (spoken === undefined || proposed === undefined || isOfCluster(spoken)) return undefined
    return (await names.leadingTo(address, [spoken])) === undefined ? undefined : proposed.rule
  }

  const goOutside = (accepted: Accepted, destination: Destination, rule: string, pipeline: Pipeline): void => {
    const { socket } = accepted
    const { address: host, port } = destination
    const upstream = `egress/${rule} ${describeDestination(destination)}`
    const about = {
      decisionId: engine.newId(),
      ...LABEL,
      spiffeId: undefined,
      clientIp: socket.remoteAddress ?? '',
      upstream,
      endpoint: describeDestination(destination),
      refusal: undefined,
      rule: undefined,
      wouldDeny: undefined,
    }
    const isAllowed = (lead: Lead): boolean => {
      if (lead.kind === 'outside') return lead.rule === rule
      return lead.kind === 'named' && [...lead.exact, ...lead.wildcards].some((named) => named.rule === rule)
    }
    const again = (next: Pipeline): Refusal | undefined =>
      isAllowed(leadsIn(next).find(destination))
        ? undefined
        : refusalOf(OUTBOUND_UNKNOWN_ADDRESS.name, describeDestination(destination))
    // DNS may have taken its time: the newest config decides, here and once the other end is connected.
    const refused = again(engine.pipeline() ?? pipeline)
    if (refused !== undefined) return refuse(accepted, OUTBOUND_UNKNOWN_ADDRESS, destination)
    const target = { kind: 'plain', host, port } as const
    joinWith(engine, accepted, socket, [target], about, { by: pipeline, again })
  }

  const refuse = ({ socket }: Accepted, { name }: Denial, destination?: Destination): void => {
    tellRefused(engine, LABEL, socket, name, destination && describeDestination(destination))
    socket.resetAndDestroy()
  }

  return createPort(engine, table, place.outbound, LABEL, serve)
}

const UNKNOWN_ADDRESS: Deny = refusal(OUTBOUND_UNKNOWN_ADDRESS)

/** Whether the workload may still call that port of the Service, as what it is. */
function isCalled({ service }: ServiceDestination, { config }: Pipeline): boolean {
  return config.outbound.services.some(
    ({ upstream, protocol }) => upstream === service.upstream && protocol === service.protocol,
  )
}

/** What the newest pipeline and endpoints say, compiled once for each pair. */
function followLeads(engine: Engine, resolvers: ReadonlySet<string>): (pipeline: Pipeline) => Leads {
  let compiledFor: readonly unknown[] = []
  let compiled: Leads | undefined
  return (pipeline) => {
    const endpoints = engine.endpoints()
    if (compiled === undefined || compiledFor[0] !== pipeline || compiledFor[1] !== endpoints) {
      compiledFor = [pipeline, endpoints]
      compiled = compileLeads(pipeline.config, endpoints ?? { endpoints: {} }, resolvers, pipeline.calls)
    }
    return compiled
  }
}
