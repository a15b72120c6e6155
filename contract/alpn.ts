/**
 * What sidecars speak with each other inside mutual TLS, by ALPN (RFC 7301). Names of our own, so that mesh traffic is
 * never mistaken for an application's own TLS, nor the other way round.
 */
export const MESH_ALPN = {
  /** HTTP/1.1, with all its policy. */
  http: 'hauberk/http1',
  /** HTTP/2, with all its policy; many requests share a connection. Sidecars before version 3 of the contract have not heard of it. */
  http2: 'hauberk/http2',
  /** Opaque bytes. */
  tcp: 'hauberk/tcp',
} as const

export type MeshAlpn = (typeof MESH_ALPN)[keyof typeof MESH_ALPN]
