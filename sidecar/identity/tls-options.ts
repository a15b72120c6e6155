import { constants } from 'node:crypto'
import {
  type ConnectionOptions,
  createSecureContext,
  type SecureContext,
  type SecureContextOptions,
  type Server,
  type TlsOptions,
} from 'node:tls'
import { MESH_ALPN, type MeshAlpn } from '../../contract/alpn.ts'
import type { SpiffeId } from '../../model/spiffe-id.ts'
import { judgeSvid, type SvidRefusal } from '../../model/x509/svid.ts'
import type { Identity, KeyedCertificate } from './identity.ts'
import type { IdentityStore } from './identity-store.ts'

/** Groups of the key exchange, most wanted first: the two that are fast in OpenSSL and that everyone has. */
export const TLS_GROUPS = 'X25519:P-256'

/** Seconds that a session may be resumed within, if anything could resume one: the least that OpenSSL takes. */
const SESSION_TIMEOUT_S = 1

/**
 * Options of a mesh listener (`tls.createServer`, and `setSecureContext` for a renewed identity): TLS 1.3 only, the
 * client must show a certificate that leads to our roots, nothing can be resumed.
 *
 * OpenSSL checks the chain and no more. Before a byte is used the connection must also pass `peerSpiffeId` (`trust.ts`),
 * and `socket.alpnProtocol` must be one that was offered here: a client that names none is not refused by TLS.
 */
export function serverTlsOptions(
  identity: Identity,
  alpn: readonly MeshAlpn[] = [MESH_ALPN.http2, MESH_ALPN.http, MESH_ALPN.tcp],
): TlsOptions {
  return {
    ...contextOptions(identity),
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: [...alpn],
    sessionTimeout: SESSION_TIMEOUT_S,
  }
}

/**
 * Options of a connection to another sidecar (`tls.connect`, beside host and port or a socket): TLS 1.3 only, our
 * certificate is shown, the server's must lead to our roots and prove one of `spiffeIds`; else the connection fails with
 * a {@link PeerIdentityError} before `secureConnect`.
 *
 * Under TLS 1.3 `secureConnect` comes before the server has judged *our* certificate: a refusal arrives as an error or
 * an end on the first read.
 */
export function clientTlsOptions(
  identity: Identity,
  spiffeIds: ReadonlySet<SpiffeId>,
  options: { readonly alpn: MeshAlpn | readonly MeshAlpn[]; readonly now: () => number },
): ConnectionOptions {
  return {
    secureContext: secureContextOf(identity),
    rejectUnauthorized: true,
    // Names travel in certificates here, not in SNI; an empty one keeps Node from sending the host it dials.
    servername: '',
    ALPNProtocols: [options.alpn].flat(),
    checkServerIdentity: (_host, { raw }) => checkPeer(raw, identity, spiffeIds, options.now()),
  }
}

/** Options of a gateway's HTTPS listener: a serving certificate, TLS 1.2 or 1.3 for the world outside, no client certificate. */
export function gatewayTlsOptions(certificate: Pick<KeyedCertificate, 'privateKey' | 'chain'>): TlsOptions {
  return {
    key: certificate.privateKey,
    cert: certificate.chain,
    minVersion: 'TLSv1.2',
    ecdhCurve: TLS_GROUPS,
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    sessionTimeout: SESSION_TIMEOUT_S,
    ALPNProtocols: ['h2', 'http/1.1'],
  }
}

/** Keeps a mesh listener on the store's identity. Connections that are open keep theirs. Returns how to stop that. */
export function followIdentity(server: Pick<Server, 'setSecureContext'>, store: IdentityStore): () => void {
  return store.onChange((identity) => server.setSecureContext(contextOptions(identity)))
}

/** A server that did not prove the identity it had to. */
export class PeerIdentityError extends Error {
  override readonly name = 'PeerIdentityError'
  readonly code = 'ERR_PEER_IDENTITY'
  readonly reason: SvidRefusal

  constructor(reason: SvidRefusal) {
    super(`peer identity refused: ${reason}`)
    this.reason = reason
  }
}

function checkPeer(
  raw: Buffer | undefined,
  identity: Identity,
  spiffeIds: ReadonlySet<SpiffeId>,
  nowMs: number,
): Error | undefined {
  const verdict = judgeSvid(raw, { trustDomain: identity.trustDomain, role: 'server', nowMs, spiffeIds })
  return verdict.ok ? undefined : new PeerIdentityError(verdict.reason)
}

function contextOptions(identity: Identity): SecureContextOptions {
  return {
    key: identity.privateKey,
    cert: identity.chain,
    ca: [...identity.trustBundle],
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ecdhCurve: TLS_GROUPS,
    secureOptions: constants.SSL_OP_NO_TICKET,
  }
}

/** One context an identity: making one costs 0.3 ms, and each holds its own copy of the trust store. */
const secureContexts = new WeakMap<Identity, SecureContext>()

function secureContextOf(identity: Identity): SecureContext {
  let context = secureContexts.get(identity)
  if (context === undefined) {
    context = createSecureContext(contextOptions(identity))
    secureContexts.set(identity, context)
  }
  return context
}
