import type { Resource } from '../../model/resource.ts'
import { type Issue, under } from '../../model/result.ts'
import type { Section } from '../../model/section.ts'
import { reviewTokenIssuer, type TokenIssuerSpec } from '../../policies/jwt/token-issuer.ts'
import { reviewTrafficPolicy } from '../resources/review-traffic.ts'
import { reviewTokenRevocation, type TokenRevocationSpec } from '../resources/token-revocation.ts'
import type { TrafficPolicySpec } from '../resources/traffic-policy.ts'

/**
 * What a schema cannot see but one policy alone shows: an expression that does not parse, a template that is none. Paths
 * are from the root of the resource. What needs other resources (an issuer that is missing) is `translate`'s to say.
 */
export function reviewResource({ kind, spec }: Resource, sections: readonly Section[]): readonly Issue[] {
  if (typeof spec !== 'object' || spec === null) return []
  switch (kind) {
    case 'SecurityPolicy':
      return reviewSpec(spec, 'spec', sections)
    case 'MeshSecurityPolicy': {
      const { floor, defaults } = spec as { readonly floor?: object; readonly defaults?: object }
      return [
        ...(floor === undefined ? [] : reviewSpec(floor, 'spec.floor', sections)),
        ...(defaults === undefined ? [] : reviewSpec(defaults, 'spec.defaults', sections)),
      ]
    }
    case 'TrafficPolicy':
      return reviewTrafficPolicy(spec as TrafficPolicySpec).map((found) => under('spec', found))
    case 'TokenIssuer':
      return reviewTokenIssuer(spec as TokenIssuerSpec).map((found) => under('spec', found))
    case 'TokenRevocation':
      return reviewTokenRevocation(spec as TokenRevocationSpec).map((found) => under('spec', found))
    default:
      return []
  }
}

function reviewSpec(spec: object, prefix: string, sections: readonly Section[]): Issue[] {
  return sections.flatMap((section) => {
    const own = section.pick(spec as Readonly<Record<string, unknown>>)
    return own === undefined ? [] : section.review(own).map((found) => under(prefix, found))
  })
}

/** `spec.allow[0].when` as keys and indices: the inverse of `formatPath`. */
export function parsePath(path: string): readonly (string | number)[] {
  const segments: (string | number)[] = []
  for (const match of path.matchAll(/\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|([^.[\]]+)/g)) {
    if (match[1] !== undefined) segments.push(Number(match[1]))
    else if (match[2] !== undefined) segments.push(JSON.parse(`"${match[2]}"`) as string)
    else if (match[3] !== undefined) segments.push(match[3])
  }
  return segments
}
