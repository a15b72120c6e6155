import { connect, type TLSSocket } from 'node:tls'
import { MESH_ALPN } from '../../contract/alpn.ts'
import type { SpiffeId, TrustDomain } from '../../model/spiffe-id.ts'
import { judgeSvid } from '../../model/x509/svid.ts'
import type { ServerIdentity } from '../identity/server-identity.ts'

/** Where a Service of the mesh is served, and who serves it. */
export interface MeshDestination {
  readonly endpoints: readonly { readonly address: string; readonly port: number }[]
  readonly spiffeIds: readonly string[]
}

/** Milliseconds for TCP and TLS to one endpoint. */
const CONNECT_TIMEOUT_MS = 1_000

/**
 * Connects to a Service as a sidecar would: mTLS as the operator, to a peer that proves one of the SPIFFE IDs that serve
 * it. Endpoints are tried in order.
 */
export async function connectToMesh(
  { endpoints, spiffeIds }: MeshDestination,
  self: ServerIdentity & { readonly trustDomain: TrustDomain },
  now: () => number,
): Promise<TLSSocket> {
  let failure: unknown = new Error('the Service has no endpoints')
  for (const endpoint of endpoints) {
    try {
      return await connectTo(endpoint, new Set(spiffeIds as readonly SpiffeId[]), self, now)
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

function connectTo(
  { address, port }: MeshDestination['endpoints'][number],
  spiffeIds: ReadonlySet<SpiffeId>,
  self: ServerIdentity & { readonly trustDomain: TrustDomain },
  now: () => number,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: address,
      port,
      servername: '',
      key: self.privateKey,
      cert: self.chain,
      ca: [...self.trustBundle],
      minVersion: 'TLSv1.3',
      rejectUnauthorized: true,
      ALPNProtocols: [MESH_ALPN.http],
      checkServerIdentity: (_host, { raw }) => {
        const { trustDomain } = self
        const verdict = judgeSvid(raw, { trustDomain, role: 'server', nowMs: now(), spiffeIds })
        return verdict.ok ? undefined : new Error(`peer identity refused: ${verdict.reason}`)
      },
    })
    socket.setTimeout(CONNECT_TIMEOUT_MS, () => socket.destroy(new Error('connecting took too long')))
    socket.once('error', reject)
    socket.once('secureConnect', () => {
      socket.setTimeout(0)
      socket.off('error', reject)
      resolve(socket)
    })
  })
}
