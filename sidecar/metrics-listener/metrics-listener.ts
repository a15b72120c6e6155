import { createServer as createPlainServer, type RequestListener, type Server } from 'node:http'
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { SpiffeId } from '../../model/spiffe-id.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { IdentityStore } from '../identity/identity-store.ts'
import { MeshConnections } from '../identity/mesh-connections.ts'
import { followIdentity, serverTlsOptions } from '../identity/tls-options.ts'
import { peerSpiffeId } from '../identity/trust.ts'

export interface MetricsListenerOptions {
  /** 0 for any free port. */
  readonly port: number
  /** Default all addresses. */
  readonly host?: string
  /** Who may read. */
  readonly allow: readonly SpiffeId[]
  /** Anybody may read, without TLS. Said by a person and never by default. */
  readonly plaintext: boolean
  readonly identity: IdentityStore
  readonly metrics: Metrics
  readonly clock: Clock
  readonly log: Log
}

export interface MetricsListener {
  readonly port: number
  /** Stops listening and cuts what is open. */
  close(): Promise<void>
}

/** Connections at once; a Prometheus keeps one. */
const MAX_CONNECTIONS = 16
const HANDSHAKE_MS = 5_000
const REQUEST_MS = 10_000
/** Longer than the usual interval of a scrape, so that one is not a handshake. */
const KEEP_ALIVE_MS = 75_000

/**
 * Serves `GET /metrics` on the pod's address, and nothing else: to whoever proves one of the allowed SPIFFE IDs by mutual
 * TLS with the mesh's roots (T32). A connection that does not is closed before a request of it is read.
 *
 * Undefined when nobody is allowed: then there is no port. Rejects when the port is taken.
 */
export async function startMetricsListener(options: MetricsListenerOptions): Promise<MetricsListener | undefined> {
  const { port, host, allow, plaintext, identity, log } = options
  if (allow.length === 0 && !plaintext) return undefined
  const limits = {
    maxHeaderSize: 8_192,
    headersTimeout: REQUEST_MS,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
  }
  let server: Server | SecureServer
  let unfollow = () => {}
  if (plaintext) {
    server = createPlainServer(
      limits,
      answer(options, () => true),
    )
  } else {
    const allowed = createGate(options)
    const secure = createSecureServer(
      {
        ...limits,
        ...serverTlsOptions(identity.current()),
        ALPNProtocols: ['http/1.1'],
        handshakeTimeout: HANDSHAKE_MS,
      },
      answer(options, (socket) => allowed(socket as TLSSocket)),
    )
    unfollow = followIdentity(secure, identity)
    const connections = new MeshConnections(identity, options.clock)
    secure.prependListener('secureConnection', (socket: TLSSocket) => {
      if (allowed(socket)) connections.add(socket)
      else socket.destroy()
    })
    secure.on('tlsClientError', (_error, socket) => socket.destroy())
    server = secure
  }
  server.maxConnections = MAX_CONNECTIONS
  server.on('clientError', (_error, socket) => socket.destroy())

  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(new Error(`cannot listen on the metrics port ${port}`, { cause })))
    server.listen({ port, ...(host === undefined ? {} : { host }) }, resolve)
  })
  server.on('error', (err) => log.error('metrics listener failed', { err }))
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      unfollow()
      return new Promise((closed) => {
        server.close(() => closed())
        server.closeAllConnections()
      })
    },
  }
}

/** Judged for each request: a certificate ends while its connection is open (T06). */
function createGate({ allow, identity, clock }: MetricsListenerOptions): (socket: TLSSocket) => boolean {
  const spiffeIds = new Set(allow)
  return (socket) => {
    const { trustDomain } = identity.current()
    return peerSpiffeId(socket, { trustDomain, role: 'client', nowMs: clock.now(), spiffeIds }).ok
  }
}

function answer({ metrics, log }: MetricsListenerOptions, isAllowed: (socket: object) => boolean): RequestListener {
  return (request, response) => {
    if (!isAllowed(request.socket)) return void request.socket.destroy()
    const isScrape = request.url === '/metrics' && (request.method === 'GET' || request.method === 'HEAD')
    if (!isScrape)
      return void response.writeHead(404, { 'content-type': 'text/plain', connection: 'close' }).end('not found\n')
    metrics.text().then(
      (text) => {
        response.writeHead(200, {
          'content-type': metrics.contentType,
          'cache-control': 'no-store',
          'x-content-type-options': 'nosniff',
        })
        response.end(text)
      },
      (err: unknown) => {
        log.error('metrics could not be told', { err })
        response.destroy()
      },
    )
  }
}
