import { TLSSocket } from 'node:tls'

/**
 * DER of the certificate a client showed, where TLS verified it against our roots in this very handshake; undefined for
 * everything else, a resumed session among it (there Node calls a peer without any certificate authorized).
 */
export function verifiedCertificateOf(socket: unknown): Uint8Array | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized || socket.isSessionReused()) return undefined
  return socket.getPeerX509Certificate()?.raw
}
