import type { Observer } from '../serve/observation.ts'
import type { DecisionLog } from './decision-log.ts'
import type { DecisionRing } from './decision-ring.ts'
import type { DryRunReport } from './dry-run-report.ts'
import type { Edges } from './edges.ts'
import type { Offenders } from './offenders.ts'
import type { SidecarMetrics } from './sidecar-metrics.ts'
import type { SpanExporter } from './spans/span-exporter.ts'
import type { Taps } from './taps.ts'

/** Tells all who want to know what the data plane did. */
export function createObserver(parts: {
  readonly metrics: SidecarMetrics
  readonly decisions: DecisionLog
  readonly dryRuns: DryRunReport
  readonly ring: DecisionRing
  readonly offenders: Offenders
  readonly edges: Edges
  readonly spans: SpanExporter
  readonly taps: Pick<Taps, 'request' | 'connection'>
}): Observer {
  const { metrics, decisions, dryRuns, ring, offenders, edges, spans, taps } = parts
  return {
    request(record, evidence) {
      metrics.request(record)
      edges.request(record)
      taps.request(record)
      if (record.trace !== undefined) spans.add(record)
      decisions.request(record)
      offenders.add(record)
      if (record.wouldDeny !== undefined) dryRuns.add(record.wouldDeny)
      if (evidence !== undefined) ring.add(record, evidence)
    },
    connection(record) {
      metrics.connection(record)
      edges.connection(record)
      taps.connection(record)
      decisions.connection(record)
      if (record.wouldDeny !== undefined) dryRuns.add(record.wouldDeny)
    },
  }
}
