import { fail, issue, ok, type Result } from './result.ts'

/**
 * The name of a workload or, without a path, of a trust domain: `spiffe://<trust-domain>/<path>`.
 *
 * Only {@link parseSpiffeId} and {@link spiffeIdFor} make one, so two of them are equal exactly if they are the same
 * string. The grammar is the one of the SPIFFE-ID specification, section 2: nothing is decoded and nothing is
 * normalised, because a name with two spellings is a name that some rule will forget.
 */
export type SpiffeId = string & { readonly [spiffeIdBrand]: true }

/** The part of a SPIFFE id that names who vouches for it: `[a-z0-9._-]`, 1..255 bytes (SPIFFE-ID, section 2.1). */
export type TrustDomain = string & { readonly [trustDomainBrand]: true }

/** A Kubernetes service account, the holder of an identity in this mesh. */
export interface ServiceAccountRef {
  readonly namespace: string
  readonly serviceAccount: string
}

declare const spiffeIdBrand: unique symbol
declare const trustDomainBrand: unique symbol

/** SPIFFE-ID, section 2.3: implementations must take this many bytes and must not make longer ones. */
const MAX_SPIFFE_ID_BYTES = 2048
/** RFC 3986 host limit, repeated in SPIFFE-ID, section 2.1. */
const MAX_TRUST_DOMAIN_BYTES = 255

const SCHEME = 'spiffe://'
const TRUST_DOMAIN = /^[a-z0-9._-]+$/
const PATH_SEGMENT = /^[A-Za-z0-9._-]+$/
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const SUBDOMAIN = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/

export function parseSpiffeId(text: string): Result<SpiffeId> {
  if (text.length > MAX_SPIFFE_ID_BYTES) return malformed(`is longer than ${MAX_SPIFFE_ID_BYTES} bytes`)
  if (!text.startsWith(SCHEME)) return malformed(`does not start with '${SCHEME}'`)
  const slash = text.indexOf('/', SCHEME.length)
  const trustDomain = text.slice(SCHEME.length, slash === -1 ? undefined : slash)
  if (!isTrustDomain(trustDomain)) return malformed('has a trust domain that is not 1..255 of a-z, 0-9, ., - and _')
  if (slash !== -1) {
    for (const segment of text.slice(slash + 1).split('/')) {
      if (segment === '') return malformed('has an empty path segment or a trailing slash')
      if (segment === '.' || segment === '..') return malformed('has a dot segment in its path')
      if (!PATH_SEGMENT.test(segment))
        return malformed('has a path segment with a character outside A-Z, a-z, 0-9, ., - and _')
    }
  }
  return ok(text as SpiffeId)
}

export function parseTrustDomain(text: string): Result<TrustDomain> {
  if (isTrustDomain(text)) return ok(text as TrustDomain)
  return fail(
    issue(
      'malformed-trust-domain',
      '',
      'is not a trust domain: 1..255 of a-z, 0-9, ., - and _',
      'write a bare name such as cluster.local',
    ),
  )
}

/** The id of a service account: `spiffe://<trust-domain>/ns/<namespace>/sa/<service-account>`. */
export function spiffeIdFor(trustDomain: TrustDomain, namespace: string, serviceAccount: string): Result<SpiffeId> {
  if (!LABEL.test(namespace)) {
    return fail(issue('malformed-name', 'namespace', 'is not an RFC 1123 label', 'use at most 63 of a-z, 0-9 and -'))
  }
  if (!SUBDOMAIN.test(serviceAccount)) {
    return fail(
      issue('malformed-name', 'serviceAccount', 'is not an RFC 1123 subdomain', 'use at most 253 of a-z, 0-9, - and .'),
    )
  }
  return ok(`${SCHEME}${trustDomain}/ns/${namespace}/sa/${serviceAccount}` as SpiffeId)
}

export function trustDomainOf(id: SpiffeId): TrustDomain {
  const slash = id.indexOf('/', SCHEME.length)
  return id.slice(SCHEME.length, slash === -1 ? undefined : slash) as TrustDomain
}

/** What follows the trust domain, with its leading slash; empty for the id of a trust domain itself. */
export function pathOf(id: SpiffeId): string {
  const slash = id.indexOf('/', SCHEME.length)
  return slash === -1 ? '' : id.slice(slash)
}

/** The service account an id of the form `/ns/<namespace>/sa/<service-account>` stands for; undefined for any other. */
export function serviceAccountOf(id: SpiffeId): ServiceAccountRef | undefined {
  const [, ns, namespace, sa, serviceAccount, ...rest] = pathOf(id).split('/')
  if (ns !== 'ns' || sa !== 'sa' || namespace === undefined || serviceAccount === undefined || rest.length > 0) {
    return undefined
  }
  if (!LABEL.test(namespace) || !SUBDOMAIN.test(serviceAccount)) return undefined
  return { namespace, serviceAccount }
}

function isTrustDomain(text: string): boolean {
  return text.length <= MAX_TRUST_DOMAIN_BYTES && TRUST_DOMAIN.test(text)
}

function malformed(what: string) {
  return fail(
    issue('malformed-spiffe-id', '', what, 'write spiffe://<trust-domain>/ns/<namespace>/sa/<service-account>'),
  )
}
