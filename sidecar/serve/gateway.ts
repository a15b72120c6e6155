import type { GatewayPipeline, Pipeline } from '../compile/pipeline.ts'
import type { ServingCertificates } from '../identity/serving-certificates.ts'
import { gatewayTlsOptions } from '../identity/tls-options.ts'
import type { Accepted, ConnectionTable } from './accepted.ts'
import {
  type ChosenCertificate,
  createCertificateChooser,
  NO_CERTIFICATE,
  normalServerName,
} from './certificate-chooser.ts'
import { outsideClient } from './client.ts'
import { MISDIRECTED, NO_ROUTE, NOT_SERVING, refusal } from './denials.ts'
import type { Engine } from './engine.ts'
import type { BindAddress, GatewayPlace } from './placement.ts'
import { createPort, type Port, type PortLabel } from './port.ts'
import { serveHttp } from './serve-http.ts'
import type { HttpSite } from './site.ts'
import { createTerminator } from './terminator.ts'

/** Listeners of a Gateway that share one address. Which of them a request is for, the host says: SNI and Host. */
export interface GatewayGroup {
  /** The same for as long as the address is, whichever listeners come and go. */
  readonly key: string
  readonly bind: BindAddress
  /** Names of the listeners; those that the config does not have now are not served. */
  readonly listeners: readonly string[]
  readonly protocol: 'http' | 'https' | 'tls' | 'tcp'
}

/** The groups of which the pipeline has at least one listener. */
export function gatewayGroups(places: readonly GatewayPlace[], pipeline: Pipeline): readonly GatewayGroup[] {
  const byAddress = new Map<string, GatewayPlace[]>()
  for (const place of places) {
    const { host, port } = place.bind
    const key = port === 0 ? `listener ${place.listener}` : `${host} ${port}`
    byAddress.set(key, [...(byAddress.get(key) ?? []), place])
  }
  return [...byAddress].flatMap(([key, group]) => {
    const listeners = group.map(({ listener }) => listener)
    const present = listeners
      .map((name) => pipeline.gateway.get(name) ?? pipeline.streams.get(name))
      .find((found) => found !== undefined)
    if (present === undefined) return []
    return [{ key, bind: group[0]!.bind, listeners, protocol: present.listener.protocol }]
  })
}

export interface GatewayDeps {
  /** The listeners that the group has by now. */
  listenersOf(group: GatewayGroup, pipeline: Pipeline): readonly string[]
  readonly certificates: Pick<ServingCertificates, 'get' | 'onChange'> | undefined
  /** The port that clients dial for a port of the config. */
  visiblePort(configured: number): number
}

export function createGatewayPort(
  engine: Engine,
  table: ConnectionTable,
  group: GatewayGroup,
  { listenersOf, certificates, visiblePort }: GatewayDeps,
): Port {
  const isSecure = group.protocol === 'https'
  const hosts = createHostIndex((pipeline) => listenersOf(group, pipeline), isSecure ? 'https' : 'http')
  const label = groupLabel(engine, group, listenersOf)
  const site = gatewaySite(engine, hosts, visiblePort)
  if (!isSecure) {
    return createPort(engine, table, group.bind, label, (accepted) => {
      const { socket } = accepted
      serveHttp(engine, { accepted, socket, client: outsideClient(socket.remoteAddress), site })
    })
  }

  const chooser = createCertificateChooser(certificates, engine.log)
  const certificateFor = (written: string | undefined): ChosenCertificate | undefined => {
    const pipeline = engine.pipeline()
    if (pipeline === undefined) return undefined
    const serverName = written === undefined ? undefined : normalServerName(written)
    const named = serverName === undefined ? undefined : hosts.find(pipeline, serverName)
    const gateway = named ?? hosts.first(pipeline)
    return gateway === undefined ? undefined : chooser.choose(gateway.listener.certificates, serverName)
  }
  const options = gatewayTlsOptions(NO_CERTIFICATE)
  const terminator = createTerminator(engine, label, { options, certificateFor, certificates })

  const serve = (accepted: Accepted): void => {
    terminator.handshake(accepted, (socket) => {
      const serverName = typeof socket.servername === 'string' ? normalServerName(socket.servername) : undefined
      const client = outsideClient(socket.remoteAddress, { serverName })
      serveHttp(engine, { accepted, socket, client, site, version: socket.alpnProtocol === 'h2' ? 'http2' : 'http1' })
    })
  }
  const port = createPort(engine, table, group.bind, label, serve)
  return {
    ...port,
    refresh: terminator.refresh,
    close() {
      port.close()
      terminator.close()
    },
  }
}

/** The names of all listeners that share a port: what is told of before it is known which of them a connection is for. */
export function groupLabel(
  engine: Pick<Engine, 'pipeline'>,
  group: GatewayGroup,
  listenersOf: GatewayDeps['listenersOf'],
): PortLabel {
  return {
    direction: 'gateway',
    get listener() {
      const pipeline = engine.pipeline()
      return (pipeline === undefined ? group.listeners : listenersOf(group, pipeline)).join(',')
    },
  }
}

/** Finds the listener that a host is for: the exact name, else the longest wildcard, else the one for all. */
export interface HostIndex {
  find(pipeline: Pipeline, host: string): GatewayPipeline | undefined
  /** The one for clients that name no host. */
  first(pipeline: Pipeline): GatewayPipeline | undefined
}

export function createHostIndex(
  namesIn: (pipeline: Pipeline) => readonly string[],
  protocol: 'http' | 'https',
): HostIndex {
  let indexed: Pipeline | undefined
  let present: readonly GatewayPipeline[] = []
  const update = (pipeline: Pipeline) => {
    if (pipeline === indexed) return
    indexed = pipeline
    present = namesIn(pipeline)
      .flatMap((name) => pipeline.gateway.get(name) ?? [])
      .filter((one) => one.listener.protocol === protocol)
  }
  return {
    find(pipeline, host) {
      update(pipeline)
      let best: GatewayPipeline | undefined
      let bestLength = -1
      for (const gateway of present) {
        const length = matchLength(gateway.listener.hostname, host)
        if (length > bestLength) {
          best = gateway
          bestLength = length
        }
      }
      return best
    },
    first(pipeline) {
      update(pipeline)
      return present[0]
    },
  }
}

/** -1: no match; 0: for all; a wildcard counts its suffix, an exact name more than any wildcard. */
export function matchLength(pattern: string | undefined, host: string): number {
  if (pattern === undefined) return 0
  if (pattern === host) return Number.MAX_SAFE_INTEGER
  if (!pattern.startsWith('*.')) return -1
  const suffix = pattern.slice(1)
  return host.endsWith(suffix) && host.length > suffix.length ? suffix.length : -1
}

const GONE = refusal(NOT_SERVING)
const ELSEWHERE = refusal(MISDIRECTED)
const NOWHERE = refusal(NO_ROUTE)

function gatewaySite(engine: Engine, hosts: HostIndex, visiblePort: (configured: number) => number): HttpSite {
  return {
    direction: 'gateway',
    listener(host) {
      const pipeline = engine.pipeline()
      if (pipeline === undefined) return ''
      return (hosts.find(pipeline, host) ?? hosts.first(pipeline))?.listener.name ?? ''
    },
    port: (pipeline) => hosts.first(pipeline)?.listener.port ?? 0,
    visiblePort,
    resolve(pipeline, request, _head, client) {
      if (hosts.first(pipeline) === undefined) return GONE
      // T14: the certificate was shown for one host, the request may not be for another.
      if (client.serverName !== undefined && client.serverName !== request.host) return ELSEWHERE
      const gateway = hosts.find(pipeline, request.host)
      if (gateway === undefined) return client.isSecure ? ELSEWHERE : NOWHERE
      return gateway.route(request) ?? NOWHERE
    },
  }
}
