import type { KubernetesClient } from './client.ts'
import { type KubernetesObject, readObject } from './object.ts'
import { resourcePath } from './path.ts'

/** What is applied: the fields that we have an opinion about, and no others. */
export interface ApplicableObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [field: string]: unknown }
  readonly [field: string]: unknown
}

export interface ApplyOptions {
  /** As in the path: `securitypolicies`. */
  readonly plural: string
  /** Who owns the fields; the same for good, or former fields stay behind. */
  readonly fieldManager: string
  /** `status`. Default: the object itself. */
  readonly subresource?: string
  /** Takes fields from whoever has them. Default false: a conflict is an error (`isConflict`). */
  readonly force?: boolean
  /** Asks what would be, and changes nothing. */
  readonly dryRun?: boolean
  readonly signal?: AbortSignal | undefined
}

/**
 * Server-side apply: makes the object have these fields, and drops those that the same field manager applied before.
 * Applying what is there already writes nothing. Rejects with a `KubernetesError`; `isConflict` without `force` when
 * somebody else has one of the fields.
 */
export async function applyObject(
  client: KubernetesClient,
  object: ApplicableObject,
  { plural, fieldManager, subresource, force, dryRun, signal }: ApplyOptions,
): Promise<KubernetesObject> {
  const { apiVersion, metadata } = object
  const answer = await client.request({
    method: 'PATCH',
    path: resourcePath({ apiVersion, plural, namespace: metadata.namespace, name: metadata.name, subresource }),
    query: { fieldManager, force, dryRun: dryRun === true ? 'All' : undefined },
    // JSON is YAML, and the only type that every API server takes.
    contentType: 'application/apply-patch+yaml',
    body: object,
    signal,
  })
  return readObject(answer)
}
