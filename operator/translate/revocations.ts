import { MAX_REVOCATIONS, type Revocation } from '../../contract/revocations.ts'
import type { Resource } from '../../model/resource.ts'
import { type Issue, issue } from '../../model/result.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { MeshSettings } from './mesh-settings.ts'
import { readTokenRevocation } from './read-revocation.ts'
import { RESOLVED, type ResourceReport, refused } from './report.ts'

export interface RevocationsFound {
  /** Those that can be read, by name. */
  readonly revocations: readonly Revocation[]
  readonly resources: readonly {
    readonly resource: Resource
    readonly revocation: Revocation | undefined
    readonly issues: readonly Issue[]
  }[]
}

/** The TokenRevocations there are. Which of them are over, time says: that is not asked here. */
export function revocationsOf(
  snapshot: Snapshot,
  { maxTokenLifetimeSeconds }: Pick<MeshSettings, 'maxTokenLifetimeSeconds'>,
): RevocationsFound {
  const resources = snapshot
    .ofKind('TokenRevocation')
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .map((resource, i) => {
      const read = readTokenRevocation(resource, maxTokenLifetimeSeconds)
      const tooMany = issue(
        'too-many-revocations',
        'metadata.name',
        `is one of more than ${MAX_REVOCATIONS} TokenRevocations: sidecars hold no more, and take no token then`,
        'delete those whose tokens have expired, or revoke by sub, kid or issuedBefore',
      )
      const issues = [...(read.ok ? [] : read.issues), ...(i < MAX_REVOCATIONS ? [] : [tooMany])]
      return { resource, revocation: read.ok ? read.value : undefined, issues }
    })
  return { revocations: resources.flatMap(({ revocation }) => revocation ?? []), resources }
}

/** What is said of one, but for whether it is over. It is for every workload that takes tokens of its issuer. */
export function revocationReport(
  { revocation, issues }: RevocationsFound['resources'][number],
  issuers: ReadonlyMap<WorkloadId, readonly string[]>,
  isIssuer: (name: string) => boolean,
): Pick<ResourceReport, 'issues' | 'accepted' | 'resolvedRefs' | 'selected'> {
  if (revocation === undefined) {
    const message = issues.map(({ path, message: why }) => `${path} ${why}`).join('; ')
    return { issues, accepted: refused('Invalid', `${message}. It revokes nothing.`), selected: [] }
  }
  const { issuer } = revocation
  const accepted = { status: 'True', reason: 'Accepted', message: 'It is understood.' } as const
  const selected = [...issuers]
    .filter(([, names]) => names.length > 0 && (issuer === undefined || names.includes(issuer)))
    .map(([id]) => id)
    .sort()
  if (issuer === undefined || isIssuer(issuer)) return { issues, accepted, resolvedRefs: RESOLVED, selected }
  const message = `there is no TokenIssuer ${issuer}`
  const unresolved = { ...issue('unresolved-token-issuer', 'spec.issuer', message), severity: 'warning' } as const
  return { issues: [...issues, unresolved], accepted, resolvedRefs: refused('RefNotFound', `${message}.`), selected }
}
