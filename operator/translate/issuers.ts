import type { Resource } from '../../model/resource.ts'
import { type Issue, under } from '../../model/result.ts'
import {
  admitsNamespace,
  reviewTokenIssuer,
  type TokenIssuerSpec,
  tokenIssuerSchema,
} from '../../policies/jwt/token-issuer.ts'
import { checkStructure } from '../resources/structural.ts'
import type { Snapshot } from '../store/snapshot.ts'

/** The TokenIssuers there are. */
export interface IssuerBook {
  /** The spec for policies of a namespace; undefined when there is none, it is not valid, or it does not admit them. */
  find(namespace: string, labels: Readonly<Record<string, string>>, name: string): TokenIssuerSpec | undefined
  readonly issuers: readonly { readonly resource: Resource; readonly issues: readonly Issue[] }[]
}

/** What is wrong with a TokenIssuer, with paths from its root; remembered weakly, because keys are looked at. */
export type ReviewIssuer = (resource: Resource) => readonly Issue[]

export function createIssuerReview(): ReviewIssuer {
  const known = new WeakMap<Resource, readonly Issue[]>()
  return (resource) => {
    const issues = known.get(resource) ?? review(resource)
    known.set(resource, issues)
    return issues
  }
}

export function issuerBook(snapshot: Snapshot, reviewIssuer: ReviewIssuer): IssuerBook {
  const issuers = snapshot.ofKind('TokenIssuer').map((resource) => ({ resource, issues: reviewIssuer(resource) }))
  const usable = new Map(
    issuers
      .filter(({ issues }) => !issues.some(({ severity }) => severity === 'error'))
      .map(({ resource }) => [resource.metadata.name, resource.spec as TokenIssuerSpec]),
  )
  return {
    find(namespace, labels, name) {
      const spec = usable.get(name)
      return spec !== undefined && admitsNamespace(spec, { name: namespace, labels }) ? spec : undefined
    },
    issuers,
  }
}

function review({ spec = {} }: Resource): readonly Issue[] {
  const structure = checkStructure(tokenIssuerSchema, spec, 'refuse')
  const found = structure.length > 0 ? structure : reviewTokenIssuer(spec as TokenIssuerSpec)
  return found.map((each) => under('spec', each))
}
