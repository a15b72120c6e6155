import * as v from 'valibot'
import { LATENCY_BUCKETS } from './latency.ts'

/** Edges that one sidecar tells of at once; those with the most traffic first. */
export const MAX_TOLD_EDGES = 200

/**
 * How what goes over an edge is protected. `mtls`: both sides have shown certificates of the mesh. `tls`: the gateway, or a place
 * outside, has shown one. `opaque`: bytes that are carried as they are. `plaintext`: nothing protects it.
 */
export const SECURITIES = ['mtls', 'tls', 'opaque', 'plaintext'] as const
export type Security = (typeof SECURITIES)[number]

/** Stands for those of a sidecar's edges that are too many to be told apart. */
export const OTHER_PEERS = '*'

const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER))

/** What went between a workload and one other party since its sidecar began. Names of the mesh only: nothing a client wrote. */
export const EdgeCounts = v.strictObject({
  direction: v.picklist(['inbound', 'gateway', 'outbound']),
  /**
   * Inbound and at a gateway: the SPIFFE ID that the caller has shown, empty where it has shown none. Outbound: `Service` or egress rule
   * by name, empty for what was refused before it had a destination. {@link OTHER_PEERS}: several.
   */
  peer: v.pipe(v.string(), v.maxLength(2_048)),
  security: v.picklist(SECURITIES),
  requests: count,
  /** Of them, and of connections: refused by a policy or by the mesh. */
  denied: count,
  /** Of them, and of connections: answered with 5xx, or not at all because the upstream or this proxy could not. */
  failed: count,
  /** Of opaque bytes (TCP, WebSocket, CONNECT), that have ended. */
  connections: count,
  /** The same, that are open now. */
  open: count,
  latencies: v.pipe(
    v.array(v.strictTuple([v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(LATENCY_BUCKETS - 1)), count])),
    v.maxLength(LATENCY_BUCKETS),
  ),
})
export type EdgeCounts = v.InferOutput<typeof EdgeCounts>
