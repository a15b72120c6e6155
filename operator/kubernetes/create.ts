import type { ApplicableObject } from './apply.ts'
import type { KubernetesClient } from './client.ts'
import { isAlreadyExists, isNotFound } from './errors.ts'
import { type KubernetesObject, readObject } from './object.ts'
import { resourcePath } from './path.ts'

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
 * is there already is never changed. Rejects with a `KubernetesError` when neither can be had.
 */
export async function createOnly(
  client: Pick<KubernetesClient, 'request'>,
  object: ApplicableObject,
  { plural, fieldManager, signal }: CreateOptions,
): Promise<Created> {
  const { apiVersion, metadata } = object
  const { namespace, name } = metadata
  for (let attempt = 1; ; attempt++) {
    try {
      const path = resourcePath({ apiVersion, plural, namespace })
      const answer = await client.request({ method: 'POST', path, query: { fieldManager }, body: object, signal })
      return { created: true, object: readObject(answer) }
    } catch (error) {
      if (!isAlreadyExists(error)) throw error
    }
    try {
      const answer = await client.request({ path: resourcePath({ apiVersion, plural, namespace, name }), signal })
      return { created: false, object: readObject(answer) }
    } catch (error) {
      // It was deleted in between: then it may be made.
      if (!isNotFound(error) || attempt === MAX_ATTEMPTS) throw error
    }
  }
}

const MAX_ATTEMPTS = 3
