import { resourceKey, type TargetRef } from '../../model/resource.ts'
import type { WorkloadId } from '../../model/workload-id.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { SPECIFICITY } from './attach.ts'
import type { GatewayFacts } from './gateways.ts'
import type { Reach } from './levels.ts'
import type { WorkloadPolicy } from './policy.ts'
import type { RouteFacts } from './routes.ts'
import type { StreamRouteFacts } from './stream-routes.ts'

/** Where SecurityPolicies are enforced by gateways. */
export interface GatewayAttachments {
  /** Of the Gateway as a whole and of one of its listeners. */
  reachesOfListener(gateway: WorkloadId, listener: string): readonly Reach[]
  /** Of the route as a whole and of one of its rules; `route` is its key. */
  reachesOfRule(route: string, rule: number): readonly Reach[]
  /** By key of the policy: the gateways that it reaches. */
  readonly selected: ReadonlyMap<string, readonly WorkloadId[]>
  /** By key of the policy: targets that do not exist. */
  readonly missing: ReadonlyMap<string, readonly string[]>
}

/** A route of any kind, as far as policies are attached to it. */
type AttachedRoute = RouteFacts | StreamRouteFacts

/** Attaches SecurityPolicies to Gateways and routes, each of the policy's own namespace. */
export function attachToGateways(
  policies: readonly WorkloadPolicy[],
  gateways: readonly GatewayFacts[],
  routes: readonly AttachedRoute[],
  snapshot: Snapshot,
): GatewayAttachments {
  const reaches = new Map<string, Map<WorkloadPolicy, number>>()
  const selected = new Map<string, readonly WorkloadId[]>()
  const missing = new Map<string, readonly string[]>()
  const gatewaysByName = new Map(gateways.map((each) => [`${each.namespace}/${each.name}`, each]))
  const routesByName = new Map(routes.map((each) => [each.key, each]))

  for (const policy of policies) {
    if (policy.mode === 'Off') continue
    const { namespace = 'default' } = policy.origin
    const workloads = new Set<WorkloadId>()
    const absent: string[] = []
    const reach = (place: string, specificity: number) => {
      const there = reaches.get(place) ?? new Map<WorkloadPolicy, number>()
      reaches.set(place, there.set(policy, Math.max(specificity, there.get(policy) ?? 0)))
    }
    const reachGateway = (gateway: GatewayFacts, listener: string | undefined, specificity: number) => {
      if (gateway.listeners.length > 0) workloads.add(gateway.id)
      for (const { name } of gateway.listeners) {
        if (listener === undefined || name === listener) reach(`${gateway.id} ${name}`, specificity)
      }
    }
    const reachRoute = (route: AttachedRoute, rule: string | undefined, specificity: number) => {
      for (const { gateway } of route.attached) workloads.add(gateway)
      for (const [i, { name }] of route.rules.entries()) {
        if (rule === undefined || name === rule) reach(`${route.key} ${i}`, specificity)
      }
    }
    const attach = ({ kind, name = '', sectionName }: TargetRef) => {
      const key = `${namespace}/${name}`
      if (kind === 'Gateway') {
        const gateway = gatewaysByName.get(key)
        if (gateway === undefined) {
          if (snapshot.get('Gateway', namespace, name) === undefined) absent.push(`Gateway ${name}`)
        } else if (sectionName !== undefined && !gateway.listeners.some((listener) => listener.name === sectionName)) {
          absent.push(`listener ${sectionName} of Gateway ${name}`)
        } else reachGateway(gateway, sectionName, sectionName ? SPECIFICITY.listener : SPECIFICITY.gateway)
      } else if (kind !== 'Service' && kind !== 'Pod') {
        const route = routesByName.get(resourceKey(kind, namespace, name))
        if (route === undefined) {
          if (snapshot.get(kind, namespace, name) === undefined) absent.push(`${kind} ${name}`)
        } else if (sectionName !== undefined && !route.rules.some((rule) => rule.name === sectionName)) {
          absent.push(`rule ${sectionName} of ${kind} ${name}`)
        } else reachRoute(route, sectionName, sectionName ? SPECIFICITY.rule : SPECIFICITY.route)
      }
    }

    if (policy.targetRefs === undefined) {
      for (const each of gateways)
        if (each.namespace === namespace) reachGateway(each, undefined, SPECIFICITY.namespace)
      for (const each of routes) if (each.namespace === namespace) reachRoute(each, undefined, SPECIFICITY.namespace)
    }
    for (const ref of policy.targetRefs ?? []) attach(ref)
    if (workloads.size > 0) selected.set(policy.key, [...workloads].sort())
    if (absent.length > 0) missing.set(policy.key, absent)
  }

  const at = (place: string): readonly Reach[] =>
    [...(reaches.get(place) ?? [])].map(([policy, specificity]) => ({ policy, specificity }))
  return {
    reachesOfListener: (gateway, listener) => at(`${gateway} ${listener}`),
    reachesOfRule: (route, rule) => at(`${route} ${rule}`),
    selected,
    missing,
  }
}
