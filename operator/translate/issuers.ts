import type { Resource } from '../../model/resource.ts'
import { type Issue, issue, under } from '../../model/result.ts'
import {
  admitsNamespace,
  DEFAULT_CLIENT_SECRET_KEY,
  DEFAULT_SECRET_KEY,
  reviewTokenIssuer,
  type TokenIssuerSpec,
  tokenIssuerSchema,
} from '../../policies/jwt/token-issuer.ts'
import { secretText, UNREADABLE_SECRET } from '../resources/secret.ts'
import { secretGrant } from '../resources/secret-grant.ts'
import { checkSpec } from '../resources/spec.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type ConditionFound, RESOLVED, refused } from './report.ts'

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

/** Whether the Secrets that a TokenIssuer names are there. Where one is not, its tokens are answered 503. */
export function issuerRefs(
  { spec }: Resource,
  snapshot: Snapshot,
): { readonly resolvedRefs: ConditionFound; readonly issues: readonly Issue[] } {
  const { jwks, introspection } = spec as TokenIssuerSpec
  const refs = [
    { path: 'spec.jwks.secretRef', ref: jwks?.secretRef, fallback: DEFAULT_SECRET_KEY },
    {
      path: 'spec.introspection.clientSecretRef',
      ref: introspection?.clientSecretRef,
      fallback: DEFAULT_CLIENT_SECRET_KEY,
    },
  ]
  const found = refs.map(({ path, ref, fallback }) => secretRef(snapshot, path, ref, fallback))
  return found.find(({ issues }) => issues.length > 0) ?? { resolvedRefs: RESOLVED, issues: [] }
}

function secretRef(
  snapshot: Snapshot,
  path: string,
  ref: { readonly namespace: string; readonly name: string; readonly key?: string } | undefined,
  fallback: string,
): ReturnType<typeof issuerRefs> {
  if (ref === undefined) return { resolvedRefs: RESOLVED, issues: [] }
  const { namespace, name, key = fallback } = ref
  const failed = (reason: string, message: string, fix?: string) => ({
    resolvedRefs: refused(reason, `${message}.`),
    issues: [issue('secret-not-resolved', path, message, fix)],
  })
  if (snapshot.get(UNREADABLE_SECRET, namespace, name) !== undefined) {
    const { message, fix } = secretGrant(namespace, name)
    return failed('RefNotPermitted', message, fix)
  }
  const secret = snapshot.get('Secret', namespace, name)
  if (secret === undefined) return failed('RefNotFound', `there is no Secret ${namespace}/${name}`)
  if (secretText(secret, key) === undefined) {
    return failed('RefNotFound', `Secret ${namespace}/${name} has no ${key}`)
  }
  return { resolvedRefs: RESOLVED, issues: [] }
}

function review({ spec = {} }: Resource): readonly Issue[] {
  const structure = checkSpec(tokenIssuerSchema, spec)
  const found = structure.length > 0 ? structure : reviewTokenIssuer(spec as TokenIssuerSpec)
  return found.map((each) => under('spec', each))
}
