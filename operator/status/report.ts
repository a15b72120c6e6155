import { type Issue, under } from '../../model/result.ts'
import type { ChainEnd } from '../audit/record.ts'
import type { RotationStatus } from '../identity/rotation/root-rotation.ts'
import type { IssuerKeysStore, IssuerState } from '../keys/issuer-keys.ts'
import type { Operation } from '../operation.ts'
import type { Acknowledgements } from '../push/acknowledgements.ts'
import type { ResourceStatus } from './conditions.ts'
import { type RouteParent, routeParents } from './route-status.ts'

/** Everything that the operator knows of the mesh: what `hauberk check --live` shows. Plain JSON, nothing secret. */
export interface StatusReport {
  readonly resources: readonly ReportedResource[]
  readonly workloads: readonly ReportedWorkload[]
  readonly issuers: readonly IssuerState[]
  /** How the roots stand. */
  readonly certificateAuthority?: RotationStatus
  /** Where the audit log of this operator ends; absent: nothing was written to it yet. */
  readonly audit?: ChainEnd
  /** What is wrong with the files as they are now; what they said before is in force. */
  readonly fileIssues: readonly Issue[]
}

export interface ReportedResource {
  readonly kind: string
  readonly namespace?: string
  readonly name: string
  readonly status: ResourceStatus
  /** Of a route, whose conditions are those at its parents. */
  readonly parents?: readonly RouteParent[]
  readonly issues: readonly Issue[]
}

export interface ReportedWorkload {
  readonly workload: string
  readonly role: 'sidecar' | 'gateway'
  readonly spiffeId: string
  /** The version that its sidecars are to obey. */
  readonly version: string
  readonly sidecars: readonly {
    readonly pod: string
    readonly release: string
    readonly acknowledged?: string
    readonly refused?: { readonly version: string; readonly issues: readonly Issue[] }
  }[]
}

export function statusReport(options: {
  readonly operation: Operation
  readonly acknowledgements: Acknowledgements
  readonly issuerKeys: IssuerKeysStore
  readonly fileIssues: readonly Issue[]
  readonly certificateAuthority?: RotationStatus
  readonly audit: ChainEnd | undefined
  readonly locate: (resource: string, path: string) => Issue['location']
}): StatusReport {
  const { operation, acknowledgements, issuerKeys, certificateAuthority, audit, fileIssues, locate } = options
  const configs = [...(operation.translation()?.configs ?? [])]
  return {
    resources: operation.statuses().map(({ report, status, standings }) => {
      const { kind, namespace, name } = report
      const resource = namespace === undefined ? `${kind}/${name}` : `${kind}/${namespace}/${name}`
      return {
        kind,
        ...(namespace !== undefined && { namespace }),
        name,
        status,
        ...(report.parents && { parents: routeParents(report, standings) }),
        issues: report.issues.map((found) => {
          const location = locate(resource, found.path)
          return { ...under('', found), resource, ...(location && { location }) }
        }),
      }
    }),
    workloads: configs.map(([workload, { role, identity, version }]) => ({
      workload,
      role,
      spiffeId: identity.spiffeId,
      version,
      sidecars: acknowledgements.of(workload).map(({ pod, release, documents }) => ({
        pod,
        release,
        ...documents.config,
      })),
    })),
    issuers: issuerKeys.states(),
    ...(certificateAuthority && { certificateAuthority }),
    ...(audit && { audit }),
    fileIssues,
  }
}
