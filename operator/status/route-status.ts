import { isSame } from '../../model/same.ts'
import { CONTROLLER_NAME } from '../resources/gateway.ts'
import type { ParentRef } from '../resources/http-route.ts'
import type { ParentReport, ResourceReport } from '../translate/report.ts'
import { type Condition, statusOf, type WorkloadStanding } from './conditions.ts'
import type { StatusFields } from './status-applier.ts'
import { withTransitionTimes } from './transition-times.ts'

/** What we say of one parent of a route (`RouteParentStatus`), without the times of transitions. */
export interface RouteParent {
  readonly parentRef: ParentRef
  readonly conditions: readonly Condition[]
}

/** What the API server takes (`HTTPRoute.status.parents`). */
const MAX_PARENTS = 32

/** A route's parents that are Gateways of ours, or Services. Programmed is said by what that Gateway's pods, or the Service's callers, acknowledged. */
export function routeParents(report: ResourceReport, standings: readonly WorkloadStanding[]): readonly RouteParent[] {
  return (report.parents ?? []).map((parent) => ({
    parentRef: { group: 'gateway.networking.k8s.io', kind: 'Gateway', ...parent.parentRef },
    conditions: conditionsOf(report, parent, standings),
  }))
}

function conditionsOf(
  report: ResourceReport,
  { gateway, callers = [], accepted, resolvedRefs }: ParentReport,
  standings: readonly WorkloadStanding[],
): readonly Condition[] {
  const selected = gateway === undefined ? callers : [gateway]
  const standing = standings.filter(({ workload }) => (selected as readonly string[]).includes(workload))
  return statusOf({ ...report, accepted, resolvedRefs, selected }, standing).conditions
}

/** `status` of a route: our parents as they are now, beside the entries of other controllers, which stay. */
export function routeStatus(parents: readonly RouteParent[], before: StatusFields, nowMs: number): StatusFields {
  const there = Array.isArray(before['parents']) ? (before['parents'] as readonly WrittenParent[]) : []
  const others = there.filter((each) => each?.controllerName !== CONTROLLER_NAME)
  const ours = parents.map(({ parentRef, conditions }) => {
    const known = there.find((each) => each?.controllerName === CONTROLLER_NAME && isSame(each.parentRef, parentRef))
    return {
      parentRef,
      controllerName: CONTROLLER_NAME,
      conditions: withTransitionTimes(conditions, known?.conditions, nowMs),
    }
  })
  return { parents: [...others, ...ours].slice(0, MAX_PARENTS) }
}

/** Whether a status says anything of ours. */
export function namesUs({ parents }: StatusFields): boolean {
  return Array.isArray(parents) && parents.some((each: WrittenParent) => each?.controllerName === CONTROLLER_NAME)
}

type WrittenParent = { readonly [field: string]: unknown } | null
