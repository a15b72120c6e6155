import { hash } from 'node:crypto'
import type { HeaderLines } from './header-lines.ts'
import type { ResponseHead } from './message.ts'

/** RFC 6455, 1.3. */
export const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/**
 * Whether the upstream really switched: a 101 with the proof that it has understood this very handshake (RFC 6455, 4.2.2).
 * Only then is the connection a tunnel (T19); a 101 without it is to be refused.
 */
export function isUpgradeAccepted(
  request: { readonly headers: HeaderLines; readonly upgrade?: 'websocket' | undefined },
  response: ResponseHead,
): boolean {
  if (request.upgrade !== 'websocket' || response.upgrade !== 'websocket') return false
  const key = request.headers.get('sec-websocket-key')
  const accepts = response.headers.all('sec-websocket-accept')
  return key !== undefined && accepts.length === 1 && accepts[0] === hash('sha1', key + WEBSOCKET_GUID, 'base64')
}
