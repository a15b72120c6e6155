import type { TLSSocket } from 'node:tls'
import type { Peer } from '../../model/request.ts'
import { type SpiffeId, serviceAccountOf, trustDomainOf } from '../../model/spiffe-id.ts'
import { ForwardedLines } from './forwarded.ts'

/** Who is at the other end of one downstream connection. Found out once, used by every request on it. */
export interface Client {
  readonly peer: Peer
  /** Over TLS. */
  readonly isSecure: boolean
  /** What SNI named: lower case, no trailing dot; undefined without TLS or without SNI. */
  readonly serverName: string | undefined
  /** What the next hop is told of the peer and its requests. */
  readonly forwarded: ForwardedLines
  /** End of the peer's certificate; infinite without one. Milliseconds since the epoch. */
  readonly notAfterMs: number
}

/** A peer in the mesh, after its certificate was judged. `ip`: its address, where the socket's says something else. */
export function meshClient(
  socket: TLSSocket,
  { spiffeId, notAfterMs }: { readonly spiffeId: SpiffeId; readonly notAfterMs: number },
  ownSpiffeId: string,
  ip = addressOf(socket.remoteAddress),
): Client {
  const account = serviceAccountOf(spiffeId)
  const peer: Peer = {
    spiffeId,
    trustDomain: trustDomainOf(spiffeId),
    ...(account === undefined ? {} : account),
    ip,
  }
  // Envoy's form, and only for the immediate peer. The characters of a SPIFFE id need no quotes.
  const hash = socket.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '').toLowerCase() ?? ''
  const certificateHeader = `By=${ownSpiffeId};Hash=${hash};URI=${spiffeId}`
  return { peer, isSecure: true, serverName: undefined, forwarded: new ForwardedLines(certificateHeader), notAfterMs }
}

/** Someone of whom only the address is known. */
export function outsideClient(
  remoteAddress: string | undefined,
  tls?: { readonly serverName: string | undefined },
): Client {
  return {
    peer: { ip: addressOf(remoteAddress) },
    isSecure: tls !== undefined,
    serverName: tls?.serverName,
    forwarded: new ForwardedLines(undefined),
    notAfterMs: Number.POSITIVE_INFINITY,
  }
}

/** An IPv4 client of an IPv6 socket is an IPv4 client: rules name it so. */
function addressOf(remoteAddress: string | undefined): string {
  if (remoteAddress === undefined) return '0.0.0.0'
  const mapped = remoteAddress.startsWith('::ffff:') ? remoteAddress.slice('::ffff:'.length) : remoteAddress
  const zone = mapped.indexOf('%')
  return zone === -1 ? mapped : mapped.slice(0, zone)
}
