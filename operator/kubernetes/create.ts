import type { ApplicableObject } from './apply.ts'
import type { KubernetesClient } from './client.ts'
import type { KubernetesObject } from './reflector.ts'

export interface CreateOptions {
  readonly plural: string
  readonly fieldManager?: string
  readonly signal?: AbortSignal | undefined
}

/** What a create-only attempt came to: ours, or the one that was there before. */
export interface Created {
  readonly created: boolean
  readonly object: KubernetesObject
}

/**
 * Creates an object that is there once: of two who try, one has `created`, and both have the same object. An object that
 * is there already is never changed.
 */
export declare function createOnly(
  client: KubernetesClient,
  object: ApplicableObject,
  options: CreateOptions,
): Promise<Created>
