import type { KubernetesClient } from './client.ts'
import { KubernetesError } from './errors.ts'
import { type KubernetesObject, readObject, recordOf } from './object.ts'

export interface WatchRequest {
  /** Of the collection. */
  readonly path: string
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  /** What is after this is told. Undefined: what there is now, as if it were new, and what is after that. */
  readonly resourceVersion: string | undefined
  /** The server ends the watch after this many seconds. */
  readonly timeoutSeconds: number
  /** Milliseconds without an event or a bookmark (they come once a minute) after which the connection counts as dead. */
  readonly idleTimeoutMs?: number
  readonly onOpen?: () => void
  readonly signal?: AbortSignal | undefined
}

export type WatchEvent =
  | { readonly type: 'set' | 'removed'; readonly object: KubernetesObject }
  /** Nothing changed, but the watch has come this far. */
  | { readonly type: 'bookmark'; readonly object: undefined; readonly resourceVersion: string }

/**
 * Tells the changes of a collection, those that came in one piece together. Resolves when the server ends the watch, and
 * rejects with a `KubernetesError` for everything else: 410 `Expired` when the resourceVersion is too old, `Malformed`
 * for what is no event. Events before a malformed one are told.
 */
export async function watchChanges(
  client: KubernetesClient,
  request: WatchRequest,
  onEvents: (events: readonly WatchEvent[]) => void,
): Promise<void> {
  const { path, labelSelector, fieldSelector, resourceVersion, timeoutSeconds } = request
  const { idleTimeoutMs, onOpen, signal } = request
  const query = {
    watch: true,
    allowWatchBookmarks: true,
    resourceVersion,
    timeoutSeconds,
    labelSelector,
    fieldSelector,
  }
  const stream = {
    path,
    query,
    signal,
    ...(idleTimeoutMs !== undefined && { idleTimeoutMs }),
    ...(onOpen !== undefined && { onOpen }),
  }
  await client.stream(stream, (lines) => {
    const events: WatchEvent[] = []
    try {
      for (const line of lines) events.push(readEvent(line))
    } finally {
      if (events.length > 0) onEvents(events)
    }
  })
}

function readEvent(line: string): WatchEvent {
  const { type, object } = recordOf(parse(line))
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
      return { type: 'set', object: readObject(object) }
    case 'DELETED':
      return { type: 'removed', object: readObject(object) }
    case 'BOOKMARK': {
      const { resourceVersion } = recordOf(recordOf(object)['metadata'])
      if (typeof resourceVersion !== 'string' || resourceVersion === '') throw malformed('a bookmark says no place')
      return { type: 'bookmark', object: undefined, resourceVersion }
    }
    case 'ERROR':
      throw readStatus(object)
    default:
      throw malformed('what came is no watch event')
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw malformed('what came is no JSON', cause)
  }
}

/** An error that came in the stream, where the status of the answer had been sent before. */
function readStatus(status: unknown): KubernetesError {
  const { code, reason, message, details } = recordOf(status)
  return new KubernetesError({
    status: typeof code === 'number' ? code : 500,
    reason: typeof reason === 'string' && reason !== '' ? reason : 'Unknown',
    message: `watch: ${typeof message === 'string' ? message : 'an error without a message'}`,
    details,
  })
}

function malformed(message: string, cause?: unknown): KubernetesError {
  return new KubernetesError({ status: 0, reason: 'Malformed', message, cause })
}
