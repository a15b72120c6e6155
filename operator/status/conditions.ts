import { formatOrigin } from '../../model/origin.ts'
import type { ResourceReport } from '../translate/report.ts'

/** `metav1.Condition`, without the time of its last transition: whoever writes it adds that. */
export interface Condition {
  readonly type: 'Accepted' | 'ResolvedRefs' | 'Programmed'
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  readonly observedGeneration: number
}

/** Where the sidecars of one workload stand with the config that this operator wants them to obey. */
export interface WorkloadStanding {
  readonly workload: string
  /** Sidecars that should be there: pods that have not completed. */
  readonly selected: number
  readonly acknowledged: number
  readonly rejected: number
  /** Pods without a sidecar. */
  readonly unmeshed: number
  /** Origins of the policies that some of its sidecars have no words for: they speak an older contract (F20). */
  readonly unsupported?: readonly string[]
}

/** `status` of a resource of ours. */
export interface ResourceStatus {
  readonly observedGeneration: number
  readonly conditions: readonly Condition[]
  readonly workloads?: {
    readonly selected: number
    readonly acknowledged: number
    readonly rejected: number
    readonly summary: string
  }
  readonly dryRun?: { readonly wouldDeny: number; readonly topRule?: string }
}

/** What dry runs would have denied for one policy, by rule. */
export type DryRunCounts = ReadonlyMap<string, number>

/**
 * The status of a resource: what translation found, and what the sidecars of the workloads it selects acknowledged.
 * Programmed=True is said only when every one of them obeys it.
 */
export function statusOf(
  report: ResourceReport,
  standings: readonly WorkloadStanding[],
  dryRun?: DryRunCounts,
): ResourceStatus {
  const { generation: observedGeneration, accepted, resolvedRefs } = report
  const conditions: Condition[] = []
  if (accepted !== undefined) conditions.push({ type: 'Accepted', ...accepted, observedGeneration })
  if (resolvedRefs !== undefined) conditions.push({ type: 'ResolvedRefs', ...resolvedRefs, observedGeneration })
  const selected = sum(standings, ({ selected: own }) => own)
  const acknowledged = sum(standings, ({ acknowledged: own }) => own)
  const rejected = sum(standings, ({ rejected: own }) => own)
  if (accepted !== undefined && ENFORCED_KINDS.has(report.kind)) {
    conditions.push({ ...programmed(report, standings), observedGeneration })
  }
  return {
    observedGeneration,
    conditions,
    ...(ENFORCED_KINDS.has(report.kind) && {
      workloads: { selected, acknowledged, rejected, summary: `${acknowledged}/${selected}` },
    }),
    ...(dryRun !== undefined && dryRun.size > 0 && { dryRun: dryRunOf(dryRun) }),
  }
}

/** Kinds that sidecars enforce; a TokenIssuer or MeshConfig is part of what they enforce for others. */
const ENFORCED_KINDS: ReadonlySet<string> = new Set([
  'SecurityPolicy',
  'MeshSecurityPolicy',
  'TokenRevocation',
  'TrafficPolicy',
  'HTTPRoute',
  'GRPCRoute',
  'TLSRoute',
  'TCPRoute',
  'Gateway',
])

/** Kinds that protect nobody: who cannot obey them does without. */
const TRAFFIC_KINDS: ReadonlySet<string> = new Set(['TrafficPolicy', 'HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute'])

function programmed(
  report: ResourceReport,
  standings: readonly WorkloadStanding[],
): Omit<Condition, 'observedGeneration'> {
  const type = 'Programmed'
  const isTraffic = TRAFFIC_KINDS.has(report.kind)
  if (report.accepted?.status === 'False') {
    return { type, status: 'False', reason: 'Invalid', message: 'It is not accepted.' }
  }
  if (report.programmed !== undefined) return { type, ...report.programmed }
  const selected = sum(standings, (standing) => standing.selected)
  if (selected === 0) {
    return { type, status: 'True', reason: 'NoWorkloads', message: 'It selects no workload that runs.' }
  }
  const unmeshed = standings.filter((standing) => standing.unmeshed > 0).map(({ workload }) => workload)
  if (unmeshed.length > 0) {
    const what = isTraffic ? 'do not obey it' : 'are not protected'
    const message = `Pods without a sidecar ${what}: ${list(unmeshed)}.`
    return { type, status: 'False', reason: 'Unmeshed', message }
  }
  const rejecting = standings.filter((standing) => standing.rejected > 0).map(({ workload }) => workload)
  if (rejecting.length > 0) {
    const message = `Sidecars refused the configuration and obey the one before: ${list(rejecting)}.`
    return { type, status: 'False', reason: 'RejectedBySidecar', message }
  }
  const origin = isTraffic ? `${report.kind}/${formatOrigin(report)}` : formatOrigin(report)
  const unable = standings.filter(({ unsupported }) => unsupported?.includes(origin)).map(({ workload }) => workload)
  if (unable.length > 0) {
    const instead = isTraffic ? 'do without' : 'refuse instead'
    const message = `Sidecars of an older version cannot obey it and ${instead}: ${list(unable)}. Restart their pods.`
    return { type, status: 'False', reason: 'UnsupportedBySidecar', message }
  }
  const acknowledged = sum(standings, (standing) => standing.acknowledged)
  if (acknowledged < selected) {
    const message = `${acknowledged} of ${selected} sidecars have acknowledged it.`
    return { type, status: 'False', reason: 'Reconciling', message }
  }
  return { type, status: 'True', reason: 'Programmed', message: `All ${selected} sidecars obey it.` }
}

function dryRunOf(counts: DryRunCounts): NonNullable<ResourceStatus['dryRun']> {
  const [top] = [...counts].sort(([a, left], [b, right]) => right - left || (a < b ? -1 : 1))
  return { wouldDeny: sum([...counts.values()], (count) => count), ...(top && { topRule: top[0] }) }
}

function list(names: readonly string[]): string {
  return names.length <= 5 ? names.join(', ') : `${names.slice(0, 5).join(', ')} and ${names.length - 5} more`
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
