import type { KubernetesClient } from './client.ts'
import { isExpired, KubernetesError } from './errors.ts'
import { type KubernetesObject, readObject, recordOf } from './object.ts'

export interface ListRequest {
  /** Of the collection. */
  readonly path: string
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  /** Objects of one page. Default 500. */
  readonly pageSize?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface Listed<T> {
  readonly items: readonly T[]
  /** From where to watch. */
  readonly resourceVersion: string
}

/** Objects of one page, as client-go has it: some megabytes. */
const PAGE_SIZE = 500

/** A whole list may take this long, in milliseconds: one page of the largest objects over a slow API server. */
const PAGE_TIMEOUT_MS = 60_000

/**
 * Reads a collection to its end, as of one moment, page by page. Each page is projected before the next one is asked for,
 * so that memory holds what is kept and one page. Rejects when any page cannot be had: there is no partial list.
 *
 * A continue token lives for about 5 minutes (410 `Expired` after that). The list then begins anew, and if that happens
 * again it is asked for in one piece.
 */
export async function listAll<T>(
  client: KubernetesClient,
  request: ListRequest,
  project: (object: KubernetesObject) => T | undefined,
): Promise<Listed<T>> {
  const { pageSize = PAGE_SIZE } = request
  for (const limit of [pageSize, pageSize, undefined]) {
    try {
      return await listPages(client, request, limit, project)
    } catch (error) {
      if (!isExpired(error) || limit === undefined) throw error
    }
  }
  throw new Error('unreachable')
}

async function listPages<T>(
  client: KubernetesClient,
  { path, labelSelector, fieldSelector, signal }: ListRequest,
  limit: number | undefined,
  project: (object: KubernetesObject) => T | undefined,
): Promise<Listed<T>> {
  const kept: T[] = []
  let from: string | undefined
  for (;;) {
    const page = readPage(
      await client.request({
        path,
        query: { limit, continue: from, labelSelector, fieldSelector },
        timeoutMs: PAGE_TIMEOUT_MS,
        signal,
      }),
    )
    for (const item of page.items) {
      const projected = project(readObject(item))
      if (projected !== undefined) kept.push(projected)
    }
    if (page.continue === undefined) return { items: kept, resourceVersion: page.resourceVersion }
    from = page.continue
  }
}

function readPage(page: unknown) {
  const { metadata, items } = recordOf(page)
  const { resourceVersion, continue: next } = recordOf(metadata)
  if (typeof resourceVersion !== 'string' || resourceVersion === '' || !(Array.isArray(items) || items === null)) {
    throw new KubernetesError({ status: 0, reason: 'Malformed', message: 'what came is no list of objects' })
  }
  return {
    resourceVersion,
    items: (items ?? []) as readonly unknown[],
    continue: typeof next === 'string' && next !== '' ? next : undefined,
  }
}
