import type { Endpoint } from '../../../contract/endpoints.ts'
import { formatIpAddress, readIpAddress } from '../../../model/match/ip-address.ts'
import type { Pipeline } from '../../compile/pipeline.ts'
import { isLoopback } from '../../upstream/outside.ts'
import type { ConnectionTable } from '../accepted.ts'
import { outsideClient } from '../client.ts'
import type { Engine } from '../engine.ts'
import type { ProxyPlace } from '../placement.ts'
import { createPort, type Port } from '../port.ts'
import { serveHttp } from '../serve-http.ts'
import type { HttpSite } from '../site.ts'
import { ConnectTransaction } from './connect-transaction.ts'
import { createCredentialCheck } from './credential.ts'
import { compileDestinations, type Destinations, routeOfRequest, type ServiceDestination } from './destinations.ts'
import { NO_CREDENTIAL, NOT_HTTP, NOT_PROXIED, OTHER_HOST, UNKNOWN_HOST } from './refusals.ts'

/**
 * The forward proxy for the workload's own calls (T33, T35): absolute-form requests, and CONNECT, inside which the
 * plaintext of an HTTP service is read as HTTP with all its policy. Who does not know the workload's credential gets 407.
 */
export function createProxyPort(engine: Engine, table: ConnectionTable, { bind, credential }: ProxyPlace): Port {
  const label = { direction: 'outbound', listener: 'proxy' } as const
  const destinations = followDestinations(engine)
  const isOurs = createCredentialCheck(credential)
  const site: HttpSite = {
    direction: 'outbound',
    listener: () => label.listener,
    port: () => 0,
    // An absolute form that names no port is for that of its scheme.
    visiblePort: (configured) => configured || 80,
    resolve(pipeline, request, head) {
      if (!isOurs(head.headers.get('proxy-authorization'))) return NO_CREDENTIAL
      if (head.form !== 'absolute' || head.scheme !== 'http') return NOT_PROXIED
      const port = head.port ?? 80
      const known = destinations(pipeline)
      const destination = known.service(head.host, port)
      if (destination !== undefined) {
        return destination.service.protocol === 'http' ? routeOfRequest(pipeline, destination, request) : NOT_HTTP
      }
      const egress = known.egress(head.host, port)
      if (egress === undefined) return UNKNOWN_HOST
      engine.upstreams.outside(egress.name, egress.target)
      return egress.route
    },
    transaction(_engine, wire, head) {
      if (head.method !== 'CONNECT') return undefined
      return new ConnectTransaction(engine, wire, head, { isOurs, destinations, siteInside })
    },
  }
  /** What a CONNECT named is the destination; a Host inside that names another one is refused (T33). */
  const siteInside = ({ service }: ServiceDestination): HttpSite => ({
    direction: 'outbound',
    listener: () => label.listener,
    port: () => service.port,
    takesPreface: service.appProtocol === 'http2',
    resolve(pipeline, request, head) {
      const named = destinations(pipeline).service(request.host, head.port ?? 80)
      if (named === undefined || named.service.upstream !== service.upstream) return OTHER_HOST
      return routeOfRequest(pipeline, named, request)
    },
  })
  return createPort(engine, table, bind, label, (accepted) => {
    const { socket } = accepted
    serveHttp(engine, { accepted, socket, client: outsideClient(socket.remoteAddress), site })
  })
}

/** The destinations of the newest pipeline, compiled once for each. */
function followDestinations(engine: Engine): (pipeline: Pipeline) => Destinations {
  let compiledFor: Pipeline | undefined
  let compiled: Destinations | undefined
  const isMeshed = (address: string, port: number) => {
    const called = oneSpelling(address)
    const endpoints = engine.endpoints()?.endpoints ?? {}
    // Every port of a meshed pod is the mesh's; on loopback all pods share the address.
    const isOf = (endpoint: Endpoint) =>
      oneSpelling(endpoint.address) === called && (endpoint.port === port || !isLoopback(address))
    return Object.values(endpoints).some((group) => group.some(isOf))
  }
  return (pipeline) => {
    if (compiled === undefined || compiledFor !== pipeline) {
      compiledFor = pipeline
      compiled = compileDestinations(pipeline.config, engine.limits.responseMs, isMeshed, pipeline.calls)
    }
    return compiled
  }
}

/** `::ffff:10.0.0.1` is `10.0.0.1`, and an IPv6 address may be written in many ways. */
function oneSpelling(address: string): string {
  const parsed = readIpAddress(address)
  return parsed === undefined ? address : formatIpAddress(parsed)
}
