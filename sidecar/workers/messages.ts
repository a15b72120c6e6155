import type { EndpointsDocument } from '../../contract/endpoints.ts'
import type { KeysDocument } from '../../contract/keys.ts'
import type { RevocationsDocument } from '../../contract/revocations.ts'
import type { WorkloadConfig } from '../../contract/workload-config.ts'
import type { SpiffeId } from '../../model/spiffe-id.ts'
import type { LogLevel } from '../../runtime/log.ts'
import type { MetricsSnapshot } from '../../runtime/metrics.ts'
import type { OperatorAddress } from '../identity/fetch-certificate.ts'
import type { Identity } from '../identity/identity.ts'
import type { ServingCertificate } from '../identity/serving-certificate.ts'
import type { DecisionLogLevel, ThinnedRefusals } from '../observe/decision-log.ts'
import type { ExplainedDecision } from '../observe/decision-ring.ts'
import type { DryRunCount } from '../observe/dry-run-report.ts'
import type { CountedEdge } from '../observe/edges.ts'
import type { OpenTap, Tapped } from '../observe/taps.ts'
import type { PodOptions } from '../pod/options.ts'
import type { BindAddress, Placement } from '../serve/placement.ts'
import type { SharedMemory } from './shared-memory.ts'

/** Where a worker serves, in values that can be posted. */
export type WorkerPlace =
  | { readonly kind: 'local'; readonly placement: Placement; readonly appPidFile?: string | undefined }
  | ({ readonly kind: 'pod' } & Pick<PodOptions, 'told' | 'podIps' | 'ports'>)

/** What a worker is told at its start. */
export interface WorkerStart {
  /** From 1: the process's own thread is worker 0. */
  readonly worker: number
  readonly memory: SharedMemory
  /** Where the monotonic time of worker 0 begins. */
  readonly beginning: number
  readonly place: WorkerPlace
  readonly workload: string
  readonly pod: string
  readonly logLevel: LogLevel
  readonly decisionLog: DecisionLogLevel
  readonly maxConnections: number
  /** For asking its token service. */
  readonly operator: OperatorAddress
  readonly spiffeId: SpiffeId
  readonly identity: Identity
}

/** What is new. Each stands for all of its kind that were before it. */
export type News =
  | { readonly kind: 'identity'; readonly identity: Identity }
  | { readonly kind: 'certificates'; readonly certificates: readonly ServingCertificate[] }
  | { readonly kind: 'keys'; readonly document: KeysDocument }
  | { readonly kind: 'revocations'; readonly document: RevocationsDocument }
  | { readonly kind: 'endpoints'; readonly document: EndpointsDocument }
  /** `ports`: those that worker 0 has bound, by name. */
  | { readonly kind: 'config'; readonly config: WorkloadConfig; readonly ports: ReadonlyMap<string, BindAddress> }
  /** The operator has looked at the issuer's keys. */
  | { readonly kind: 'keys-checked'; readonly issuer: string }
  /** All that are open. */
  | { readonly kind: 'taps'; readonly taps: readonly OpenTap[] }
  | { readonly kind: 'retire' }

/** Questions, with what is answered to each. */
export interface Answers {
  /** That everything it was told before is in force. */
  readonly obeyed: undefined
  readonly metrics: MetricsSnapshot
  readonly decision: ExplainedDecision | undefined
  readonly edges: readonly CountedEdge[]
  /** That all it served has ended. */
  readonly drained: undefined
}

export type Question =
  | { readonly what: 'obeyed' }
  | { readonly what: 'metrics' }
  | { readonly what: 'edges' }
  | { readonly what: 'decision'; readonly decisionId: string }
  | { readonly what: 'drained'; readonly deadlineMs: number }

export type ToWorker = News | { readonly kind: 'question'; readonly id: number; readonly question: Question }

export type FromWorker =
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown }
  /** It could not be done: a port could not be opened. */
  | { readonly kind: 'failed'; readonly id: number; readonly reason: string }
  /** A token names a key that it does not have. */
  | { readonly kind: 'refresh-keys'; readonly issuer: string }
  | { readonly kind: 'refusals'; readonly refusals: ThinnedRefusals }
  | { readonly kind: 'dry-run'; readonly counts: readonly DryRunCount[] }
  | { readonly kind: 'tapped'; readonly tapped: Tapped }
  /** An exception that nobody has caught, and what it had counted. Nothing follows. */
  | { readonly kind: 'dying'; readonly error: Error; readonly metrics: MetricsSnapshot }
