import { createServer as createPlainServer, type RequestListener } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { SpiffeId, TrustDomain } from '../../model/spiffe-id.ts'
import { judgeSvid } from '../../model/x509/svid.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import { verifiedCertificateOf } from '../identity/peer.ts'
import { operatorTlsOptions, type ServerIdentity } from '../identity/server-identity.ts'

export interface MetricsServer {
  readonly port: number
  /** When the metrics were told the last time, in milliseconds since the epoch; undefined: never. */
  readAt(): number | undefined
  /** The operator has another certificate, or trusts other roots. */
  renew(identity: ServerIdentity): void
  /** Stops listening and cuts what is open. */
  close(): Promise<void>
}

export interface MetricsServerOptions {
  /** Default: every address. */
  readonly host?: string
  /** 0 for any free port. */
  readonly port: number
  /** Who may read. */
  readonly allow: readonly SpiffeId[]
  /** Anybody may read, without TLS. Said by a person and never by default. */
  readonly plaintext: boolean
  readonly identity: ServerIdentity
  readonly trustDomain: TrustDomain
  readonly metrics: Metrics
  readonly clock: Pick<Clock, 'now'>
  readonly log: Log
}

/** Connections at once; a Prometheus keeps one. */
const MAX_CONNECTIONS = 16
const REQUEST_MS = 10_000
/** Longer than the usual interval of a scrape, so that one is not a handshake. */
const KEEP_ALIVE_MS = 75_000

/**
 * Serves `GET /metrics` on the pod's address, and nothing else: to whoever proves one of the allowed SPIFFE IDs by mutual
 * TLS with the mesh's roots (T32). Any other connection is closed before a request of it is read.
 *
 * Undefined when nobody is allowed: then there is no port. Rejects when the port is taken.
 */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer | undefined> {
  const { host, port, allow, plaintext, identity, trustDomain, clock, log } = options
  if (allow.length === 0 && !plaintext) return undefined
  const spiffeIds = new Set(allow)
  /** Judged for each request too: a certificate ends while its connection is open (T06). */
  const isAllowed = (socket: unknown) =>
    judgeSvid(verifiedCertificateOf(socket), { trustDomain, role: 'client', nowMs: clock.now(), spiffeIds }).ok
  let readAt: number | undefined
  const tell = answer(options, () => {
    readAt = clock.now()
  })
  const limits = {
    maxHeaderSize: 8_192,
    headersTimeout: REQUEST_MS,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
  }
  const secure = plaintext
    ? undefined
    : createSecureServer(
        { ...limits, ...operatorTlsOptions(identity), handshakeTimeout: REQUEST_MS },
        (...exchange) => {
          if (isAllowed(exchange[0].socket)) tell(...exchange)
          else exchange[0].socket.destroy()
        },
      )
  secure?.prependListener('secureConnection', (socket) => {
    if (!isAllowed(socket)) socket.destroy()
  })
  const server = secure ?? createPlainServer(limits, tell)
  server.maxConnections = MAX_CONNECTIONS
  server.on('clientError', (_error, socket) => socket.destroy())
  server.on('tlsClientError', (_error, socket) => socket.destroy())

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ ...(host !== undefined && { host }), port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  server.on('error', (err) => log.error('metrics server failed', { err }))
  return {
    port: (server.address() as AddressInfo).port,
    readAt: () => readAt,
    renew: (next) => secure?.setSecureContext(operatorTlsOptions(next)),
    close() {
      return new Promise((closed) => {
        server.close(() => closed())
        server.closeAllConnections()
      })
    },
  }
}

function answer({ metrics, log }: MetricsServerOptions, onRead: () => void): RequestListener {
  return (request, response) => {
    if (request.url !== '/metrics' || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(404, { 'content-type': 'text/plain', connection: 'close' }).end('not found\n')
      return
    }
    metrics.text().then(
      (text) => {
        response.writeHead(200, {
          'content-type': metrics.contentType,
          'cache-control': 'no-store',
          'x-content-type-options': 'nosniff',
        })
        response.end(text)
        onRead()
      },
      (err: unknown) => {
        log.error('metrics could not be told', { err })
        response.destroy()
      },
    )
  }
}
