import { type Resource, resourceKey } from '../../model/resource.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import type { KubernetesObject } from '../kubernetes/object.ts'
import { resourcePath } from '../kubernetes/path.ts'
import { type ObjectChange, type Reflector, type ReflectorStanding, runReflector } from '../kubernetes/reflector.ts'
import type { ReflectorMetrics } from '../kubernetes/reflector-metrics.ts'
import { KINDS, type KindDefinition } from '../resources/kinds.ts'
import { projectObject } from './project.ts'
import { createShare, type Share } from './share.ts'
import type { Change, Source } from './source.ts'

export interface KubernetesSourceOptions {
  readonly client: KubernetesClient
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  readonly metrics: ReflectorMetrics
}

/** How one kind stands. */
export interface KindStanding {
  readonly kind: string
  readonly standing: ReflectorStanding
  /** What is wrong, when something is. */
  readonly problem?: string
  readonly objects: number
}

/** What the store is not told, because it would make every status that is written a change of what is enforced. */
export interface ObservedObject {
  readonly uid: string
  readonly resourceVersion: string
  readonly status: unknown
}

/** Every kind of `KINDS` but Secret, from the API server. It is synced when each kind either is, or is not there at all. */
export interface KubernetesSource extends Source {
  /** In the order of `KINDS`; empty before it runs. */
  standings(): readonly KindStanding[]
  /** Calls `listener` after each change of a standing. Returns how to stop. */
  onStanding(listener: () => void): () => void
  /** The newest status that was seen of a resource whose status we write: ours, GatewayClass, Gateway and routes. */
  observed(kind: string, namespace: string | undefined, name: string): ObservedObject | undefined
  /** Calls `listener` with the key of each resource of which `observed` says something else. Returns how to stop. */
  onObserved(listener: (key: string) => void): () => void
}

/**
 * Watches the API server.
 *
 * What it sends of our kinds is handed on as it is, even when no schema of ours would let it through (a definition that
 * was edited, a webhook that was down): left out, a policy would be none, and what it closed would be open. Translation
 * holds every `spec` to its schema, refuses what cannot be read and says so in its status.
 */
export function createKubernetesSource(options: KubernetesSourceOptions): KubernetesSource {
  const { client, clock, random, log, metrics } = options
  const kinds = KINDS.filter(({ kind }) => kind !== 'Secret')
  const observed = new Map<string, ObservedObject>()
  const observers = new Set<(key: string) => void>()
  const standingListeners = new Set<() => void>()
  const problems = new Map<string, string>()
  let reflectors: ReadonlyMap<string, Reflector> = new Map()

  const observe = ({ kind }: KindDefinition, change: ObjectChange<Mirrored>) => {
    const key = resourceKey(kind, change.name.namespace, change.name.name)
    const known = observed.get(key)
    const next = change.type === 'set' ? change.object.observed : undefined
    if (known?.resourceVersion === next?.resourceVersion) return
    if (next === undefined) observed.delete(key)
    else observed.set(key, next)
    for (const listener of observers) listener(key)
  }

  return {
    standings: () =>
      [...reflectors].map(([kind, reflector]) => {
        const problem = problems.get(kind)
        const standing = reflector.standing()
        return { kind, standing, ...(problem !== undefined && { problem }), objects: reflector.size() }
      }),
    onStanding(listener) {
      standingListeners.add(listener)
      return () => standingListeners.delete(listener)
    },
    observed: (kind, namespace, name) => observed.get(resourceKey(kind, namespace, name)),
    onObserved(listener) {
      observers.add(listener)
      return () => observers.delete(listener)
    },
    async run(sink, signal) {
      const share = createShare()
      let isSynced = false
      const look = () => {
        if (isSynced || reflectors.size < kinds.length) return
        for (const reflector of reflectors.values()) {
          if (!reflector.hasSynced() && reflector.standing() !== 'missing') return
        }
        isSynced = true
        sink.synced()
      }
      const start = (definition: KindDefinition): Reflector => {
        const { kind, plural, apiVersions } = definition
        return runReflector<Mirrored>({
          client,
          paths: apiVersions.map((apiVersion) => resourcePath({ apiVersion, plural })),
          // Pods that have completed are nobody's any more, and Jobs leave many of them.
          ...(kind === 'Pod' && { fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed' }),
          project: (object) => mirrored(definition, object, share),
          apply(changes) {
            for (const change of changes) observe(definition, change)
            sink.apply(changes.map((change) => asChange(kind, change)))
          },
          onStanding(_, problem) {
            if (problem === undefined) problems.delete(kind)
            else problems.set(kind, problem.message)
            look()
            for (const listener of standingListeners) listener()
          },
          clock,
          random,
          log: log.child({ 'hauberk.kind': kind }),
          counters: metrics.of(kind),
          signal,
        })
      }
      reflectors = new Map(kinds.map((definition) => [definition.kind, start(definition)]))
      await Promise.all([...reflectors.values()].map(({ done }) => done))
    },
  }
}

/** What is kept of an object: what the store is told, and beside it what it is not. */
interface Mirrored {
  readonly resource: Resource
  readonly observed: ObservedObject | undefined
}

/** Of others, whose status we write; of ours it is all. */
const OBSERVED_KINDS: readonly string[] = ['GatewayClass', 'Gateway', 'HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute']

function mirrored(definition: KindDefinition, object: KubernetesObject, share: Share): Mirrored {
  const resource = projectObject(definition, object, share)
  if (definition.specSchema === undefined && !OBSERVED_KINDS.includes(definition.kind)) {
    return { resource, observed: undefined }
  }
  const { uid = '', resourceVersion = '' } = object.metadata
  return { resource, observed: { uid, resourceVersion, status: object['status'] } }
}

function asChange(kind: string, change: ObjectChange<Mirrored>): Change {
  if (change.type === 'set') return { type: 'set', resource: change.object.resource }
  return { type: 'removed', ref: { kind, ...change.name } }
}
