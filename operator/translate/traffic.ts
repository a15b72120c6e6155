import type { UpstreamTraffic } from '../../contract/traffic.ts'
import type { Resource } from '../../model/resource.ts'
import { SPECIFICITY } from './attach.ts'
import type { ServiceFacts, ServicePortFacts } from './services.ts'
import {
  deliveryOf,
  HTTP_PARTS,
  PART_FIELDS,
  readTrafficPolicy,
  type TrafficParts,
  type TrafficPolicy,
} from './traffic-policy.ts'

/** A TrafficPolicy of a namespace, and what became of it at the Services there. */
export interface TrafficPolicyFacts {
  readonly resource: Resource
  readonly policy: TrafficPolicy
  /** Targets that do not exist. */
  readonly missing: readonly string[]
  /** What of it does not come into force where it is attached, and why. */
  readonly overridden: readonly string[]
  readonly notApplied: readonly string[]
}

interface Attached {
  readonly policy: TrafficPolicy
  readonly specificity: number
}

/**
 * Gives the Services of a namespace what its TrafficPolicies say. For each part the nearest policy counts (for a port before
 * for the Service), then the oldest, then the first by name; a part is never erased because another was set.
 */
export function withTraffic(
  services: readonly ServiceFacts[],
  portNames: ReadonlyMap<string, readonly string[]>,
  resources: readonly Resource[],
): { readonly services: readonly ServiceFacts[]; readonly policies: readonly TrafficPolicyFacts[] } {
  if (resources.length === 0) return { services, policies: [] }
  const policies = resources.map((resource) => ({ resource, policy: readTrafficPolicy(resource) }))
  const byService = new Map<string, Set<TrafficPolicy>>()
  for (const { policy } of policies) {
    for (const { name } of policy.targetRefs) byService.set(name, (byService.get(name) ?? new Set()).add(policy))
  }
  const overridden = new Map<string, Set<string>>()
  const notApplied = new Map<string, Set<string>>()
  const say = (about: Map<string, Set<string>>, key: string, message: string) =>
    about.set(key, (about.get(key) ?? new Set()).add(message))

  const trafficOf = (service: ServiceFacts, port: ServicePortFacts): UpstreamTraffic | undefined => {
    const attached = [...(byService.get(service.name) ?? [])]
      .flatMap((policy): Attached[] => {
        const specificity = specificityOf(policy, service.name, port.name)
        return specificity === undefined ? [] : [{ policy, specificity }]
      })
      .sort(byPrecedence)
    const settled: { -readonly [Part in keyof TrafficParts]: TrafficParts[Part] } = {}
    const winners = new Map<keyof TrafficParts, Attached>()
    for (const each of attached) {
      for (const part of Object.keys(each.policy.parts) as (keyof TrafficParts)[]) {
        const where = `port ${port.port} of Service ${service.name}`
        if (port.protocol === 'tcp' && HTTP_PARTS.includes(part)) {
          say(notApplied, each.policy.key, `${PART_FIELDS[part]} says nothing on ${where}, which is not HTTP`)
          continue
        }
        const winner = winners.get(part)
        if (winner === undefined) {
          winners.set(part, each)
          Object.assign(settled, { [part]: each.policy.parts[part] })
        } else if (winner.specificity === each.specificity) {
          const { key } = winner.policy
          say(overridden, each.policy.key, `${PART_FIELDS[part]} on ${where} is said by ${key}`)
        }
      }
    }
    if (winners.size === 0) return undefined
    const delivery = deliveryOf(settled)
    const { connectTimeoutMs, retry, circuitBreaker, outlier, hash, warmUpMs, zone } = settled
    return {
      origins: [...new Set([...winners.values()].map(({ policy }) => policy.origin))].sort(),
      ...(delivery !== undefined && { delivery }),
      ...(connectTimeoutMs !== undefined && { connectTimeoutMs }),
      ...(retry !== undefined && { retryBudget: retry.budget }),
      ...(circuitBreaker !== undefined && { circuitBreaker }),
      ...(outlier !== undefined && { outlier }),
      ...(hash !== undefined && { hash }),
      ...(warmUpMs !== undefined && { warmUpMs }),
      ...(zone !== undefined && { zone }),
    }
  }

  const told = services.map((service): ServiceFacts => {
    const ports = service.ports.map((port) => {
      const traffic = trafficOf(service, port)
      return traffic === undefined ? port : { ...port, traffic }
    })
    return { ...service, ports }
  })
  return {
    services: told,
    policies: policies.map(({ resource, policy }) => ({
      resource,
      policy,
      missing: missingOf(policy, services, portNames),
      overridden: [...(overridden.get(policy.key) ?? [])].sort(),
      notApplied: [...(notApplied.get(policy.key) ?? [])].sort(),
    })),
  }
}

/** How near a policy is to a port; undefined where it is not about it. */
function specificityOf(
  { targetRefs }: TrafficPolicy,
  service: string,
  portName: string | undefined,
): number | undefined {
  let nearest: number | undefined
  for (const { name, sectionName } of targetRefs) {
    if (name !== service || (sectionName !== undefined && sectionName !== portName)) continue
    nearest = Math.max(nearest ?? 0, sectionName === undefined ? SPECIFICITY.target : SPECIFICITY.section)
  }
  return nearest
}

function missingOf(
  { targetRefs }: TrafficPolicy,
  services: readonly ServiceFacts[],
  portNames: ReadonlyMap<string, readonly string[]>,
): readonly string[] {
  return targetRefs.flatMap(({ name, sectionName }) => {
    if (!portNames.has(name)) return [`Service ${name}`]
    // Nobody of the mesh serves it, and so nobody of the mesh is told how to call it.
    if (!services.some((service) => service.name === name)) return [`Service ${name} with a selector`]
    if (sectionName === undefined || portNames.get(name)?.includes(sectionName)) return []
    return [`port ${sectionName} of Service ${name}`]
  })
}

function byPrecedence(a: Attached, b: Attached): number {
  if (a.specificity !== b.specificity) return b.specificity - a.specificity
  if (a.policy.createdAt !== b.policy.createdAt) return a.policy.createdAt < b.policy.createdAt ? -1 : 1
  return a.policy.key < b.policy.key ? -1 : 1
}
