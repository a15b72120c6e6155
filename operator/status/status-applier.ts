import { canonicalJson } from '../../contract/codec.ts'
import type { Clock } from '../../runtime/clock.ts'
import { applyObject } from '../kubernetes/apply.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { isNotFound } from '../kubernetes/errors.ts'
import { type KubernetesObject, readObject, recordOf } from '../kubernetes/object.ts'
import { resourcePath } from '../kubernetes/path.ts'

/** Owner of the fields of every status that the operator writes. */
export const STATUS_MANAGER = 'hauberk-operator'

/** The resource whose status is written. */
export interface StatusSubject {
  readonly apiVersion: string
  readonly kind: string
  readonly plural: string
  readonly namespace?: string | undefined
  readonly name: string
}

export type StatusFields = Readonly<Record<string, unknown>>

/** What the API server has, as far as it was seen. It is late: a write may not be in it yet. */
export type ObserveStatus = (
  kind: string,
  namespace: string | undefined,
  name: string,
) => { readonly uid?: string; readonly resourceVersion: string; readonly status: unknown } | undefined

/** What one write came to. */
export interface StatusWrite {
  readonly before: StatusFields
  readonly after: StatusFields
}

/** Writes statuses where the API server has another one, and only there. A field that is null is to be gone. */
export interface StatusApplier {
  /**
   * Brings the status to what `make` makes of what is there. `shared`: the fields have other writers too, whose part
   * `make` keeps; such a write counts only for the very version that was seen, and is a conflict for any other.
   *
   * Undefined: nothing had to be written, or the resource is gone. Rejects with a `KubernetesError`.
   */
  write(
    subject: StatusSubject,
    make: (before: StatusFields, nowMs: number) => StatusFields,
    how?: { readonly shared: boolean },
  ): Promise<StatusWrite | undefined>
  /** The resource is gone. */
  forget(kind: string, namespace: string | undefined, name: string): void
}

export interface StatusApplierOptions {
  readonly client: KubernetesClient
  readonly observed: ObserveStatus
  readonly onWritten?: (kind: string) => void
  readonly clock: Pick<Clock, 'now'>
  readonly signal: AbortSignal
}

export function createStatusApplier(options: StatusApplierOptions): StatusApplier {
  const { client, observed, onWritten = () => {}, clock, signal } = options
  /** What was written last, and which version came of it. It counts until that version or a later one is seen. */
  const written = new Map<string, { readonly resourceVersion: string; readonly status: StatusFields }>()

  return {
    async write(subject, make, { shared } = { shared: false }) {
      const { kind, namespace, name } = subject
      const key = keyOf(kind, namespace, name)
      const seen = observed(kind, namespace, name)
      const own = written.get(key)
      const isLate = own !== undefined && (seen === undefined || isOlder(seen.resourceVersion, own.resourceVersion))
      const before = isLate ? own.status : recordOf(seen?.status)
      const after = make(before, clock.now())
      if (hasStatus(before, after)) return undefined
      // What others own of it does not go by our leave: once is enough.
      if (own !== undefined && own.resourceVersion === seen?.resourceVersion && hasStatus(own.status, after)) {
        return undefined
      }
      const version = isLate ? own.resourceVersion : seen?.resourceVersion
      if (shared && version === undefined) return undefined
      try {
        const { metadata } = shared
          ? await merge(client, subject, after, version, signal)
          : await apply(client, subject, after, seen?.uid, signal)
        written.set(key, { resourceVersion: metadata.resourceVersion ?? '', status: after })
      } catch (error) {
        if (!isNotFound(error)) throw error
        written.delete(key)
        return undefined
      }
      onWritten(kind)
      return { before, after }
    },
    forget: (kind, namespace, name) => void written.delete(keyOf(kind, namespace, name)),
  }
}

/** Of this very object: a later one of the same name has a status of its own. */
async function apply(
  client: KubernetesClient,
  { apiVersion, kind, plural, namespace, name }: StatusSubject,
  status: StatusFields,
  uid: string | undefined,
  signal: AbortSignal,
): Promise<KubernetesObject> {
  const metadata = { name, ...(namespace !== undefined && { namespace }), ...(uid !== undefined && { uid }) }
  const present = Object.fromEntries(Object.entries(status).filter(([, value]) => value !== null))
  return applyObject(
    client,
    { apiVersion, kind, metadata, status: present },
    { plural, fieldManager: STATUS_MANAGER, subresource: 'status', force: true, signal },
  )
}

async function merge(
  client: KubernetesClient,
  { apiVersion, plural, namespace, name }: StatusSubject,
  status: StatusFields,
  resourceVersion: string | undefined,
  signal: AbortSignal,
): Promise<KubernetesObject> {
  const answer = await client.request({
    method: 'PATCH',
    path: resourcePath({ apiVersion, plural, namespace, name, subresource: 'status' }),
    query: { fieldManager: STATUS_MANAGER },
    contentType: 'application/merge-patch+json',
    body: { metadata: { resourceVersion }, status },
    signal,
  })
  return readObject(answer)
}

/** Versions of one kind are whole numbers that grow (KEP-5504). What is none is not compared. */
function isOlder(version: string, other: string): boolean {
  if (!/^\d{1,20}$/.test(version) || !/^\d{1,20}$/.test(other)) return false
  return BigInt(version) < BigInt(other)
}

function keyOf(kind: string, namespace: string | undefined, name: string): string {
  return `${kind}/${namespace ?? ''}/${name}`
}

/**
 * Whether a status has all of another one; null there means that a field is to be gone. Conditions of others are none of
 * ours, and the order of lists is nobody's: they are maps to the API server, or what is in them says where it belongs.
 */
export function hasStatus(before: StatusFields, status: StatusFields): boolean {
  return Object.entries(status).every(([field, value]) => {
    const there = before[field]
    if (value === null || value === undefined) return there === undefined || there === null
    if (field !== 'conditions') return normal(there) === normal(value)
    const own = new Set(list(value).map((each) => recordOf(each)['type']))
    return normal(list(there).filter((each) => own.has(recordOf(each)['type']))) === normal(value)
  })
}

function normal(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(normal).sort().join()}]`
  if (typeof value !== 'object' || value === null) return canonicalJson(value ?? null)
  const fields = Object.entries(value).filter(([, each]) => each !== undefined)
  return `{${fields
    .map(([field, each]) => `${JSON.stringify(field)}:${normal(each)}`)
    .sort()
    .join()}}`
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
