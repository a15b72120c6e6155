import type { KubernetesClient } from './client.ts'
import type { KubernetesObject } from './reflector.ts'

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

/** Server-side apply: makes the object have these fields, and drops those that the same field manager applied before. */
export declare function applyObject(
  client: KubernetesClient,
  object: ApplicableObject,
  options: ApplyOptions,
): Promise<KubernetesObject>
