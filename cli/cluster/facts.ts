import type { WorkloadConfig } from '../../contract/workload-config.ts'
import type { ClusterReport } from '../../operator/cluster/cluster-report.ts'
import type { StatusReport } from '../../operator/status/report.ts'
import type { NamedSecret } from '../../operator/translate/secret-refs.ts'
import type { CertificateRow } from '../certs/certificate-row.ts'
import type { Asked } from './ask.ts'
import type { MeshedPod } from './meshed-pod.ts'
import type {
  Conditioned,
  ConfigMap,
  Definition,
  Deployment,
  Lease,
  MeshConfig,
  Named,
  Pod,
  WebhookConfiguration,
} from './objects.ts'
import type { Look } from './read.ts'

/** Everything that was found out about a mesh on a cluster. What is made of it needs nothing else. */
export interface ClusterFacts {
  readonly nowMs: number
  /** Of this program. */
  readonly release: string
  readonly context: string
  readonly server: string
  /** The one namespace that was looked at; undefined: all. */
  readonly scope: string | undefined
  /** `v1.35.0`. */
  readonly version: Look<string>
  /** Of ours and of Gateway API's, by name. */
  readonly definitions: ReadonlyMap<string, Look<Definition>>
  readonly webhooks: ReadonlyMap<string, Look<WebhookConfiguration>>
  /** What became of a pod that was only tried. */
  readonly injection: Trial
  /** What became of a policy that only the webhook can refuse. */
  readonly review: Trial
  readonly deployment: Look<Deployment>
  readonly disruptionBudget: Look<Named>
  readonly lease: Look<Lease>
  readonly meshConfig: Look<MeshConfig>
  readonly namespaces: Look<readonly Named[]>
  /** Those of the system namespace among them. */
  readonly pods: Look<readonly Pod[]>
  /** The ConfigMaps with the roots. */
  readonly trustAnchors: Look<readonly ConfigMap[]>
  /** By kind: {@link RESOURCE_KINDS}. */
  readonly resources: ReadonlyMap<string, Look<readonly Conditioned[]>>
  /** What each operator says of itself. */
  readonly operators: readonly { readonly pod: string; readonly readiness: Asked }[]
  /** What the leading operator says of the mesh; a sentence when it says nothing. */
  readonly status: (StatusReport & Partial<Pick<ClusterReport, 'operator'>>) | { readonly silent: string }
  readonly sidecars: readonly SidecarFacts[]
  readonly secrets: readonly (NamedSecret & { readonly access: SecretAccess })[]
}

/** Kinds whose conditions are looked at. */
export const RESOURCE_KINDS = [
  'SecurityPolicy',
  'MeshSecurityPolicy',
  'TrafficPolicy',
  'TokenIssuer',
  'TokenRevocation',
  'GatewayParameters',
  'GatewayClass',
  'Gateway',
  'HTTPRoute',
  'GRPCRoute',
  'TLSRoute',
  'TCPRoute',
] as const

export type Trial =
  | { readonly kind: 'taken'; readonly object: unknown }
  /** By which webhook, if by one. */
  | { readonly kind: 'refused'; readonly why: string; readonly by: string | undefined }
  /** The API server could not call this webhook. */
  | { readonly kind: 'not-called'; readonly webhook: string; readonly why: string }
  | { readonly kind: 'not-tried'; readonly why: string }

/** Whether the operator may read a Secret; undefined where that could not be asked. */
export type SecretAccess = boolean | undefined

export interface SidecarFacts {
  readonly pod: MeshedPod
  readonly certificates: readonly CertificateRow[]
  /** Fingerprints of the roots that it trusts, in lower-case hex. */
  readonly roots: readonly string[]
  /** The CAs that its certificate leads through. */
  readonly issuers: readonly CertificateRow[]
  /** Whether the store of shared limits answers it. Absent: it has none. */
  readonly limitStore?: 'answers' | 'silent'
  /** Why it could not be asked. */
  readonly silent?: string
  /** Of one sidecar of each workload. */
  readonly config?: WorkloadConfig
}

/** Pods with a sidecar that are in what was looked at. */
export function isInScope({ scope }: Pick<ClusterFacts, 'scope'>, namespace: string | undefined): boolean {
  return scope === undefined || namespace === undefined || namespace === scope
}
