import { generationOf, type Resource, resourceKey } from '../../model/resource.ts'
import { type Issue, issue, under } from '../../model/result.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import { MESH_CONFIG_NAME } from '../resources/mesh-config.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { GatewayAttachments } from './attach-gateways.ts'
import { reviewParameters } from './gateway-parameters.ts'
import { type GatewayFacts, type GatewaysFound, SYSTEM_NAMESPACE } from './gateways.ts'
import { type IssuerBook, issuerRefs } from './issuers.ts'
import type { Finding } from './levels.ts'
import type { NamespaceFacts, PolicyTargets } from './namespace.ts'
import type { MeshPolicy, Policy } from './policy.ts'
import { ACCEPTED, type ConditionFound, RESOLVED, type ResourceReport, refused } from './report.ts'
import { type RevocationsFound, revocationReport } from './revocations.ts'
import type { RouteFacts } from './routes.ts'
import { isServed, meshPoliciesFor } from './slice.ts'
import type { StreamRouteFacts } from './stream-routes.ts'
import type { TrafficPolicyFacts } from './traffic.ts'

/** Places that one message names at most; the issues name them all. */
const MAX_NAMED = 4

export interface Findings {
  readonly snapshot: Snapshot
  readonly revocations: RevocationsFound
  readonly policies: readonly PolicyTargets[]
  readonly meshPolicies: readonly { readonly resource: Resource; readonly policy: MeshPolicy }[]
  readonly namespaces: ReadonlyMap<string, NamespaceFacts>
  /** By origin of a TrafficPolicy: the workloads that are told of it; sorted. */
  readonly callers: ReadonlyMap<string, readonly WorkloadId[]>
  /** By origin of a route and the Service that it is at: the workloads that are told of it; sorted. */
  readonly routedCallers: ReadonlyMap<string, readonly WorkloadId[]>
  readonly gateways: GatewaysFound
  readonly routes: {
    readonly routes: readonly RouteFacts[]
    readonly issues: readonly { readonly resource: Resource; readonly issue: Issue }[]
  }
  readonly streamRoutes: {
    readonly routes: readonly StreamRouteFacts[]
    readonly issues: readonly { readonly resource: Resource; readonly issue: Issue }[]
  }
  readonly atGateways: GatewayAttachments
  readonly book: IssuerBook
  /** By workload: the issuers that it uses. */
  readonly issuers: ReadonlyMap<WorkloadId, readonly string[]>
  readonly meshConfigs: readonly Resource[]
  readonly parameters: readonly Resource[]
  readonly meshConfigIssues: readonly Issue[]
  /** What MeshConfig refers to and does not get. */
  readonly unresolvedByMeshConfig: readonly Issue[]
  readonly findings: readonly Finding[]
  /** The key of the only resource whose report is wanted. Default: all. */
  readonly only?: string
}

/** One report for each resource that has a status of ours or something wrong with it, by key. */
export function reportsOf(found: Findings): ReadonlyMap<string, ResourceReport> {
  const reports = new Map<string, ResourceReport>()
  const isWanted = (key: string) => found.only === undefined || key === found.only
  const put = (resource: Resource, rest: Omit<ResourceReport, 'kind' | 'namespace' | 'name' | 'generation'>) => {
    const { kind, metadata } = resource
    const key = resourceKey(kind, metadata.namespace, metadata.name)
    if (!isWanted(key)) return
    reports.set(key, {
      kind,
      ...(metadata.namespace !== undefined && { namespace: metadata.namespace }),
      name: metadata.name,
      generation: generationOf(resource),
      ...rest,
      issues: rest.issues.map((each) => ({ ...each, resource: key })),
    })
  }

  const byPolicy = Map.groupBy(found.findings, ({ policy }) => policy)
  for (const { resource, policy, selected, missing } of found.policies) {
    if (!isWanted(policy.key)) continue
    const { atGateways } = found
    const absent = [...missing, ...(atGateways.missing.get(policy.key) ?? [])].sort()
    const report = policyReport(policy, byPolicy.get(policy.key) ?? [], absent)
    const unenforced = withoutGateway(policy, found.routes.routes)
    put(resource, {
      ...report,
      issues: [...report.issues, ...unenforced.map((message) => warning('not-applied', 'spec.targetRefs', message))],
      ...(unenforced.length > 0 && { programmed: refused('PartiallyProgrammed', `${listed(unenforced)}.`) }),
      accepted: acceptedOf(policy, policy.targetRefs?.length ?? 0, absent),
      selected: [...selected, ...(atGateways.selected.get(policy.key) ?? [])].sort(),
    })
  }
  for (const { resource, policy } of found.meshPolicies) {
    if (!isWanted(policy.key)) continue
    put(resource, {
      ...policyReport(policy, byPolicy.get(policy.key) ?? [], []),
      accepted: acceptedOf(policy, 0, []),
      selected: selectedByMesh(policy, found),
    })
  }

  for (const facts of [...found.namespaces.values()].flatMap(({ traffic }) => traffic)) {
    put(facts.resource, trafficReport(facts, found.callers.get(facts.policy.origin) ?? []))
  }

  const users = usersOf(found.issuers)
  for (const { resource, issues } of found.book.issuers) {
    const accepted = validity(issues)
    const selected = users.get(resource.metadata.name) ?? []
    if (accepted.status === 'False') put(resource, { issues, accepted, selected })
    else {
      const refs = issuerRefs(resource, found.snapshot)
      const { resolvedRefs } = refs
      put(resource, { issues: [...issues, ...refs.issues], accepted, resolvedRefs, selected })
    }
  }
  const issuerNames = new Set(found.book.issuers.map(({ resource }) => resource.metadata.name))
  for (const each of found.revocations.resources) {
    put(
      each.resource,
      revocationReport(each, found.issuers, (name) => issuerNames.has(name)),
    )
  }
  for (const resource of found.meshConfigs) {
    const counts = resource.metadata.name === MESH_CONFIG_NAME
    const issues = counts
      ? found.meshConfigIssues
      : [issue('not-the-default', 'metadata.name', 'is not read', `name it ${MESH_CONFIG_NAME}`)]
    const accepted = counts ? validity(issues) : refused('Conflicted', `Only MeshConfig ${MESH_CONFIG_NAME} is read.`)
    const unresolved = counts ? found.unresolvedByMeshConfig : []
    put(resource, {
      issues: [...issues, ...unresolved],
      accepted,
      ...(unresolved.length > 0 && {
        resolvedRefs: refused('RefNotFound', unresolved.map(({ message }) => `It ${message}.`).join(' ')),
      }),
      selected: [],
    })
  }

  for (const { resource, accepted, issues } of found.gateways.classes) put(resource, { issues, accepted, selected: [] })
  const attachments = [...found.routes.routes, ...found.streamRoutes.routes]
  for (const gateway of found.gateways.gateways) put(gateway.resource, gatewayReport(gateway, attachments))
  for (const { resource, issues, parents, attached } of found.routes.routes) {
    const { kind, metadata } = resource
    const { namespace = 'default', name } = metadata
    const origin = `${kind}/${namespace}/${name}@${generationOf(resource)}`
    const told = parents.map((parent) => {
      if (parent.service === undefined) return parent
      return { ...parent, callers: found.routedCallers.get(`${origin} ${parent.service}`) ?? [] }
    })
    const obeying = [...attached.map(({ gateway }) => gateway), ...told.flatMap(({ callers = [] }) => callers)]
    put(resource, { issues, parents: told, selected: [...new Set(obeying)].sort() })
  }

  for (const { resource, issues, parents, attached } of found.streamRoutes.routes) {
    put(resource, { issues, parents, selected: [...new Set(attached.map(({ gateway }) => gateway))].sort() })
  }

  for (const resource of found.parameters) {
    const issues = reviewParameters(resource)
    const users = found.gateways.gateways.filter(({ parametersNamed }) => parametersNamed.includes(resource))
    put(resource, { issues, accepted: validity(issues), selected: users.map(({ id }) => id).sort() })
  }

  const loose = [
    ...found.gateways.issues,
    ...found.routes.issues,
    ...found.streamRoutes.issues,
    ...[...found.namespaces.values()].flatMap(({ issues }) => issues),
  ]
  for (const [resource, group] of Map.groupBy(loose, (each) => each.resource)) {
    put(resource, { issues: group.map((each) => each.issue), selected: [] })
  }
  return reports
}

/** Routes that a policy is for and that no Gateway has: calls between workloads are judged by the sidecar of whoever is called. */
function withoutGateway(
  { targetRefs = [], origin }: Pick<PolicyTargets['policy'], 'targetRefs' | 'origin'>,
  routes: readonly RouteFacts[],
): readonly string[] {
  return targetRefs.flatMap(({ kind, name }) => {
    const target = routes.find((route) => {
      return route.kind === kind && route.name === name && route.namespace === (origin.namespace ?? 'default')
    })
    if (target === undefined || target.atServices.length === 0 || target.attached.length > 0) return []
    return [`nobody enforces it for ${kind} ${name}, whose parents are Services: write it for the Services behind`]
  })
}

function acceptedOf(
  { unreadable, issues, origin }: Policy,
  targets: number,
  absent: readonly string[],
): ConditionFound {
  if (unreadable !== undefined) {
    return refused('Invalid', `${unreadable}. Until it can be read, all that it may be about is refused.`)
  }
  const broken = issues.find(({ severity }) => severity === 'error')
  if (broken !== undefined) {
    return refused('Invalid', `${broken.path}: ${broken.message}. Until then its targets refuse.`)
  }
  if (absent.length === 0) return ACCEPTED
  const where = origin.namespace === undefined ? '' : ` in namespace ${origin.namespace}`
  const message = `There is no ${listed(absent)}${where}.`
  return absent.length < targets ? { ...ACCEPTED, message } : refused('TargetNotFound', message)
}

/** All but `accepted` and `selected`: what came of a policy where it is attached. */
function policyReport(policy: Policy, findings: readonly Finding[], absent: readonly string[]) {
  const of = (type: Finding['type']) => [
    ...new Set(findings.filter((finding) => finding.type === type).map(({ message }) => message)),
  ]
  const unresolved = of('unresolved')
  const overridden = of('overridden')
  const notApplied = of('not-applied')
  // A policy for the whole mesh meets ports of every kind; what it says of HTTP was never meant for the others.
  const isPartial = notApplied.length > 0 && policy.origin.namespace !== undefined
  const issues = [
    ...policy.issues,
    ...absent.map((what) => issue('target-not-found', 'spec.targetRefs', `there is no ${what}`)),
    ...unique(
      findings.flatMap(({ type, issues: inner = [] }) =>
        type === 'unresolved' ? inner.map((each) => under('spec', each)) : [],
      ),
    ),
    ...unique(findings.flatMap(outweighed)),
  ]
  return {
    issues,
    resolvedRefs:
      unresolved.length === 0
        ? RESOLVED
        : refused(
            issues.some(({ code }) => code === 'secret-not-permitted') ? 'RefNotPermitted' : 'RefNotFound',
            `${listed(unresolved)}. Until then it refuses.`,
          ),
    ...(overridden.length > 0
      ? { programmed: refused('Overridden', `${listed(overridden)}.`) }
      : isPartial
        ? { programmed: refused('PartiallyProgrammed', `${listed(notApplied)}.`) }
        : {}),
  }
}

/** What cannot be read of a TrafficPolicy is not obeyed, and closes nothing. */
function trafficReport(
  { policy, missing, overridden, notApplied }: TrafficPolicyFacts,
  selected: readonly WorkloadId[],
): Omit<ResourceReport, 'kind' | 'namespace' | 'name' | 'generation'> {
  const { issues, targetRefs } = policy
  const isAbsent = missing.length > 0 && missing.length === targetRefs.length
  const accepted = validity(issues)
  const absent = `There is no ${listed(missing)} in the namespace.`
  return {
    issues: [
      ...issues,
      ...missing.map((what) => issue('target-not-found', 'spec.targetRefs', `there is no ${what}`)),
      ...overridden.map((message) => warning('overridden', 'spec', message)),
      ...notApplied.map((message) => warning('not-applied', 'spec', message)),
    ],
    accepted:
      accepted.status === 'False' || missing.length === 0
        ? accepted
        : isAbsent
          ? refused('TargetNotFound', absent)
          : { ...ACCEPTED, message: absent },
    resolvedRefs: RESOLVED,
    ...(overridden.length > 0
      ? { programmed: refused('Overridden', `${listed(overridden)}.`) }
      : notApplied.length > 0 && { programmed: refused('PartiallyProgrammed', `${listed(notApplied)}.`) }),
    selected,
  }
}

/** A part of a policy that does not come into force as it is written. */
function outweighed({ type, message, weakensFloor }: Finding): readonly Issue[] {
  if (type === 'unresolved') return []
  if (weakensFloor === undefined) return [warning(type, 'spec', message)]
  return [warning('weakens-floor', `spec.${weakensFloor}`, `asks for less than the floor: ${message}`)]
}

function validity(issues: readonly Issue[]): ConditionFound {
  const broken = issues.find(({ severity }) => severity === 'error')
  return broken === undefined ? ACCEPTED : refused('Invalid', `${broken.path}: ${broken.message}.`)
}

function selectedByMesh(
  policy: MeshPolicy,
  { namespaces, gateways, routes, streamRoutes }: Findings,
): readonly WorkloadId[] {
  const selected = new Set<WorkloadId>()
  for (const { name, labels, workloads } of namespaces.values()) {
    if (name === SYSTEM_NAMESPACE || meshPoliciesFor([policy], labels, 'sidecar').length === 0) continue
    for (const { id } of workloads) selected.add(id)
  }
  const served = new Set(gateways.gateways.map(({ id }) => id))
  for (const { namespace, attached } of [...routes.routes, ...streamRoutes.routes]) {
    if (meshPoliciesFor([policy], namespaces.get(namespace)?.labels ?? {}, 'gateway').length === 0) continue
    for (const { gateway } of attached) if (served.has(gateway)) selected.add(gateway)
  }
  return [...selected].sort()
}

function usersOf(issuers: ReadonlyMap<WorkloadId, readonly string[]>): ReadonlyMap<string, readonly WorkloadId[]> {
  const users = new Map<string, WorkloadId[]>()
  for (const [id, names] of issuers) {
    for (const name of names) {
      const list = users.get(name) ?? []
      users.set(name, list)
      list.push(id)
    }
  }
  for (const list of users.values()) list.sort()
  return users
}

function gatewayReport(
  { accepted, resolvedRefs, issues, listeners, id }: GatewayFacts,
  routes: readonly Pick<RouteFacts, 'attached'>[],
) {
  const attached = routes.flatMap((route) => route.attached.filter(({ gateway }) => gateway === id))
  const unserved = listeners.filter((listener) => !isServed(listener))
  const refusal =
    unserved.length === 0 && listeners.length > 0
      ? {}
      : {
          programmed: refused(
            'Invalid',
            `Not served: ${unserved.map(({ name }) => name).join(', ') || 'all listeners'}.`,
          ),
        }
  return {
    issues,
    accepted,
    resolvedRefs,
    ...refusal,
    selected: listeners.length > 0 ? [id] : [],
    listeners: listeners.map((listener) => ({
      name: listener.name,
      attachedRoutes: attached.filter((each) => each.listener === listener.name).length,
      accepted: listener.accepted,
      resolvedRefs: listener.resolvedRefs,
      conflicted: listener.conflicted,
      kinds: listener.kinds,
      overlaps: listener.overlaps,
      ...(unserved.includes(listener) && { programmed: refused('Invalid', 'It is not served.') }),
    })),
  }
}

function warning(code: string, path: string, message: string): Issue {
  return { ...issue(code, path, message), severity: 'warning' }
}

function unique(issues: readonly Issue[]): readonly Issue[] {
  return [...new Map(issues.map((each) => [`${each.path} ${each.message}`, each])).values()]
}

function listed(messages: readonly string[]): string {
  const named = messages.slice(0, MAX_NAMED).join('; ')
  return messages.length > MAX_NAMED ? `${named}; and ${messages.length - MAX_NAMED} more` : named
}
