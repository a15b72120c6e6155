import { resourceKey } from '../../model/resource.ts'
import { describeIssue } from '../../model/result.ts'
import type { ReportedResource, ReportedWorkload, StatusReport } from '../../operator/status/report.ts'
import type { ProxyState } from '../certs/ask-for-certificates.ts'
import { idOf } from './catalogue.ts'
import { compareFindings, type Finding, findingOf } from './finding.ts'

/** A mesh that runs, as its operator and its sidecars tell of it. */
export interface LiveMesh {
  /** Empty when the operator is silent. */
  readonly status: StatusReport
  /** Why the operator could not be asked. Sidecars go on without it. */
  readonly operatorSilent?: string
  readonly proxies: readonly ProxyState[]
}

/** Part of a certificate's life that is left when its renewal, at half of it, has failed for long. */
const RENEWAL_FAILED = 0.2

/** Everything that is not as it should be in a mesh that runs. */
export function inspectLive({ status, operatorSilent, proxies }: LiveMesh, nowMs: number): readonly Finding[] {
  return [
    ...(operatorSilent === undefined
      ? []
      : [
          finding('silent', 'error', 'Operator', {
            path: '',
            message: `${operatorSilent}; sidecars go on as they are`,
          }),
        ]),
    ...status.fileIssues.map(findingOf),
    ...status.resources.flatMap(resourceFindings),
    ...status.workloads.flatMap((workload) => workloadFindings(workload, proxies)),
    ...proxies.flatMap((proxy) => proxyFindings(proxy, nowMs)),
    ...status.issuers.flatMap(({ name, keys, failure }) => issuerFindings(name, keys, failure)),
  ].toSorted(compareFindings)
}

/** What is wrong with a resource is told by its issues; a condition tells what no issue does. */
function resourceFindings({ kind, namespace, name, status, issues }: ReportedResource): readonly Finding[] {
  const resource = resourceKey(kind, namespace, name)
  const told = issues.map(findingOf)
  const programmed = status.conditions.find(({ type }) => type === 'Programmed')
  const dryRun = status.dryRun
  return [
    ...told,
    ...(programmed?.status === 'False' && !TOLD_BY_ISSUES.has(programmed.reason)
      ? [
          finding('not-programmed', programmed.reason === 'Reconciling' ? 'warning' : 'error', resource, {
            path: 'status.conditions',
            message: `${programmed.reason}: ${programmed.message.replace(/\.$/, '')}`,
          }),
        ]
      : []),
    ...(dryRun === undefined || dryRun.wouldDeny === 0
      ? []
      : [
          finding('would-deny', 'info', resource, {
            path: 'spec.mode',
            message: `would have refused ${dryRun.wouldDeny} requests${dryRun.topRule === undefined ? '' : `, most by ${dryRun.topRule}`}`,
          }),
        ]),
  ]
}

const TOLD_BY_ISSUES: ReadonlySet<string> = new Set(['Invalid', 'Overridden', 'PartiallyProgrammed'])

function workloadFindings(
  { workload, version, sidecars }: ReportedWorkload,
  proxies: readonly ProxyState[],
): readonly Finding[] {
  const resource = `Workload/${workload}`
  const isPlaced = proxies.some((proxy) => proxy.workload === workload)
  if (sidecars.length === 0) {
    const message = 'no sidecar of it is connected to the operator'
    return isPlaced ? [finding('not-connected', 'error', resource, { path: '', message })] : []
  }
  return sidecars.flatMap(({ pod, acknowledged, refused }) => {
    if (refused?.version === version) {
      const why = refused.issues.map(describeIssue).join('; ')
      return [
        finding('refused-by-sidecar', 'error', resource, { path: '', message: `${pod} obeys the one before: ${why}` }),
      ]
    }
    if (acknowledged === version) return []
    return [
      finding('behind', 'warning', resource, {
        path: '',
        message: `${pod} has not acknowledged ${version.slice(0, 12)} yet`,
      }),
    ]
  })
}

function proxyFindings({ workload, pod, silent, certificates }: ProxyState, nowMs: number): readonly Finding[] {
  const resource = `Workload/${workload}`
  if (silent !== undefined) return [finding('silent', 'error', resource, { path: '', message: `${pod}: ${silent}` })]
  return certificates.flatMap(({ name, problem, notBefore, notAfterMs }) => {
    if (problem !== undefined) {
      return [finding('unsound-certificate', 'error', resource, { path: '', message: `${name}: ${problem}` })]
    }
    const lifeMs = notAfterMs - Date.parse(notBefore)
    if (notAfterMs - nowMs > RENEWAL_FAILED * lifeMs) return []
    const message = `${name} ends soon and was not renewed at half of its life`
    return [finding('not-renewed', 'warning', resource, { path: '', message })]
  })
}

function issuerFindings(name: string, keys: number, failure: string | undefined): readonly Finding[] {
  const resource = `TokenIssuer/${name}`
  const path = 'spec.jwks'
  if (keys === 0) {
    const why = failure === undefined ? '' : `: ${failure}`
    const message = `has no keys, so its tokens are answered 503${why}`
    return [finding('no-keys', 'error', resource, { path, message })]
  }
  if (failure === undefined) return []
  return [finding('stale-keys', 'warning', resource, { path, message: `keeps the keys it has: ${failure}` })]
}

function finding(
  code: string,
  severity: Finding['severity'],
  resource: string,
  { path, message }: Pick<Finding, 'path' | 'message'>,
): Finding {
  return { id: idOf(code), code, severity, resource, path, message }
}
