import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { CERTIFICATES_PATH } from '../../contract/certificates.ts'
import { TOKEN_KEYS_PATH, TOKEN_PATH } from '../../contract/internal-token.ts'
import { SESSION_PATH } from '../../contract/session.ts'
import type { SpiffeId, TrustDomain } from '../../model/spiffe-id.ts'
import { judgeSvid } from '../../model/x509/svid.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Authority } from '../identity/authority.ts'
import type { CertificateHandler } from '../identity/certificate-handler.ts'
import { verifiedCertificateOf } from '../identity/peer.ts'
import { fingerprintOf } from '../identity/root.ts'
import { operatorTlsOptions, type ServerIdentity } from '../identity/server-identity.ts'
import type { Push } from '../push/push.ts'
import type { TokenHandler, TokenPeer } from '../tokens/token-handler.ts'
import { limitConnections } from './connection-limit.ts'
import { limitHandshakes } from './handshake-limit.ts'

/** The operator's one port for sidecars: certificates, and the session that configuration comes by. */
export interface MeshServer {
  readonly port: number
  /** For renewing the certificate (`keepServerIdentity`). */
  readonly server: Server
  close(): Promise<void>
}

/** Whoever takes upgraded connections on a path of its own: other operators. */
export interface PeerSessions {
  /**
   * Takes over the connection of a peer whose certificate was verified, with the peer's SPIFFE ID, the certificate's end and
   * the fingerprint of the root that vouches for it.
   */
  accept(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    peer: SpiffeId,
    peerNotAfterMs: number,
    peerRoot?: string,
  ): void
  close(): void
}

export interface MeshServerOptions {
  /** Default: every address. */
  readonly host?: string
  /** 0 for any free port. */
  readonly port: number
  /** Connections open at once from one address. Default: as many as there are. */
  readonly maxConnectionsOfAddress?: number
  readonly identity: ServerIdentity
  readonly trustDomain: TrustDomain
  /** Says which root vouches for a peer, and when others count. */
  readonly authority: Pick<Authority, 'rootOf' | 'trustBundle' | 'onChange'>
  readonly certificates: CertificateHandler
  readonly push: Pick<Push, 'accept' | 'close'>
  /** The token service. Default: there is none. */
  readonly tokens?: TokenHandler
  /** By path. */
  readonly peers?: ReadonlyMap<string, PeerSessions>
  readonly clock: Clock
  readonly log: Log
}

/**
 * Milliseconds that a session may go on after the root that vouched for it is out of the bundle. It is how the sidecar is
 * told of that; an honest one connects anew, with another certificate, once it has one.
 */
const UNTRUSTED_GRACE_MS = 10_000

/** As long as the most patient client waits: one that asks for a certificate. */
const HANDSHAKE_TIMEOUT_MS = 10_000

/** Rejects when the port is taken. */
export function startMeshServer(options: MeshServerOptions): Promise<MeshServer> {
  const {
    host,
    port,
    identity,
    trustDomain,
    authority,
    certificates,
    push,
    tokens,
    peers = new Map(),
    clock,
    log,
  } = options
  const untrusted = cutUntrusted(authority, clock)
  const sessions = new Map<string, PeerSessions>([...peers, [SESSION_PATH, push]])
  const server = createServer(
    {
      ...operatorTlsOptions(identity),
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      maxHeaderSize: 24_576,
      headersTimeout: 5_000,
      requestTimeout: 10_000,
    },
    (request, response) => {
      if (request.url === CERTIFICATES_PATH) void certificates(request, response)
      else if (request.url === TOKEN_PATH && tokens !== undefined) void exchangeToken(request, response, tokens)
      else if (request.url === TOKEN_KEYS_PATH && tokens !== undefined) tokens.keys(request, response)
      else
        response
          .writeHead(404, { 'content-type': 'application/problem+json' })
          .end('{"status":404,"title":"Not found."}')
    },
  )
  const exchangeToken = async (request: IncomingMessage, response: ServerResponse, handler: TokenHandler) => {
    const peer = await untrusted.peerOf(request.socket).catch((err: unknown) => {
      log.error('nobody can say who vouches for a caller', { err })
      return { certificate: undefined, root: undefined }
    })
    await handler.token(request, response, peer)
  }
  const endHandshakes = limitHandshakes(server, { clock, log })
  if (options.maxConnectionsOfAddress !== undefined) {
    const onRefused = (remoteAddress: string) =>
      log.debug('an address has too many connections', { 'source.ip': remoteAddress })
    limitConnections(server, { maxOfAddress: options.maxConnectionsOfAddress, onRefused })
  }
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => {})
    const refuse = (status: string) => {
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
    }
    const leaf = verifiedCertificateOf(request.socket)
    const peer = judgeSvid(leaf, { trustDomain, role: 'client', nowMs: clock.now() })
    const accepting = sessions.get(request.url ?? '')
    if (accepting === undefined) refuse('404 Not Found')
    else if (peer.ok) {
      untrusted.follow(request.socket, leaf).then(
        (root) => accepting.accept(request, socket, head, peer.spiffeId, peer.notAfterMs, root),
        (err: unknown) => {
          log.error('session refused', { err })
          refuse('503 Service Unavailable')
        },
      )
    } else {
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
          untrusted.stop()
          for (const each of sessions.values()) each.close()
          return new Promise((closed) => {
            server.close(() => closed())
            endHandshakes()
            server.closeAllConnections()
          })
        },
      })
    })
  })
}

/** Follows the sessions that are open, and ends those that no root in use vouches for any more (F06). */
function cutUntrusted(authority: MeshServerOptions['authority'], clock: Clock) {
  const open = new Map<Socket, string | undefined>()
  const peers = new WeakMap<Socket, Promise<TokenPeer>>()
  const stopping = new AbortController()
  const cut = () => {
    const trusted = new Set(authority.trustBundle().roots.map(fingerprintOf))
    for (const [socket, root] of open) if (root === undefined || !trusted.has(root)) socket.destroy()
  }
  const unfollow = authority.onChange(() => {
    clock.setTimer(UNTRUSTED_GRACE_MS, cut, { signal: stopping.signal, keepAlive: false })
  })
  /** Resolves with the root that vouches for `leaf` (DER), the peer's certificate. */
  const follow = async (socket: Socket, leaf: Uint8Array | undefined): Promise<string | undefined> => {
    const root = leaf === undefined ? undefined : await authority.rootOf(leaf)
    open.set(socket, root)
    socket.once('close', () => open.delete(socket))
    if (socket.destroyed) open.delete(socket)
    return root
  }
  return {
    follow,
    /** Who is at the other end, as shown in the handshake: looked at once, however many requests the connection brings. */
    peerOf(socket: Socket): Promise<TokenPeer> {
      const known = peers.get(socket)
      if (known !== undefined) return known
      const certificate = verifiedCertificateOf(socket)
      const peer = follow(socket, certificate).then((root) => ({ certificate, root }))
      peers.set(socket, peer)
      return peer
    },
    stop() {
      stopping.abort()
      unfollow()
    },
  }
}
