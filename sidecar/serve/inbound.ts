import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { MESH_ALPN } from '../../contract/alpn.ts'
import { serviceAccountOf } from '../../model/spiffe-id.ts'
import type { InboundPipeline, Pipeline } from '../compile/pipeline.ts'
import { followIdentity, serverTlsOptions } from '../identity/tls-options.ts'
import { peerSpiffeId } from '../identity/trust.ts'
import { CancelKeys } from '../postgres/cancel-keys.ts'
import type { PlainTarget, UnixTarget } from '../upstream/connect.ts'
import { EndpointPool } from '../upstream/pool.ts'
import type { Accepted, ConnectionTable } from './accepted.ts'
import { type Client, meshClient, outsideClient } from './client.ts'
import {
  HANDSHAKE_FAILED,
  NO_ROUTE,
  NOT_SERVING,
  PEER_IDENTITY,
  PLAINTEXT_REFUSED,
  refusal,
  WRONG_ALPN,
} from './denials.ts'
import type { Engine } from './engine.ts'
import type { AppAddress, InboundPlace } from './placement.ts'
import { createHandshaker, createPort, type Port, type PortLabel, sniff, tellRefused } from './port.ts'
import { serveInboundPostgres } from './postgres-port.ts'
import { serveHttp } from './serve-http.ts'
import type { HttpSite } from './site.ts'
import { serveInboundTcp } from './tcp.ts'

/** Milliseconds that a client of a port that takes plaintext too has for its first byte, if the server is to speak first (T11). */
const SERVER_FIRST_MS = 100

/** One port of the workload, bound where the placement says. */
export function createInboundPort(engine: Engine, table: ConnectionTable, place: InboundPlace): Port {
  const service = createInboundService(engine, place)
  const port = createPort(engine, table, place.bind, service.label, service.serve)
  return {
    ...port,
    close() {
      port.close()
      service.close()
    },
  }
}

/** One port of the workload behind this sidecar: what becomes of the connections to it. */
export interface InboundService {
  readonly label: PortLabel
  serve(accepted: Accepted): void
  close(): void
}

export interface InboundServiceOptions {
  /** `InboundListener.port` of the config. */
  readonly containerPort: number
  readonly app: AppAddress
  /** The callers' address, where the sockets' says something else. */
  readonly clientIp?: string
}

export function createInboundService(
  engine: Engine,
  { containerPort, app: address, clientIp }: InboundServiceOptions,
): InboundService {
  const label: PortLabel = { direction: 'inbound', listener: String(containerPort) }
  const app = targetOf(address)
  const current = (): InboundPipeline | undefined => engine.pipeline()?.inbound.get(containerPort)
  const appPool = followAppProtocol(engine, app, () => current()?.listener.appProtocol)
  const site: HttpSite = {
    ...inboundSite(containerPort, label.listener, appPool.get()),
    get app() {
      return appPool.get()
    },
    get takesPreface() {
      return current()?.listener.appProtocol === 'http2'
    },
  }
  const cancelKeys = new CancelKeys()
  const { server, handshake } = createHandshaker(engine, label, serverTlsOptions(engine.identity.current()))
  const unfollow = followIdentity(server, engine.identity)

  const serve = (accepted: Accepted): void => {
    const inbound = current()
    if (inbound === undefined) return refuse(accepted.socket, NOT_SERVING.name)
    const { mtls, protocol } = inbound.listener
    if (mtls === 'Disabled') return servePlaintext(accepted)
    const waitMs = mtls === 'Permissive' && protocol === 'tcp' ? SERVER_FIRST_MS : engine.limits.headMs
    sniff(engine, accepted, waitMs, (looksLike) => {
      if (looksLike === 'tls') return handshake(accepted, (socket) => serveMesh(accepted, socket))
      if (looksLike === undefined && waitMs !== SERVER_FIRST_MS) return refuse(accepted.socket, HANDSHAKE_FAILED.name)
      // Whatever the mode was when it connected: the newest one decides.
      if (current()?.listener.mtls === 'Permissive') return servePlaintext(accepted)
      refuse(accepted.socket, PLAINTEXT_REFUSED.name)
    })
  }

  const serveMesh = (accepted: Accepted, socket: TLSSocket): void => {
    const inbound = current()
    if (inbound === undefined) return refuse(socket, NOT_SERVING.name)
    const self = engine.identity.current()
    const peer = peerSpiffeId(socket, { trustDomain: self.trustDomain, role: 'client', nowMs: engine.clock.now() })
    if (!peer.ok) return refuse(socket, PEER_IDENTITY.name, peer.reason)
    // The mesh's authority issues no other ids: whoever has one had it from somebody who should not have signed it.
    if (serviceAccountOf(peer.spiffeId) === undefined) return refuse(socket, PEER_IDENTITY.name, 'no-service-account')
    const { protocol } = inbound.listener
    const alpn = socket.alpnProtocol
    const client = meshClient(socket, peer, self.spiffeId, clientIp)
    if (protocol === 'http' && (alpn === MESH_ALPN.http || alpn === MESH_ALPN.http2)) {
      return serveHttp(engine, { accepted, socket, client, site, version: alpn === MESH_ALPN.http ? 'http1' : 'http2' })
    }
    // Callers that do not read HTTP/2 carry it (F20): it is read here all the same.
    if (alpn !== MESH_ALPN.tcp || (protocol === 'http' && !site.takesPreface)) return refuse(socket, WRONG_ALPN.name)
    hand(accepted, socket, client, inbound)
  }

  const servePlaintext = (accepted: Accepted): void => {
    const inbound = current()
    if (inbound === undefined) return refuse(accepted.socket, NOT_SERVING.name)
    const client = outsideClient(clientIp ?? accepted.socket.remoteAddress)
    engine.observer.connection({
      timeMs: engine.clock.now(),
      durationMs: 0,
      decisionId: engine.newId(),
      ...label,
      spiffeId: undefined,
      clientIp: client.peer.ip,
      upstream: '',
      endpoint: undefined,
      outcome: 'allowed',
      refusal: undefined,
      rule: undefined,
      wouldDeny: undefined,
      bytesIn: 0,
      bytesOut: 0,
      plaintext: true,
    })
    hand(accepted, accepted.socket, client, inbound)
  }

  const hand = (accepted: Accepted, socket: Socket, client: Client, { listener, opening }: InboundPipeline): void => {
    if (listener.protocol === 'http') return serveHttp(engine, { accepted, socket, client, site })
    const connection = { accepted, socket, client, label, containerPort, app }
    if (opening === undefined) serveInboundTcp(engine, connection)
    else serveInboundPostgres(engine, connection, cancelKeys)
  }

  const refuse = (socket: Socket, denial: string, detail?: string): void => {
    tellRefused(engine, label, socket, denial, detail)
    socket.destroy()
  }

  return {
    label,
    serve,
    close() {
      unfollow()
      appPool.close()
    },
  }
}

const GONE = refusal(NOT_SERVING)
const PLAINTEXT = refusal(PLAINTEXT_REFUSED)
const NOWHERE = refusal(NO_ROUTE)

/** What requests to one port of the workload are for, however they came to it. */
export function inboundSite(containerPort: number, name: string, app: EndpointPool): HttpSite {
  return {
    direction: 'inbound',
    listener: () => name,
    app,
    port: () => containerPort,
    resolve(pipeline: Pipeline, request, _head, client) {
      const inbound = pipeline.inbound.get(containerPort)
      if (inbound === undefined) return GONE
      // A connection that was opened while plaintext was taken does not outlive that.
      if (inbound.listener.mtls === 'Strict' && client.peer.spiffeId === undefined) return PLAINTEXT
      return inbound.route(request) ?? NOWHERE
    },
  }
}

/** The connections to the application: others, when it is said to speak something else. */
function followAppProtocol(
  engine: Engine,
  app: PlainTarget | UnixTarget,
  spoken: () => 'http2' | undefined,
): { get(): EndpointPool; close(): void } {
  let speaks = spoken()
  let pool = new EndpointPool({ ...app, speaks }, engine.poolDeps)
  return {
    get() {
      const now = spoken()
      if (now !== speaks) {
        pool.close()
        speaks = now
        pool = new EndpointPool({ ...app, speaks }, engine.poolDeps)
      }
      return pool
    },
    close: () => pool.close(),
  }
}

function targetOf(app: AppAddress): PlainTarget | UnixTarget {
  return 'unixSocket' in app
    ? { kind: 'unix', path: app.unixSocket }
    : { kind: 'plain', host: app.host, port: app.port }
}
