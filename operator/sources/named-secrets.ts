import type { Resource } from '../../model/resource.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { followObject, type ObjectStanding } from '../kubernetes/follow.ts'
import type { KubernetesObject } from '../kubernetes/object.ts'
import type { ReflectorMetrics } from '../kubernetes/reflector-metrics.ts'
import { KINDS } from '../resources/kinds.ts'
import { UNREADABLE_SECRET } from '../resources/secret.ts'
import { projectObject } from './project.ts'
import type { Change, Sink, Source } from './source.ts'

export interface SecretName {
  readonly namespace: string
  readonly name: string
}

export interface NamedSecretsOptions {
  readonly client: KubernetesClient
  /** Secrets followed at once, each by a watch of its own, as many of each namespace. The rest stand `failing`. Default 1,024. */
  readonly maxSecrets?: number
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly metrics: Metrics
  readonly reflectorMetrics: ReflectorMetrics
}

/**
 * The Secrets that resources name, each read by its name alone: whatever else a role allows is not asked for.
 *
 * As a source it is synced when every Secret of the first `follow` has been answered, so that no certificate is taken away
 * because its Secret was not read yet. One that may not be read is in the store as an `UnreadableSecret` of the same name
 * (resources/secret.ts), so that translation can say why it does not resolve.
 */
export interface NamedSecrets extends Source {
  /** Says all Secrets that are wanted from now on. One that is not wanted any more is told as removed. */
  follow(names: readonly SecretName[]): void
  /** Undefined for one that is not followed. */
  standing(namespace: string, name: string): ObjectStanding | undefined
}

const MAX_SECRETS = 1_024
const SECRET = KINDS.find(({ kind }) => kind === 'Secret')!
const STANDINGS: readonly ObjectStanding[] = ['reading', 'present', 'absent', 'forbidden', 'failing']

interface Followed extends SecretName {
  standing: ObjectStanding
  readonly stop: AbortController
  done: Promise<void> | undefined
}

export function createNamedSecrets(options: NamedSecretsOptions): NamedSecrets {
  const { client, maxSecrets = MAX_SECRETS, clock, random, log, metrics, reflectorMetrics } = options
  const counters = reflectorMetrics.of('Secret')
  const standings = metrics.gauge({
    name: 'hauberk_secrets',
    help: 'Secrets that resources name, by how they stand.',
    labels: ['standing'],
  })
  metrics.beforeScrape(() => {
    for (const standing of STANDINGS) standings.handle({ standing }).set(count(standing))
  })
  const followed = new Map<string, Followed>()
  const ending = new Set<Promise<void>>()
  /** Named, and more than are followed at once. */
  let beyond: ReadonlySet<string> = new Set()
  let wanted: readonly SecretName[] | undefined
  let running: { readonly sink: Sink; readonly signal: AbortSignal } | undefined
  let isSynced = false

  const count = (standing: ObjectStanding) => {
    const own = [...followed.values()].filter((one) => one.standing === standing).length
    return standing === 'failing' ? own + beyond.size : own
  }

  const start = (one: Followed, { sink, signal }: NonNullable<typeof running>) => {
    const { namespace, name, stop } = one
    one.done = followObject({
      client,
      resource: { apiVersion: 'v1', plural: SECRET.plural, namespace, name },
      onChange(standing, object) {
        one.standing = standing
        sink.apply(changesOf(one, standing, object))
        counters.objects(count('present'))
        look()
      },
      clock,
      random,
      log,
      counters,
      signal: AbortSignal.any([signal, stop.signal]),
    })
  }

  const end = (one: Followed, sink: Sink) => {
    one.stop.abort()
    const { done } = one
    if (done !== undefined) {
      ending.add(done)
      void done.then(() => ending.delete(done))
    }
    sink.apply([removed('Secret', one), removed(UNREADABLE_SECRET, one)])
  }

  const look = () => {
    if (isSynced || running === undefined || wanted === undefined) return
    for (const { standing } of followed.values()) if (standing === 'reading' || standing === 'failing') return
    isSynced = true
    running.sink.synced()
  }

  const update = () => {
    if (running === undefined || wanted === undefined || running.signal.aborted) return
    const keys = new Map(wanted.map((one) => [`${one.namespace}/${one.name}`, one]))
    const chosen = sharedOut(keys, (key) => followed.has(key), maxSecrets)
    for (const [key, one] of followed) {
      if (chosen.has(key)) continue
      followed.delete(key)
      end(one, running.sink)
    }
    const left = new Set<string>()
    for (const [key, { namespace, name }] of keys) {
      if (followed.has(key)) continue
      if (!chosen.has(key)) {
        left.add(key)
        continue
      }
      const one: Followed = { namespace, name, standing: 'reading', stop: new AbortController(), done: undefined }
      followed.set(key, one)
      start(one, running)
    }
    if (left.size > 0 && beyond.size === 0) {
      log.error('more Secrets are named than can be followed', {
        'hauberk.limit': maxSecrets,
        'hauberk.names': [...left].slice(0, 5),
      })
    }
    beyond = left
    counters.objects(count('present'))
    look()
  }

  return {
    follow(names) {
      wanted = names
      update()
    },
    standing(namespace, name) {
      const key = `${namespace}/${name}`
      return beyond.has(key) ? 'failing' : followed.get(key)?.standing
    },
    async run(sink, signal) {
      running = { sink, signal }
      update()
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve()
        else signal.addEventListener('abort', () => resolve(), { once: true })
      })
      await Promise.all([...ending, ...[...followed.values()].map(({ done }) => done)])
    },
  }
}

/**
 * `max` of the Secrets that are named: one of each namespace, then a second one of each that has more, and so on. A tenant
 * may name as many as it likes, and takes no other's (T29). Of one namespace those that are followed already come first.
 */
function sharedOut(
  named: ReadonlyMap<string, SecretName>,
  isFollowed: (key: string) => boolean,
  max: number,
): ReadonlySet<string> {
  if (named.size <= max) return new Set(named.keys())
  const byNamespace = Map.groupBy(named.keys(), (key) => named.get(key)?.namespace)
  const queues = [...byNamespace.values()].map((keys) => [
    ...keys.filter(isFollowed),
    ...keys.filter((key) => !isFollowed(key)),
  ])
  const chosen = new Set<string>()
  for (let round = 0; chosen.size < max; round++) {
    for (const queue of queues) {
      const key = queue[round]
      if (key !== undefined && chosen.size < max) chosen.add(key)
    }
  }
  return chosen
}

/** A Secret is in the store, or that it may not be read, or neither. */
function changesOf(one: SecretName, standing: ObjectStanding, object: KubernetesObject | undefined): readonly Change[] {
  switch (standing) {
    case 'present':
      return object === undefined
        ? []
        : [removed(UNREADABLE_SECRET, one), { type: 'set', resource: projectObject(SECRET, object) }]
    case 'absent':
      return [removed(UNREADABLE_SECRET, one), removed('Secret', one)]
    case 'forbidden':
      return [removed('Secret', one), { type: 'set', resource: unreadable(one) }]
    default:
      return []
  }
}

function unreadable({ namespace, name }: SecretName): Resource {
  return { apiVersion: 'v1', kind: UNREADABLE_SECRET, metadata: { namespace, name } }
}

function removed(kind: string, { namespace, name }: SecretName): Change {
  return { type: 'removed', ref: { kind, namespace, name } }
}
