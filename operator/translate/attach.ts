import { type LabelMatcher, parseLabelSelector } from '../../model/match/labels.ts'
import type { TargetRef } from '../../model/resource.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import type { Reach } from './levels.ts'
import type { WorkloadPolicy } from './policy.ts'
import type { Serving } from './services.ts'
import type { Workload } from './workloads.ts'

/**
 * How near a target is to the request: the whole of a namespace, a whole target, one section of it; at a gateway its
 * routes are nearer than itself. What cannot be read has applied to who knows what, so it is the farthest.
 */
export const SPECIFICITY = {
  namespace: 0,
  target: 1,
  section: 2,
  gateway: 1,
  listener: 2,
  route: 3,
  rule: 4,
} as const

/** Where the SecurityPolicies of one namespace are enforced by sidecars. */
export interface WorkloadAttachments {
  /** By workload and container port. */
  reachesOf(workload: WorkloadId, port: number): readonly Reach[]
  /** By key of the policy: the workloads that it reaches, sorted. */
  readonly selected: ReadonlyMap<string, readonly WorkloadId[]>
  /** By key of the policy: targets that do not exist. Pods are never missing: a selector may be ahead of them. */
  readonly missing: ReadonlyMap<string, readonly string[]>
}

export interface InboundPort {
  readonly workload: Workload
  readonly port: number
}

/** Attaches the SecurityPolicies of a namespace to the ports of its workloads. */
export function attachToWorkloads(
  policies: readonly WorkloadPolicy[],
  ports: readonly InboundPort[],
  portNames: ReadonlyMap<string, readonly string[]>,
  servings: readonly Serving[],
): WorkloadAttachments {
  const reaches = new Map<string, Map<WorkloadPolicy, number>>()
  const selected = new Map<string, readonly WorkloadId[]>()
  const missing = new Map<string, readonly string[]>()
  for (const policy of policies) {
    if (policy.mode === 'Off') continue
    const workloads = new Set<WorkloadId>()
    const reach = (workload: WorkloadId, port: number, specificity: number) => {
      workloads.add(workload)
      const key = `${workload}:${port}`
      const there = reaches.get(key) ?? new Map<WorkloadPolicy, number>()
      reaches.set(key, there.set(policy, Math.max(specificity, there.get(policy) ?? 0)))
    }
    if (policy.targetRefs === undefined) {
      for (const { workload, port } of ports) reach(workload.id, port, SPECIFICITY.namespace)
    }
    const absent: string[] = []
    for (const ref of policy.targetRefs ?? []) {
      if (ref.kind === 'Service') absent.push(...attachToService(ref, portNames, servings, reach))
      else if (ref.kind === 'Pod') attachToPods(ref, ports, reach)
    }
    selected.set(policy.key, [...workloads].sort())
    if (absent.length > 0) missing.set(policy.key, absent)
  }
  return {
    reachesOf: (workload, port) =>
      [...(reaches.get(`${workload}:${port}`) ?? [])].map(([policy, specificity]) => ({ policy, specificity })),
    selected,
    missing,
  }
}

type ReachPort = (workload: WorkloadId, port: number, specificity: number) => void

/**
 * A Service stands for the container ports behind it, whatever name or address a caller used to get there: a policy
 * that only held for calls by the Service's name could be walked around.
 */
function attachToService(
  { name = '', sectionName }: TargetRef,
  portNames: ReadonlyMap<string, readonly string[]>,
  servings: readonly Serving[],
  reach: ReachPort,
): string[] {
  const names = portNames.get(name)
  if (names === undefined) return [`Service ${name}`]
  if (sectionName !== undefined && !names.includes(sectionName)) {
    return [`port ${sectionName} of Service ${name}`]
  }
  for (const { service: served, portName, workload, containerPort } of servings) {
    if (served !== name || (sectionName !== undefined && portName !== sectionName)) continue
    reach(workload, containerPort, sectionName === undefined ? SPECIFICITY.target : SPECIFICITY.section)
  }
  return []
}

function attachToPods({ selector = {} }: TargetRef, ports: readonly InboundPort[], reach: ReachPort): void {
  const parsed = parseLabelSelector(selector)
  const selects: LabelMatcher = parsed.ok ? parsed.value : () => true
  const isWhole = Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0
  for (const { workload, port } of ports) {
    if (selects(workload.labels)) reach(workload.id, port, isWhole ? SPECIFICITY.namespace : SPECIFICITY.target)
  }
}
