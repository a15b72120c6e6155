import type { Issue } from '../../model/result.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import type { ParentRef } from '../resources/http-route.ts'

/** One condition of a status, as far as translation can say it. `observedGeneration` is the report's. */
export interface ConditionFound {
  readonly status: 'True' | 'False'
  /** CamelCase, from GEP-713 and Gateway API. */
  readonly reason: string
  readonly message: string
}

/** What translation found out about one resource: all that its status says, but for what sidecars acknowledge. */
export interface ResourceReport {
  readonly kind: string
  readonly namespace?: string
  readonly name: string
  readonly generation: number
  /** What is wrong with it, sorted by path. */
  readonly issues: readonly Issue[]
  /** Absent for kinds that have no status of ours: a Service, a Deployment. */
  readonly accepted?: ConditionFound
  readonly resolvedRefs?: ConditionFound
  /** Present when the resource is not in force as it is written, whatever sidecars acknowledge. */
  readonly programmed?: ConditionFound
  /** The workloads that enforce it; sorted. */
  readonly selected: readonly WorkloadId[]
  /** Gateway: by listener, in the order of its spec. */
  readonly listeners?: readonly ListenerReport[]
  /** HTTPRoute and GRPCRoute: for each `parentRef` that is a Gateway of ours or a Service, in the order of its spec. */
  readonly parents?: readonly ParentReport[]
}

export interface ListenerReport {
  readonly name: string
  readonly attachedRoutes: number
  readonly accepted: ConditionFound
  readonly resolvedRefs: ConditionFound
  /** Positive when there is a conflict, as Gateway API has it. */
  readonly conflicted: ConditionFound
  readonly programmed?: ConditionFound
  /** The kinds of routes that it takes. */
  readonly kinds: readonly string[]
  /** HTTPS listeners of its port whose hostnames are partly its own. */
  readonly overlaps: readonly string[]
}

export interface ParentReport {
  readonly parentRef: ParentRef
  /** Of ours, where it is one. */
  readonly gateway?: WorkloadId
  /** `namespace/name`, where it is a Service. */
  readonly service?: string
  /** A Service's: the workloads that are told of the route there; sorted. */
  readonly callers?: readonly WorkloadId[]
  readonly accepted: ConditionFound
  readonly resolvedRefs: ConditionFound
}

export const ACCEPTED: ConditionFound = { status: 'True', reason: 'Accepted', message: 'It is understood.' }
export const RESOLVED: ConditionFound = {
  status: 'True',
  reason: 'ResolvedRefs',
  message: 'Everything that it refers to is there.',
}

export function refused(reason: string, message: string): ConditionFound {
  return { status: 'False', reason, message }
}
