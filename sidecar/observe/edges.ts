import { type EdgeCounts, MAX_TOLD_EDGES, OTHER_PEERS, type Security } from '../../contract/edges.ts'
import { addLatencies, LATENCY_BUCKETS, latencyBucket } from '../../contract/latency.ts'
import type { WorkloadConfig } from '../../contract/workload-config.ts'
import type { ConnectionRecord, Direction, RequestRecord } from '../serve/observation.ts'

/** Peers that are told apart in each direction. Those that come later are one. */
export const MAX_PEERS = 500

/** Characters of all that is told at once: an operator takes 256 KiB of one message. */
const MAX_TOLD_CHARACTERS = 200_000

/** Who is on the other side of which workload, and what went between them. Counts only, so that nothing is kept of any client. */
export interface Edges {
  request(record: Pick<RequestRecord, EdgeFacts | 'durationMs' | 'status'>): void
  connection(record: Pick<ConnectionRecord, EdgeFacts | 'plaintext'>): void
  /** What was counted. It can be posted to another thread. */
  counted(open: Iterable<OpenConnection>): readonly CountedEdge[]
}

type EdgeFacts = 'direction' | 'listener' | 'spiffeId' | 'upstream' | 'outcome'

/** A connection that passes bytes, and is not over. */
export type OpenConnection = Pick<ConnectionRecord, 'direction' | 'listener' | 'spiffeId' | 'upstream'>

/** An edge as it is counted. */
export interface CountedEdge {
  readonly direction: Direction
  /** As in {@link EdgeCounts}; at a gateway, of who has shown no certificate, the listener. */
  readonly peer: string
  requests: number
  denied: number
  failed: number
  connections: number
  open: number
  readonly latencies: Uint32Array
}

export function createEdges(): Edges {
  const edges: Readonly<Record<Direction, Map<string, CountedEdge>>> = {
    inbound: new Map(),
    gateway: new Map(),
    outbound: new Map(),
  }
  const edgeOf = (facts: OpenConnection): CountedEdge => {
    const { direction } = facts
    const known = edges[direction]
    const peer = peerOf(facts)
    return known.get(peer) ?? begin(known, direction, known.size < MAX_PEERS ? peer : OTHER_PEERS)
  }
  return {
    request(record) {
      const edge = edgeOf(record)
      edge.requests++
      const bucket = latencyBucket(record.durationMs)
      edge.latencies[bucket] = (edge.latencies[bucket] ?? 0) + 1
      if (record.outcome === 'denied' || record.outcome === 'malformed') edge.denied++
      else if (record.outcome === 'failed' || record.status >= 500) edge.failed++
    },
    connection(record) {
      // Told of as it opens, and counted by what comes over it.
      if (record.plaintext) return
      const edge = edgeOf(record)
      edge.connections++
      if (record.outcome === 'denied') edge.denied++
      else if (record.outcome === 'failed') edge.failed++
    },
    counted(open) {
      const now = Object.values(edges).flatMap((known) => [...known.values()].map((edge) => ({ ...edge })))
      return together([now, openEdges(open)])
    },
  }
}

function begin(known: Map<string, CountedEdge>, direction: Direction, peer: string): CountedEdge {
  const before = known.get(peer)
  if (before !== undefined) return before
  const edge = nothingOf(direction, peer)
  known.set(peer, edge)
  return edge
}

function nothingOf(direction: Direction, peer: string): CountedEdge {
  const latencies = new Uint32Array(LATENCY_BUCKETS)
  return { direction, peer, requests: 0, denied: 0, failed: 0, connections: 0, open: 0, latencies }
}

/** Of names that are covered by one egress rule there may be any number: they go by the rule's. */
function peerOf({ direction, spiffeId, upstream, listener }: OpenConnection): string {
  if (direction === 'inbound') return spiffeId ?? ''
  if (direction === 'gateway') return spiffeId ?? listener
  const blank = upstream.indexOf(' ')
  return blank === -1 ? upstream : upstream.slice(0, blank)
}

function openEdges(open: Iterable<OpenConnection>): readonly CountedEdge[] {
  const found = new Map<string, CountedEdge>()
  for (const facts of open) {
    const key = `${facts.direction} ${peerOf(facts)}`
    const edge = found.get(key) ?? nothingOf(facts.direction, peerOf(facts))
    edge.open++
    found.set(key, edge)
  }
  return [...found.values()]
}

/** What several threads have counted, as one. */
export function together(counted: readonly (readonly CountedEdge[])[]): readonly CountedEdge[] {
  const sums = new Map<string, CountedEdge>()
  for (const edge of counted.flat()) {
    const key = `${edge.direction} ${edge.peer}`
    const sum = sums.get(key)
    if (sum === undefined) {
      sums.set(key, { ...edge, latencies: edge.latencies.slice() })
      continue
    }
    sum.requests += edge.requests
    sum.denied += edge.denied
    sum.failed += edge.failed
    sum.connections += edge.connections
    sum.open += edge.open
    for (const [bucket, count] of edge.latencies.entries()) {
      sum.latencies[bucket] = (sum.latencies[bucket] ?? 0) + count
    }
  }
  return [...sums.values()]
}

/**
 * What the operator is told. What goes to workloads of the mesh is left out: their own sidecars count it, and know who calls.
 */
export function toldEdges(
  counted: readonly CountedEdge[],
  config: Pick<WorkloadConfig, 'listeners' | 'streams' | 'upstreams'> | undefined,
): { readonly edges: EdgeCounts[]; readonly omitted: number } {
  const told = new Map<string, EdgeCounts>()
  for (const edge of counted) {
    const security = securityOf(edge, config)
    if (security === undefined) continue
    const { direction, latencies, ...counts } = edge
    const isListener = direction === 'gateway' && security !== 'mtls'
    const peer = isListener ? '' : edge.peer
    const key = `${direction} ${peer} ${security}`
    const wire: EdgeCounts = { ...counts, direction, peer, security, latencies: pairsOf(latencies) }
    const sum = told.get(key)
    told.set(key, sum === undefined ? wire : added(sum, wire))
  }
  const most = [...told.values()].sort((a, b) => trafficOf(b) - trafficOf(a))
  const edges: EdgeCounts[] = []
  let characters = 0
  for (const edge of most.slice(0, MAX_TOLD_EDGES)) {
    characters += JSON.stringify(edge).length
    if (characters > MAX_TOLD_CHARACTERS) break
    edges.push(edge)
  }
  return { edges, omitted: most.length - edges.length }
}

function trafficOf({ requests, connections, open }: EdgeCounts): number {
  return requests + connections + open
}

function added(one: EdgeCounts, other: EdgeCounts): EdgeCounts {
  return {
    ...one,
    requests: one.requests + other.requests,
    denied: one.denied + other.denied,
    failed: one.failed + other.failed,
    connections: one.connections + other.connections,
    open: one.open + other.open,
    latencies: addLatencies(one.latencies, other.latencies).map(([bucket, count]) => [bucket, count]),
  }
}

function pairsOf(latencies: Uint32Array): [number, number][] {
  return [...latencies.entries()].filter(([, count]) => count > 0)
}

/** Undefined for what the other side tells of. */
function securityOf(
  { direction, peer, requests }: CountedEdge,
  config: Pick<WorkloadConfig, 'listeners' | 'streams' | 'upstreams'> | undefined,
): Security | undefined {
  switch (direction) {
    case 'inbound':
      return peer.startsWith('spiffe://') ? 'mtls' : 'plaintext'
    case 'gateway': {
      if (peer.startsWith('spiffe://')) return 'mtls'
      // Of a handshake that failed it is not known which of the listeners of a port it was for: they are alike.
      const [first] = peer.split(',')
      const stream = config?.streams?.find(({ name }) => name === first)
      if (stream !== undefined) return stream.mode === 'terminate' ? 'tls' : 'opaque'
      const listener = config?.listeners.find((one) => one.kind === 'gateway' && one.name === first)
      return listener?.kind === 'gateway' && listener.protocol === 'https' ? 'tls' : 'plaintext'
    }
    case 'outbound': {
      const tls = config?.upstreams[peer]?.tls
      if (tls === 'mesh') return undefined
      if (tls === 'https') return 'tls'
      return requests > 0 || tls === 'plaintext' ? 'plaintext' : 'opaque'
    }
  }
}
