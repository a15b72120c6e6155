import type { TLSSocket } from 'node:tls'
import { judgeSvid, type SvidExpectation, type SvidVerdict } from '../../model/x509/svid.ts'

/**
 * Who is at the other end of a finished handshake, or why nobody is. Ask once per connection, before a byte of it is
 * used; on a refusal destroy the socket.
 *
 * OpenSSL has verified the chain by then. A resumed session is refused whoever it is: in it nothing was verified anew.
 */
export function peerSpiffeId(socket: TLSSocket, expected: SvidExpectation): SvidVerdict {
  if (!socket.authorized) return { ok: false, reason: 'not-verified' }
  if (socket.isSessionReused()) return { ok: false, reason: 'resumed-session' }
  return judgeSvid(socket.getPeerX509Certificate()?.raw, expected)
}
