import type { BodyPaceLimits } from './body-pace.ts'

/** Bounds of the data plane. Defaults are in {@link DEFAULT_LIMITS}. */
export interface Limits extends BodyPaceLimits {
  /** Milliseconds for a whole head, from its first byte (and for a TLS handshake): then 408 or close. */
  readonly headMs: number
  /** Milliseconds between two reads of a body, and for a client or upstream to take what was written to it. */
  readonly bodyMs: number
  /**
   * Milliseconds that a client which has ended its side (RFC 9112, 9.6) is answered for while nothing is written to it. After that it is
   * taken for gone: most clients that end have left.
   */
  readonly halfClosedMs: number
  /** Milliseconds that a client's connection may wait for its next request. */
  readonly idleMs: number
  /** Milliseconds that an upstream's connection is kept for the next request. Shorter than `idleMs`: the client side closes first. */
  readonly upstreamIdleMs: number
  /**
   * Milliseconds that an application's connection is kept for the next request. Shorter than the 5 s after which Node's own
   * servers close theirs: a request that meets the closing may not be sent again unless it is safe to.
   */
  readonly appIdleMs: number
  /** Milliseconds after which an upstream's connection takes no new request. */
  readonly upstreamAgeMs: number
  /** Milliseconds to connect to an endpoint, TLS included. */
  readonly connectMs: number
  /** Milliseconds until an upstream's response begins where no route says so. */
  readonly responseMs: number
  /**
   * Milliseconds of silence after a request that may be repeated until a new connection has to show whether its endpoint is still
   * there. Where it is not, another one is asked.
   */
  readonly silenceMs: number
  /** Milliseconds that nothing may come on an HTTP/2 connection to another sidecar before it is asked whether it is there. */
  readonly pingMs: number
  /** Milliseconds that it has to answer that. */
  readonly pongMs: number
  /** Milliseconds that nothing may pass on a tunnel or TCP connection in either direction; `idleMs` once one has ended. */
  readonly tunnelIdleMs: number
  /** Client connections at once; beyond it the longest idle one goes, else the slowest to begin, else the new one. */
  readonly maxConnections: number
  /** Requests in flight at once; beyond it 503 with Retry-After. */
  readonly maxInFlight: number
  /** Connections to one endpoint at once; beyond it 503 with Retry-After. */
  readonly maxConnectionsPerEndpoint: number
  /** Idle connections kept for one endpoint: as many as it may have, for to make some of them anew each round costs most under load. */
  readonly maxIdlePerEndpoint: number
  /** Event-loop delay in milliseconds: while it stays beyond, a share of the new requests gets 503 with Retry-After. */
  readonly maxLagMs: number
  /** Requests on one client connection; the last one is answered `Connection: close`. */
  readonly maxRequestsPerConnection: number
}

export const DEFAULT_LIMITS: Limits = {
  headMs: 10_000,
  bodyMs: 30_000,
  minBodyBytesPerSecond: 240,
  bodyGraceMs: 10_000,
  halfClosedMs: 10_000,
  idleMs: 60_000,
  upstreamIdleMs: 50_000,
  appIdleMs: 4_000,
  upstreamAgeMs: 3_600_000,
  connectMs: 1_000,
  responseMs: 15_000,
  silenceMs: 1_000,
  pingMs: 10_000,
  pongMs: 5_000,
  tunnelIdleMs: 3_600_000,
  maxConnections: 20_000,
  maxInFlight: 4_096,
  maxConnectionsPerEndpoint: 1_024,
  maxIdlePerEndpoint: 1_024,
  maxLagMs: 500,
  maxRequestsPerConnection: 1_000_000,
}
