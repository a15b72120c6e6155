import { type Backoff, createBackoff } from '../../runtime/backoff.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { KubernetesClient } from './client.ts'
import { isExpired, isForbidden, isNotFound, KubernetesError } from './errors.ts'
import { type KubernetesObject, readObject } from './object.ts'
import { type ResourcePath, resourcePath } from './path.ts'
import type { ReflectorCounters } from './reflector-metrics.ts'
import { type WatchEvent, watchChanges } from './watch.ts'

/**
 * How one object stands.
 *
 * `reading`: not answered yet. `forbidden`: no role lets us read it. `failing`: the API server does not answer, and has
 * not since the start.
 */
export type ObjectStanding = 'reading' | 'present' | 'absent' | 'forbidden' | 'failing'

export interface FollowOptions {
  readonly client: KubernetesClient
  readonly resource: ResourcePath & { readonly name: string }
  /**
   * Called with each change: the newest object when it is `present`, else undefined. When the API server fails, what was
   * told last holds.
   */
  readonly onChange: (standing: ObjectStanding, object: KubernetesObject | undefined) => void
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly counters?: Pick<ReflectorCounters, 'list' | 'watch' | 'events' | 'error' | 'seen'>
  /** Milliseconds without event or bookmark after which a watch is opened anew. Default 90,000. */
  readonly idleTimeoutMs?: number
  readonly signal: AbortSignal
}

const BACKOFF = { baseMs: 500, minMs: 100, maxMs: 5_000 }

/** Between two attempts at what the role forbids, in milliseconds, -50 %: somebody may grant it. */
const FORBIDDEN_RETRY_MS = 30_000

/**
 * What was read once and is forbidden now counts as known for so long, in milliseconds: an API server that starts has
 * not read its roles yet and forbids everything.
 */
const FORBIDDEN_AFTER_MS = 20_000

const WATCH_SECONDS = { from: 300, to: 600 }
const SHORT_WATCH_MS = 1_000

/**
 * Follows one object by its name, for which the verbs `get` and `watch` on that name are enough. Where only `get` is
 * allowed, the object is read every half minute. Resolves when the signal has ended it; never rejects.
 */
export async function followObject(options: FollowOptions): Promise<void> {
  const { client, resource, onChange, clock, random, log, counters, idleTimeoutMs, signal } = options
  const { name } = resource
  const path = resourcePath(resource)
  const collection = resourcePath({ ...resource, name: undefined })
  const backoff = createBackoff({ ...BACKOFF, random })
  let standing: ObjectStanding = 'reading'
  /** Of the object that was told. */
  let version: string | undefined
  /** From where to watch; undefined where nobody said. */
  let at: string | undefined
  let forbiddenSinceMs: number | undefined

  const tell = (next: ObjectStanding, object?: KubernetesObject) => {
    const isNews = next !== standing || (object !== undefined && object.metadata.resourceVersion !== version)
    standing = next
    version = object?.metadata.resourceVersion
    if (isNews) onChange(next, object)
  }

  const known = (object: KubernetesObject | undefined) => {
    forbiddenSinceMs = undefined
    counters?.seen(clock.now())
    if (object === undefined) tell('absent')
    else tell('present', object)
  }

  const read = async () => {
    counters?.list()
    at = undefined
    try {
      const object = readObject(await client.request({ path, signal }))
      at = object.metadata.resourceVersion
      known(object)
    } catch (error) {
      if (!isNotFound(error)) throw error
      known(undefined)
    }
  }

  const take = (events: readonly WatchEvent[]) => {
    backoff.reset()
    counters?.events(events.length)
    for (const event of events) {
      at = event.type === 'bookmark' ? event.resourceVersion : event.object.metadata.resourceVersion
      if (event.object?.metadata.name === name) known(event.type === 'set' ? event.object : undefined)
    }
    counters?.seen(clock.now())
  }

  /** From what was read on. Of an object that is not there nobody says since when; then what there is now is told first. */
  const watch = async () => {
    const startedAtMs = clock.monotonic()
    let isOpen = false
    counters?.watch()
    try {
      await watchChanges(
        client,
        {
          path: collection,
          fieldSelector: `metadata.name=${name}`,
          resourceVersion: at,
          timeoutSeconds: Math.round(WATCH_SECONDS.from + random() * (WATCH_SECONDS.to - WATCH_SECONDS.from)),
          ...(idleTimeoutMs !== undefined && { idleTimeoutMs }),
          onOpen() {
            isOpen = true
          },
          signal,
        },
        take,
      )
    } catch (error) {
      if (!isOpen || !(error instanceof KubernetesError) || error.reason !== 'Timeout') throw error
    }
    if (clock.monotonic() - startedAtMs >= SHORT_WATCH_MS) backoff.reset()
    else await pause(backoff.next())
  }

  const pause = (ms: number) => sleep(clock, ms, { signal }).catch(() => {})

  /** What is next after a failure, and when. */
  const waitAfter = (error: unknown): number => {
    const waitMs = waitOf(error, backoff)
    if (!isForbidden(error)) {
      if (standing === 'reading' && !isExpired(error)) tell('failing')
      return waitMs
    }
    forbiddenSinceMs ??= clock.monotonic()
    const isKnown = standing === 'present' || standing === 'absent'
    if (isKnown && clock.monotonic() - forbiddenSinceMs < FORBIDDEN_AFTER_MS) return waitMs
    if (standing !== 'forbidden') log.warn('an object may not be read', { 'hauberk.object': path, err: error })
    tell('forbidden')
    return FORBIDDEN_RETRY_MS * (0.5 + random() / 2)
  }

  while (!signal.aborted) {
    try {
      await read()
    } catch (error) {
      if (signal.aborted) break
      counters?.error(error instanceof KubernetesError ? error.reason : 'Internal')
      await pause(waitAfter(error))
      continue
    }
    try {
      // A watch that goes on from where the last one ended needs no reading in between.
      while (!signal.aborted) await watch()
    } catch (error) {
      if (signal.aborted) break
      counters?.error(error instanceof KubernetesError ? error.reason : 'Internal')
      await pause(isForbidden(error) ? FORBIDDEN_RETRY_MS * (0.5 + random() / 2) : waitOf(error, backoff))
    }
  }
}

function waitOf(error: unknown, backoff: Backoff): number {
  const waitMs = backoff.next()
  return Math.max(waitMs, error instanceof KubernetesError ? (error.retryAfterMs ?? 0) : 0)
}
