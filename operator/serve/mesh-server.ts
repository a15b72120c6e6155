import type { IncomingMessage } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { CERTIFICATES_PATH } from '../../contract/certificates.ts'
import { SESSION_PATH } from '../../contract/session.ts'
import type { SpiffeId, TrustDomain } from '../../model/spiffe-id.ts'
import { judgeSvid } from '../../model/x509/svid.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { CertificateHandler } from '../identity/certificate-handler.ts'
import { verifiedCertificateOf } from '../identity/peer.ts'
import { operatorTlsOptions, type ServerIdentity } from '../identity/server-identity.ts'
import type { Push } from '../push/push.ts'

/** The operator's one port for sidecars: certificates, and the session that configuration comes by. */
export interface MeshServer {
  readonly port: number
  /** For renewing the certificate (`keepServerIdentity`). */
  readonly server: Server
  close(): Promise<void>
}

/** Whoever takes upgraded connections on a path of its own: other operators. */
export interface PeerSessions {
  /** Takes over the connection of a peer whose certificate was verified, with the peer's SPIFFE ID and the certificate's end. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, peer: SpiffeId, peerNotAfterMs: number): void
  close(): void
}

export interface MeshServerOptions {
  /** Default: every address. */
  readonly host?: string
  /** 0 for any free port. */
  readonly port: number
  readonly identity: ServerIdentity
  readonly trustDomain: TrustDomain
  readonly certificates: CertificateHandler
  readonly push: Push
  /** By path. */
  readonly peers?: ReadonlyMap<string, PeerSessions>
  readonly clock: Clock
  readonly log: Log
}

/** Rejects when the port is taken. */
export function startMeshServer(options: MeshServerOptions): Promise<MeshServer> {
  const { host, port, identity, trustDomain, certificates, push, peers = new Map(), clock, log } = options
  const sessions = new Map<string, PeerSessions>([...peers, [SESSION_PATH, push]])
  const server = createServer(
    { ...operatorTlsOptions(identity), maxHeaderSize: 24_576, headersTimeout: 5_000, requestTimeout: 10_000 },
    (request, response) => {
      if (request.url === CERTIFICATES_PATH) void certificates(request, response)
      else
        response
          .writeHead(404, { 'content-type': 'application/problem+json' })
          .end('{"status":404,"title":"Not found."}')
    },
  )
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => {})
    const refuse = (status: string) => {
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
    }
    const peer = judgeSvid(verifiedCertificateOf(request.socket), { trustDomain, role: 'client', nowMs: clock.now() })
    const accepting = sessions.get(request.url ?? '')
    if (accepting === undefined) refuse('404 Not Found')
    else if (peer.ok) accepting.accept(request, socket, head, peer.spiffeId, peer.notAfterMs)
    else {
      log.warn('session refused', { 'event.reason': peer.reason, 'source.ip': request.socket.remoteAddress })
      refuse('401 Unauthorized')
    }
  })
  server.on('tlsClientError', (err) => log.debug('TLS handshake failed', { err }))

  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ ...(host !== undefined && { host }), port }, () => {
      server.off('error', reject)
      server.on('error', (err) => log.error('mesh server failed', { err }))
      resolve({
        port: (server.address() as AddressInfo).port,
        server,
        close() {
          for (const each of sessions.values()) each.close()
          return new Promise((closed) => {
            server.close(() => closed())
            server.closeAllConnections()
          })
        },
      })
    })
  })
}
