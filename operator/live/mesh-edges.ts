import type { EdgeCounts, Security } from '../../contract/edges.ts'
import { OTHER_PEERS } from '../../contract/edges.ts'
import { addLatencies, type Latencies, latencyQuantile } from '../../contract/latency.ts'
import { type SpiffeId, serviceAccountOf } from '../../model/spiffe-id.ts'

/** One end of an edge. */
export interface EdgeEnd {
  /**
   * Of a workload `namespace/name`, of a caller that has shown a certificate its service account (`namespace/name`), else `outside`,
   * `unidentified`, `others`, an egress rule, or `undeclared` for a call that had nowhere to go.
   */
  readonly name: string
  /** The SPIFFE ID, where it has one. */
  readonly identity?: string
}

/** Everything that went between two ends since the sidecars that tell of it began. Counts; nothing that a client wrote. */
export interface MeshEdge {
  readonly from: EdgeEnd
  readonly to: EdgeEnd
  readonly security: Security
  readonly requests: number
  readonly denied: number
  readonly failed: number
  /** Of opaque bytes, that have ended. */
  readonly connections: number
  /** The same, that are open now. */
  readonly open: number
  readonly latencies: Latencies
  /** Milliseconds that half of the requests took at most, and 99 of 100. Absent: there were none. */
  readonly p50Ms?: number
  readonly p99Ms?: number
}

/** What one operator, or all of them together, see of the edges: `GET /edges` of the admin port. */
export interface EdgesReport {
  /** Those with the most traffic first. */
  readonly edges: readonly MeshEdge[]
  /** Edges that are not among them: a sidecar tells of 200 at most, and an operator of {@link MAX_EDGES}. */
  readonly omitted: number
  /** Sidecars that told. */
  readonly told: number
  /** Sidecars that did not answer in time. */
  readonly silent: number
  /** Sidecars of a release that knows no edges. */
  readonly unable: number
  /** Sidecars that were not asked, because they are too many. */
  readonly notAsked: number
}

/** Edges of one report. */
export const MAX_EDGES = 5_000

/** The workload whose sidecar tells, as the operator knows it: a sidecar speaks of itself. */
export interface Teller {
  /** `namespace/name`. */
  readonly workload: string
  readonly spiffeId: string
}

/** Gathers what sidecars tell. Those of one workload are one. */
export interface EdgeTable {
  add(teller: Teller, edges: readonly EdgeCounts[], omitted: number): void
  edges(): readonly MeshEdge[]
  readonly omitted: number
}

export function createEdgeTable(): EdgeTable {
  const table = new Map<string, MeshEdge>()
  let omitted = 0
  return {
    add(teller, edges, more) {
      omitted += more
      for (const counts of edges) if (!merge(table, meshEdge(teller, counts))) omitted++
    },
    edges: () => sorted(table.values()),
    get omitted() {
      return omitted
    },
  }
}

/** What several operators tell, each of its own sidecars, as one. */
export function mergeReports(reports: readonly EdgesReport[]): EdgesReport {
  const table = new Map<string, MeshEdge>()
  let left = 0
  for (const { edges } of reports) for (const edge of edges) if (!merge(table, edge)) left++
  const sum = (of: (report: EdgesReport) => number) => reports.reduce((all, report) => all + of(report), 0)
  return {
    edges: sorted(table.values()),
    omitted: left + sum(({ omitted }) => omitted),
    told: sum(({ told }) => told),
    silent: sum(({ silent }) => silent),
    unable: sum(({ unable }) => unable),
    notAsked: sum(({ notAsked }) => notAsked),
  }
}

/** What came since `before`. What began anew, or is gone, counts as nothing rather than less. */
export function edgesSince(before: readonly MeshEdge[], now: readonly MeshEdge[]): readonly MeshEdge[] {
  const known = new Map(before.map((edge) => [keyOf(edge), edge]))
  return now.map((edge) => {
    const earlier = known.get(keyOf(edge))
    if (earlier === undefined) return edge
    const less = (of: (edge: MeshEdge) => number) => Math.max(0, of(edge) - of(earlier))
    return withQuantiles({
      ...edge,
      requests: less(({ requests }) => requests),
      denied: less(({ denied }) => denied),
      failed: less(({ failed }) => failed),
      connections: less(({ connections }) => connections),
      latencies: addLatencies(edge.latencies, earlier.latencies, -1),
    })
  })
}

function merge(table: Map<string, MeshEdge>, edge: MeshEdge): boolean {
  const key = keyOf(edge)
  const known = table.get(key)
  if (known === undefined && table.size >= MAX_EDGES) return false
  table.set(key, known === undefined ? edge : both(known, edge))
  return true
}

function both(one: MeshEdge, other: MeshEdge): MeshEdge {
  return withQuantiles({
    ...one,
    requests: one.requests + other.requests,
    denied: one.denied + other.denied,
    failed: one.failed + other.failed,
    connections: one.connections + other.connections,
    open: one.open + other.open,
    latencies: addLatencies(one.latencies, other.latencies),
  })
}

function meshEdge({ workload, spiffeId }: Teller, counts: EdgeCounts): MeshEdge {
  const { direction, peer, ...rest } = counts
  const self = { name: workload, identity: spiffeId }
  if (direction === 'outbound') return withQuantiles({ from: self, to: { name: calledName(peer) }, ...rest })
  return withQuantiles({ from: callerOf(direction, peer), to: self, ...rest })
}

function calledName(peer: string): string {
  if (peer === OTHER_PEERS) return 'others'
  return peer === '' ? 'undeclared' : peer
}

function callerOf(direction: 'inbound' | 'gateway', peer: string): EdgeEnd {
  if (peer === OTHER_PEERS) return { name: 'others' }
  const account = serviceAccountOf(peer as SpiffeId)
  if (account !== undefined) return { name: `${account.namespace}/${account.serviceAccount}`, identity: peer }
  return { name: direction === 'gateway' ? 'outside' : 'unidentified' }
}

function withQuantiles(edge: Omit<MeshEdge, 'p50Ms' | 'p99Ms'>): MeshEdge {
  const { latencies } = edge
  const [p50Ms, p99Ms] = [latencyQuantile(latencies, 0.5), latencyQuantile(latencies, 0.99)]
  const { p50Ms: _, p99Ms: __, ...rest } = edge as MeshEdge
  return { ...rest, ...(p50Ms !== undefined && { p50Ms }), ...(p99Ms !== undefined && { p99Ms }) }
}

function keyOf({ from, to, security }: MeshEdge): string {
  return [from.name, from.identity, to.name, to.identity, security].join(' ')
}

function sorted(edges: Iterable<MeshEdge>): readonly MeshEdge[] {
  const byName = (a: MeshEdge, b: MeshEdge) => (keyOf(a) < keyOf(b) ? -1 : 1)
  return [...edges].sort((a, b) => trafficOf(b) - trafficOf(a) || byName(a, b))
}

function trafficOf({ requests, connections, open }: MeshEdge): number {
  return requests + connections + open
}
