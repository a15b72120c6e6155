import type { BackendReference } from '../../model/backend-calls.ts'
import type { Origin } from '../../model/origin.ts'
import { type Resource, resourceKey } from '../../model/resource.ts'
import { fail, type Issue, issue, ok, type Result } from '../../model/result.ts'
import { isSame } from '../../model/same.ts'
import type { SecretData, SecretReference } from '../../model/secret.ts'
import { UNREADABLE_SECRET } from '../resources/secret.ts'
import { secretGrant } from '../resources/secret-grant.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { FoundUpstream } from './backend-references.ts'
import { SYSTEM_NAMESPACE } from './gateways.ts'
import { isGranted } from './grants.ts'

/** What policies refer to by name, wherever it is. It is no part of a slice: what was found is remembered beside it. */
export interface References {
  /** The spec of a TokenIssuer for policies of a namespace; undefined when it is missing or does not admit them. */
  tokenIssuer(namespace: string, name: string): unknown
  /** What a Secret holds that the policy `by` names. */
  secret(reference: SecretReference, by: Origin): Result<SecretData>
  /** The upstream of a service that the policy `by` has asked. */
  upstream(reference: BackendReference, by: Origin): Result<FoundUpstream>
}

/** References that take down each question and its answer. */
export interface RecordedReferences extends References {
  readonly lookups: Lookups
}

/** What was looked up, by what was asked for. */
export interface Lookups {
  readonly issuers: ReadonlyMap<string, { readonly namespace: string; readonly name: string; readonly found: unknown }>
  readonly secrets: ReadonlyMap<
    string,
    { readonly reference: SecretReference; readonly by: Origin; readonly found: Result<SecretData> }
  >
  readonly upstreams: ReadonlyMap<
    string,
    { readonly reference: BackendReference; readonly by: Origin; readonly found: Result<FoundUpstream> }
  >
}

export function recorded(references: References): RecordedReferences {
  const issuers = new Map<string, { namespace: string; name: string; found: unknown }>()
  const secrets = new Map<string, { reference: SecretReference; by: Origin; found: Result<SecretData> }>()
  const upstreams = new Map<string, { reference: BackendReference; by: Origin; found: Result<FoundUpstream> }>()
  return {
    lookups: { issuers, secrets, upstreams },
    tokenIssuer(namespace, name) {
      const found = references.tokenIssuer(namespace, name)
      issuers.set(`${namespace}/${name}`, { namespace, name, found })
      return found
    },
    secret(reference, by) {
      const found = references.secret(reference, by)
      secrets.set(`${keyOf(by)} ${reference.namespace ?? ''}/${reference.name}`, { reference, by, found })
      return found
    },
    upstream(reference, by) {
      const found = references.upstream(reference, by)
      upstreams.set(`${keyOf(by)} ${JSON.stringify(reference)}`, { reference, by, found })
      return found
    },
  }
}

/** Whether every lookup would find what it found. */
export function finds(references: References, { issuers, secrets, upstreams }: Lookups): boolean {
  for (const { namespace, name, found } of issuers.values()) {
    if (!isSame(found, references.tokenIssuer(namespace, name))) return false
  }
  for (const { reference, by, found } of secrets.values()) {
    if (!isSame(found, references.secret(reference, by))) return false
  }
  for (const { reference, by, found } of upstreams.values()) {
    if (!isSame(found, references.upstream(reference, by))) return false
  }
  return true
}

const GROUP = 'hauberk.dev'

/** Where the Secret is that a policy names. */
export function secretPlace({ name, namespace }: SecretReference, by: Pick<Origin, 'namespace'>) {
  return { namespace: namespace ?? by.namespace ?? SYSTEM_NAMESPACE, name }
}

/** Whether a policy may name a Secret: one for the whole mesh any, one of a namespace its own and what others grant it (T29). */
export function maySecretBeNamed(
  snapshot: Snapshot,
  place: { readonly namespace: string; readonly name: string },
  by: Pick<Origin, 'kind' | 'namespace'>,
): boolean {
  if (by.namespace === undefined) return true
  const from = { group: GROUP, kind: by.kind, namespace: by.namespace }
  return isGranted(snapshot, { from, to: { group: '', kind: 'Secret', ...place } })
}

/** What the Secret holds that a policy names; otherwise what is wrong with the reference. */
export function findSecret(snapshot: Snapshot, reference: SecretReference, by: Origin): Result<SecretData> {
  const place = secretPlace(reference, by)
  const { namespace, name } = place
  const refuse = (found: Issue) => fail({ ...found, resource: keyOf(by) })
  if (!maySecretBeNamed(snapshot, place, by)) {
    const message = `names Secret ${namespace}/${name}, and no ReferenceGrant of ${namespace} permits it`
    return refuse(issue('secret-not-permitted', '', message, `grant it in ${namespace}`))
  }
  if (snapshot.get(UNREADABLE_SECRET, namespace, name) !== undefined) {
    const { message, fix } = secretGrant(namespace, name)
    return refuse(issue('secret-not-permitted', '', message, fix))
  }
  const secret = snapshot.get('Secret', namespace, name)
  if (secret === undefined) return refuse(issue('secret-not-resolved', '', `there is no Secret ${namespace}/${name}`))
  return ok(dataOf(secret))
}

/** Weakly: a Secret that changes is another object, and one that does not need not be compared. */
const known = new WeakMap<Resource, SecretData>()

/** `stringData` wins, as in Kubernetes. */
function dataOf(secret: Resource): SecretData {
  const before = known.get(secret)
  if (before !== undefined) return before
  const { data = {}, stringData = {} } = secret
  const encoded = Object.entries(stringData).map(([key, text]) => [key, base64(text)] as const)
  const found: SecretData = { data: { ...data, ...Object.fromEntries(encoded) } }
  known.set(secret, found)
  return found
}

function base64(text: string): string {
  let binary = ''
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte)
  return btoa(binary)
}

function keyOf({ kind, namespace, name }: Origin): string {
  return resourceKey(kind, namespace, name)
}
