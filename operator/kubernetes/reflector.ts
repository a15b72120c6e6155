import { type Backoff, createBackoff } from '../../runtime/backoff.ts'
import { type Clock, sleep } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { KubernetesClient } from './client.ts'
import { isExpired, isForbidden, isNotFound, KubernetesError } from './errors.ts'
import { listAll } from './list.ts'
import { type KubernetesObject, nameKey, nameOf, type ObjectName } from './object.ts'
import type { ReflectorCounters } from './reflector-metrics.ts'
import { type WatchEvent, watchChanges } from './watch.ts'

export type ObjectChange<T> =
  | { readonly type: 'set'; readonly name: ObjectName; readonly object: T }
  | { readonly type: 'removed'; readonly name: ObjectName }

/**
 * How a reflector stands.
 *
 * `starting`: nothing is known yet. `synced`: all that was there has been told, and changes follow. `missing`: the API
 * server has no such kind. `forbidden`: the role does not allow it. `failing`: the last attempt failed. A reflector that
 * was synced once `hasSynced` for good: what it told stays as it is in every other standing.
 */
export type ReflectorStanding = 'starting' | 'synced' | 'missing' | 'forbidden' | 'failing'

export interface ReflectorOptions<T> {
  readonly client: KubernetesClient
  /** Paths of the collection; of several (versions of one kind) the first that the API server has. See `resourcePath`. */
  readonly paths: readonly string[]
  readonly labelSelector?: string
  readonly fieldSelector?: string
  /**
   * What is kept of an object; undefined when it is not wanted (it then counts as not there). What it throws makes the
   * list or watch fail as if the API server had sent garbage.
   */
  readonly project: (object: KubernetesObject) => T | undefined
  /**
   * Takes changes that came together: a whole list at once, or the events of one chunk of the stream. After a relist,
   * what is gone is told as removed; never from a list that was not read to its end.
   */
  readonly apply: (changes: readonly ObjectChange<T>[]) => void
  /** Called with each change of standing. */
  readonly onStanding?: (standing: ReflectorStanding, problem?: Error) => void
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly counters?: ReflectorCounters
  /** Objects of one page. Default 500. */
  readonly pageSize?: number
  /** Milliseconds without event or bookmark after which a watch is opened anew. Default 90,000. */
  readonly idleTimeoutMs?: number
  /** Milliseconds after which a kind that is missing or forbidden is asked for again, at most, -50 %. Default 30,000. */
  readonly absentRetryMs?: number
  readonly signal: AbortSignal
}

export interface Reflector {
  /** Whether all that was there has been told, once. */
  hasSynced(): boolean
  standing(): ReflectorStanding
  /** Objects that are known now. */
  size(): number
  /** Resolves when the signal has ended it; never rejects. */
  readonly done: Promise<void>
}

/** Milliseconds of the waits between attempts: 5 s at most, or nothing would have converged 10 s after an outage. */
const BACKOFF = { baseMs: 500, minMs: 100, maxMs: 5_000 }

/**
 * Where nobody answers at all, an attempt costs nobody anything: with a connection that has to be given up first, it is
 * still far less than 10 s until an API server that is back is found.
 */
const AWAY_BACKOFF = { ...BACKOFF, maxMs: 2_000 }

const ABSENT_RETRY_MS = 30_000

/** Seconds that one watch lasts: between these, so that not all of them end at once. */
const WATCH_SECONDS = { from: 300, to: 600 }

/** A watch that ended sooner, in milliseconds, and told nothing was no good. */
const SHORT_WATCH_MS = 1_000

/** Watches in a row that the API server answered and that told nothing before they failed; then the list is read anew. */
const MAX_FRUITLESS = 3

/**
 * Mirrors a collection of the API server: lists it in pages, then watches from where the list was made, for as long as
 * the signal allows. Level-based: what it tells is the newest state of an object, never what happened in between.
 */
export function runReflector<T>(options: ReflectorOptions<T>): Reflector {
  const { client, paths, labelSelector, fieldSelector, project, apply, clock, random, log, counters, signal } = options
  const { pageSize, idleTimeoutMs, absentRetryMs = ABSENT_RETRY_MS, onStanding } = options
  const known = new Set<string>()
  const backoff = createBackoff({ ...BACKOFF, random })
  const away = createBackoff({ ...AWAY_BACKOFF, random })
  const absent = createBackoff({ ...BACKOFF, maxMs: absentRetryMs, random })
  /** Of 410: whoever says that is there, however long it was away before. */
  const stale = createBackoff({ ...BACKOFF, random })
  const selectors = { labelSelector, fieldSelector }
  let hasSynced = false
  let standing: ReflectorStanding = 'starting'
  /** From where to watch; undefined when the list has to be read first. */
  let at: { readonly path: string; resourceVersion: string } | undefined
  let fruitless = 0

  const stand = (next: ReflectorStanding, problem?: Error) => {
    if (next === standing) return
    standing = next
    if (problem === undefined) log.info('a kind is read', { 'hauberk.objects': known.size })
    else log.warn('a kind cannot be read, what is known of it stays', { 'event.reason': next, err: problem })
    onStanding?.(next, problem)
  }

  const tell = (changes: ReadonlyMap<string, ObjectChange<T>>) => {
    for (const [key, { type }] of changes) {
      if (type === 'set') known.add(key)
      else known.delete(key)
    }
    counters?.objects(known.size)
    counters?.seen(clock.now())
    if (changes.size > 0) apply([...changes.values()])
  }

  const projected = (object: KubernetesObject): ObjectChange<T> => {
    const kept = project(object)
    const name = nameOf(object)
    return kept === undefined ? { type: 'removed', name } : { type: 'set', name, object: kept }
  }

  const list = async () => {
    for (const [i, path] of paths.entries()) {
      counters?.list()
      try {
        const { items, resourceVersion } = await listAll(client, { path, ...selectors, pageSize, signal }, projected)
        const changes = new Map<string, ObjectChange<T>>()
        for (const item of items) if (item.type === 'set') changes.set(nameKey(item.name), item)
        for (const key of known) if (!changes.has(key)) changes.set(key, { type: 'removed', name: nameOfKey(key) })
        tell(changes)
        at = { path, resourceVersion }
        hasSynced = true
        return
      } catch (error) {
        if (!isNotFound(error) || i === paths.length - 1) throw error
      }
    }
  }

  const take = (events: readonly WatchEvent[]) => {
    const changes = new Map<string, ObjectChange<T>>()
    let { resourceVersion } = at ?? { resourceVersion: '' }
    for (const event of events) {
      resourceVersion =
        (event.type === 'bookmark' ? event.resourceVersion : event.object.metadata.resourceVersion) ?? resourceVersion
      if (event.type === 'bookmark') continue
      const key = nameKey(nameOf(event.object))
      const change: ObjectChange<T> =
        event.type === 'set' ? projected(event.object) : { type: 'removed', name: nameOf(event.object) }
      // Of several events for one object the last is its state; and what never was there cannot go.
      changes.delete(key)
      if (change.type === 'set' || known.has(key)) changes.set(key, change)
    }
    counters?.events(events.length)
    tell(changes)
    if (at !== undefined) at.resourceVersion = resourceVersion
    fruitless = 0
    for (const each of [backoff, away, absent, stale]) each.reset()
  }

  const watch = async (path: string, resourceVersion: string) => {
    const startedAtMs = clock.monotonic()
    let isOpen = false
    let told = false
    counters?.watch()
    const request = {
      path,
      ...selectors,
      resourceVersion,
      timeoutSeconds: Math.round(WATCH_SECONDS.from + random() * (WATCH_SECONDS.to - WATCH_SECONDS.from)),
      ...(idleTimeoutMs !== undefined && { idleTimeoutMs }),
      onOpen() {
        isOpen = true
        stand('synced')
      },
      signal,
    }
    try {
      await watchChanges(client, request, (events) => {
        told = true
        take(events)
      })
    } catch (error) {
      if (!isOpen || !(error instanceof KubernetesError) || error.reason !== 'Timeout') throw error
      // The connection is dead, or nothing happened. Another one tells which.
      counters?.error(error.reason)
    }
    if (told) return
    if (clock.monotonic() - startedAtMs < SHORT_WATCH_MS) {
      throw new KubernetesError({ status: 200, reason: 'ShortWatch', message: `watch of ${path}: ended at once` })
    }
    backoff.reset()
    away.reset()
  }

  const follow = async (from: { readonly path: string; readonly resourceVersion: string }) => {
    try {
      await watch(from.path, from.resourceVersion)
    } catch (error) {
      fruitless += isFruitless(error) ? 1 : 0
      if (needsList(error) || fruitless >= MAX_FRUITLESS) {
        at = undefined
        fruitless = 0
      }
      throw error
    }
  }

  const backoffFor = (problem: Error): Backoff => {
    if (isNotFound(problem) || isForbidden(problem)) return absent
    if (isExpired(problem)) return stale
    return problem instanceof KubernetesError && problem.reason === 'Unreachable' ? away : backoff
  }

  const run = async () => {
    while (!signal.aborted) {
      const from = at
      try {
        if (from === undefined) {
          await list()
          stand('synced')
        } else await follow(from)
      } catch (error) {
        if (signal.aborted) break
        const problem = error instanceof Error ? error : new Error(String(error))
        counters?.error(problem instanceof KubernetesError ? problem.reason : 'Internal')
        if (isForbidden(problem)) stand('forbidden', problem)
        else if (!isNotFound(problem)) {
          // A watch that expired or ended early is part of life.
          if (from === undefined || !isLull(problem)) stand('failing', problem)
        } else if (from === undefined) stand('missing', problem)
        await sleep(clock, waitOf(problem, backoffFor(problem), random), { signal }).catch(() => {})
      }
    }
  }

  return { hasSynced: () => hasSynced, standing: () => standing, size: () => known.size, done: run() }
}

/** The inverse of `nameKey`. */
function nameOfKey(key: string): ObjectName {
  const slash = key.indexOf('/')
  const name = key.slice(slash + 1)
  return slash === 0 ? { name } : { namespace: key.slice(0, slash), name }
}

/** Whether watching from the same place cannot go well: 410, and whatever else says that the request itself is wrong. */
function needsList(error: unknown): boolean {
  if (!(error instanceof KubernetesError)) return false
  const { status } = error
  return isExpired(error) || (status >= 400 && status < 500 && ![401, 403, 429].includes(status))
}

/** Whether the API server was there and the watch still did not work. */
function isFruitless(error: unknown): boolean {
  if (!(error instanceof KubernetesError)) return true
  const { status, reason } = error
  return reason === 'Malformed' || reason === 'ShortWatch' || (status >= 500 && status !== 503)
}

function isLull(problem: Error): boolean {
  return isExpired(problem) || (problem instanceof KubernetesError && problem.reason === 'ShortWatch')
}

/** What the server asks for is the least; on top of it the jitter, or all who were sent away come back at once. */
function waitOf(problem: Error, backoff: Backoff, random: () => number): number {
  const waitMs = backoff.next()
  const askedMs = problem instanceof KubernetesError ? problem.retryAfterMs : undefined
  return askedMs === undefined ? waitMs : Math.max(waitMs, askedMs * (1 + random() / 4))
}
