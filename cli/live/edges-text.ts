import type { EdgesReport, MeshEdge } from '../../operator/live/mesh-edges.ts'
import type { Paint } from '../paint.ts'
import { type Column, formatTable } from '../table.ts'

/** Everything that went over each edge, with who its ends have proven to be. */
export function formatEdges({ edges }: EdgesReport, paint: Paint): string {
  return formatTable(edges, [
    ...endColumns(paint),
    { title: 'REQUESTS', cell: ({ requests }) => String(requests) },
    { title: 'DENIED', cell: ({ denied }) => painted(paint, 'yellow', denied, String(denied)) },
    { title: 'FAILED', cell: ({ failed }) => painted(paint, 'red', failed, String(failed)) },
    ...LATENCY_COLUMNS,
    { title: 'CONNECTIONS', cell: connectionsOf },
    { title: 'FROM IDENTITY', cell: ({ from }) => from.identity ?? '-' },
    { title: 'TO IDENTITY', cell: ({ to }) => to.identity ?? '-' },
  ])
}

/** What went over each edge in the last `seconds`, where anything did. */
export function formatRates(edges: readonly MeshEdge[], seconds: number, paint: Paint): string {
  const rate = (count: number) => (count / seconds).toFixed(1)
  return formatTable(edges, [
    ...endColumns(paint),
    { title: 'REQ/S', cell: ({ requests }) => rate(requests) },
    { title: 'DENIED/S', cell: ({ denied }) => painted(paint, 'yellow', denied, rate(denied)) },
    { title: 'FAILED/S', cell: ({ failed }) => painted(paint, 'red', failed, rate(failed)) },
    ...LATENCY_COLUMNS,
    { title: 'OPEN', cell: ({ open }) => (open === 0 ? '-' : String(open)) },
  ])
}

/** Who is missing in what was told; nothing where nobody is. */
export function describeGaps({ omitted, silent, unable, notAsked }: EdgesReport): readonly string[] {
  return [
    ...(silent > 0 ? [`${silent} ${silent === 1 ? 'sidecar' : 'sidecars'} did not answer`] : []),
    ...(unable > 0
      ? [`${unable} ${unable === 1 ? 'sidecar is' : 'sidecars are'} of a release that cannot tell: restart the pods`]
      : []),
    ...(notAsked > 0 ? [`${notAsked} sidecars were not asked: there are too many; name a namespace`] : []),
    ...(omitted > 0 ? [`${omitted} edges with less traffic are left out`] : []),
  ]
}

function endColumns(paint: Paint): readonly Column<MeshEdge>[] {
  return [
    { title: 'FROM', cell: ({ from }) => from.name },
    { title: 'TO', cell: ({ to }) => to.name },
    {
      title: 'SECURITY',
      cell({ security }) {
        if (security === 'mtls') return paint('green', 'mTLS')
        if (security === 'tls') return paint('green', 'TLS')
        return paint(security === 'plaintext' ? 'red' : 'yellow', security)
      },
    },
  ]
}

const LATENCY_COLUMNS: readonly Column<MeshEdge>[] = [
  { title: 'P50', cell: ({ p50Ms }) => milliseconds(p50Ms) },
  { title: 'P99', cell: ({ p99Ms }) => milliseconds(p99Ms) },
]

function milliseconds(ms: number | undefined): string {
  if (ms === undefined) return '-'
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(1)}s`
  return `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)}ms`
}

function connectionsOf({ connections, open }: MeshEdge): string {
  if (connections + open === 0) return '-'
  return open === 0 ? String(connections) : `${connections + open} (${open} open)`
}

function painted(paint: Paint, style: 'yellow' | 'red', count: number, text: string): string {
  return count === 0 ? text : paint(style, text)
}
