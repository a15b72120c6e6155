import type { KubernetesClient } from '../../operator/kubernetes/client.ts'
import { KubernetesError } from '../../operator/kubernetes/errors.ts'
import { listAll } from '../../operator/kubernetes/list.ts'
import { type ResourcePath, resourcePath } from '../../operator/kubernetes/path.ts'

/** What was seen, or why it could not be: `absent` is not a failure of looking. */
export type Look<T> =
  | { readonly kind: 'seen'; readonly value: T }
  | { readonly kind: 'absent' }
  | { readonly kind: 'failed'; readonly why: string; readonly isForbidden: boolean }

export type Place = ResourcePath

/** One object. Never rejects for what the API server answers. */
export function readOne<T>(client: KubernetesClient, place: Place): Promise<Look<T>> {
  return look(() => client.request<T>({ path: resourcePath(place) }))
}

/** A collection, whole; `absent` where the API server does not know the kind. */
export function readAll<T>(
  client: KubernetesClient,
  { kind, fieldSelector, ...place }: Place & { readonly kind: string; readonly fieldSelector?: string },
): Promise<Look<readonly T[]>> {
  return look(async () => {
    const request = { path: resourcePath(place), fieldSelector }
    // Items of a list say neither kind nor version.
    const named = { apiVersion: place.apiVersion, kind }
    const { items } = await listAll(client, request, (object) => ({ ...object, ...named }) as T)
    return items
  })
}

async function look<T>(ask: () => Promise<T>): Promise<Look<T>> {
  try {
    return { kind: 'seen', value: await ask() }
  } catch (error) {
    if (!(error instanceof KubernetesError)) throw error
    const { status, message } = error
    return status === 404 ? { kind: 'absent' } : { kind: 'failed', why: message, isForbidden: status === 403 }
  }
}

export function seenOr<T>(look: Look<T>, otherwise: T): T {
  return look.kind === 'seen' ? look.value : otherwise
}

/** The value of what was seen. */
export function seen<T>(look: Look<T>): T | undefined {
  return look.kind === 'seen' ? look.value : undefined
}
