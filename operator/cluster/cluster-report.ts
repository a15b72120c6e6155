import { CONTRACT_VERSION } from '../../contract/workload-config.ts'
import type { ReplicaState } from '../replicas/replica-table.ts'
import type { KindStanding } from '../sources/kubernetes.ts'
import { type StatusReport, statusReport } from '../status/report.ts'
import type { UnmeshedPod } from '../status/unmeshed-pods.ts'

/** What an operator on a cluster knows: `GET /status` of its admin port. The one that leads knows of every sidecar. */
export interface ClusterReport extends StatusReport {
  readonly operator: ReportedOperator
  /** Pods without a sidecar where pods are to have one; 1,000 at most. */
  readonly unmeshedPods: readonly UnmeshedPod[]
  /** How many there are. */
  readonly unmeshed: number
}

export interface ReportedOperator {
  /** Of its pod. */
  readonly name: string
  readonly release: string
  /** The newest contract with sidecars that it speaks. */
  readonly contract: number
  readonly leads: boolean
  /** The pod that leads, as the Lease says; absent: nobody does. */
  readonly leader?: string
  /** Those that tell this one, while it leads. */
  readonly replicas: readonly ReplicaState[]
  /** How each kind is read from the API server. */
  readonly kinds: readonly KindStanding[]
  /** Whether the API server has our webhooks with their path and the roots, as last read. */
  readonly webhooksInPlace: boolean
  /** Since when its metrics can be read, and when they were the last time, in milliseconds since the epoch. Absent: nobody is allowed to. */
  readonly metrics?: { readonly since: number; readonly readAt?: number }
}

/** Unmeshed pods that one report names. */
const MAX_REPORTED_PODS = 1_000

export interface ClusterReportOptions extends Omit<Parameters<typeof statusReport>[0], 'fileIssues' | 'locate'> {
  readonly name: string
  readonly release: string
  readonly leads: boolean
  readonly leader: string | undefined
  readonly replicas: readonly ReplicaState[]
  readonly kinds: readonly KindStanding[]
  readonly webhooksInPlace: boolean
  readonly metrics: ReportedOperator['metrics'] | undefined
  readonly unmeshed: readonly UnmeshedPod[]
}

export function clusterReport(options: ClusterReportOptions): ClusterReport {
  const { name, release, leads, leader, replicas, kinds, webhooksInPlace, metrics, unmeshed, ...known } = options
  return {
    ...statusReport({ ...known, fileIssues: [], locate: () => undefined }),
    operator: {
      name,
      release,
      contract: CONTRACT_VERSION,
      leads,
      ...(leader !== undefined && { leader }),
      replicas,
      kinds,
      webhooksInPlace,
      ...(metrics !== undefined && { metrics }),
    },
    unmeshedPods: unmeshed.slice(0, MAX_REPORTED_PODS),
    unmeshed: unmeshed.length,
  }
}
