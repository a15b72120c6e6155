import type { EgressRule, OutboundService, WorkloadConfig } from '../../../contract/workload-config.ts'
import { type Cidr, parseCidr } from '../../../model/match/cidr.ts'
import { type HostPattern, parseHostPattern } from '../../../model/match/host.ts'
import { readIpAddress } from '../../../model/match/ip-address.ts'
import type { RequestView } from '../../../model/request.ts'
import type { Deny } from '../../../model/verdict.ts'
import { chainTo } from '../../compile/calls.ts'
import type { Chain, CompiledRoute, Pipeline } from '../../compile/pipeline.ts'
import { isLoopback, isNeverOutside, type OutsideTarget } from '../../upstream/outside.ts'
import { NO_ROUTE, refusal } from '../denials.ts'

/** Where the workload may call, by the name and port it uses. Everything else is refused (T33). */
export interface Destinations {
  /** `host` in lower case, as normalised. */
  service(host: string, port: number): ServiceDestination | undefined
  egress(host: string, port: number): EgressDestination | undefined
}

export interface ServiceDestination {
  readonly service: OutboundService
  /** As requests to it are forwarded where no routes are at it. What may be asked of it, its own sidecar decides. */
  readonly route: CompiledRoute
}

const UNASKED: Chain = Object.freeze({ enforced: [] })

const UNROUTED: Deny = refusal(NO_ROUTE)

/** The route of a request to a Service: one of those that are at it, if any are (GEP-1294). */
export function routeOfRequest(
  { outbound }: Pipeline,
  { service, route }: ServiceDestination,
  request: RequestView,
): CompiledRoute | Deny {
  const routed = outbound.get(service.upstream)
  return routed === undefined ? route : (routed.route(request) ?? UNROUTED)
}

export interface EgressDestination {
  /** For records, and as the name of its upstream. */
  readonly name: string
  readonly target: OutsideTarget
  readonly route: CompiledRoute
}

/**
 * `isMeshed` says of an address whether a workload of the mesh is reached there: no rule about the outside ever leads to
 * one, whatever DNS says.
 */
export function compileDestinations(
  config: Pick<WorkloadConfig, 'outbound' | 'upstreams'>,
  responseMs: number,
  isMeshed: (address: string, port: number) => boolean,
  calls: Chain = UNASKED,
): Destinations {
  const { outbound } = config
  const services = new Map<string, ServiceDestination>()
  for (const service of outbound.services) {
    const destination = serviceDestination(service, config, calls)
    for (const host of service.hosts) services.set(`${host}:${service.port}`, destination)
  }
  const rules = outbound.egress.flatMap((rule) => compileRule(rule) ?? [])

  return {
    service: (host, port) => services.get(`${host}:${port}`),
    egress(host, port) {
      const bare = host.startsWith('[') ? host.slice(1, -1) : host
      const rule = rules.find((one) => one.covers(bare, port))
      if (rule === undefined) return undefined
      const name = `egress/${rule.name} ${host}:${port}`
      const allows = (address: string) => rule.allows(address) && !isNeverOutside(address) && !isMeshed(address, port)
      return { name, target: { kind: 'outside', host: bare, port, allows }, route: routeTo(name, name, responseMs) }
    },
  }
}

/** `calls` is what is asked about the requests to it, where it is reached by mesh TLS. */
export function serviceDestination(
  service: OutboundService,
  config: Pick<WorkloadConfig, 'upstreams'>,
  calls: Chain,
): ServiceDestination {
  const id = `Service/${service.service}:${service.port}`
  const route = routeTo(id, service.upstream, service.requestTimeoutMs)
  return { service, route: { ...route, chain: chainTo([service.upstream], calls, config) } }
}

interface CompiledRule {
  readonly name: string
  covers(host: string, port: number): boolean
  allows(address: string): boolean
}

/** A rule that cannot be read opens nothing. */
function compileRule({ name, host, cidr, ports }: EgressRule): CompiledRule | undefined {
  if (host !== undefined) {
    const pattern = parseHostPattern(host)
    return pattern.ok ? hostRule(name, pattern.value, ports) : undefined
  }
  const block = cidr === undefined ? undefined : parseCidr(cidr)
  return block?.ok ? blockRule(name, block.value, ports) : undefined
}

function hostRule(name: string, pattern: HostPattern, ports: readonly number[]): CompiledRule {
  return {
    name,
    covers: (host, port) => ports.includes(port) && pattern.matches(host),
    allows: (address) => !isLoopback(address),
  }
}

/**
 * Names are not covered, even if they lead into the block: who may be called by name, a rule says by name. A block that
 * holds this machine among others does not mean it: `0.0.0.0/0` is the world outside.
 */
function blockRule(name: string, block: Cidr, ports: readonly number[]): CompiledRule {
  const isOfLoopback = !BESIDE_LOOPBACK.some((address) => block.contains(address))
  const holds = (text: string) => {
    const address = readIpAddress(text)
    return address !== undefined && block.contains(address) && (isOfLoopback || !isLoopback(text))
  }
  return { name, covers: (host, port) => ports.includes(port) && holds(host), allows: holds }
}

/** The neighbours of 127.0.0.0/8 and of ::1: a block with one of these is not of loopback alone. */
const BESIDE_LOOPBACK = ['126.255.255.255', '128.0.0.0', '::', '::2'].flatMap((text) => readIpAddress(text) ?? [])

/** The route of requests whose destination is known without looking at them. What may be asked there is not judged here. */
export function routeTo(id: string, upstream: string, requestTimeoutMs: number): CompiledRoute {
  return {
    id,
    chain: UNASKED,
    config: {
      id,
      match: { hostnames: [], path: { type: 'prefix', value: '/' }, headers: [], query: [] },
      filters: {},
      action: { kind: 'forward', backends: [{ upstream, weight: 1 }], requestTimeoutMs },
    },
  }
}
