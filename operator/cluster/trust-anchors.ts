import { TRUST_ANCHORS_CONFIG_MAP, TRUST_ANCHORS_KEY } from '../../contract/pod.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Member } from '../identity/rotation/advance.ts'
import { placeMember } from '../identity/rotation/members.ts'
import { applyObject } from '../kubernetes/apply.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { KubernetesError } from '../kubernetes/errors.ts'
import { recordOf } from '../kubernetes/object.ts'
import { resourcePath } from '../kubernetes/path.ts'
import { createWorkQueue } from '../kubernetes/queue.ts'
import { runReflector } from '../kubernetes/reflector.ts'
import type { ReflectorCounters } from '../kubernetes/reflector-metrics.ts'
import { isOptedIn } from '../status/unmeshed-pods.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { SYSTEM_NAMESPACE } from '../translate/gateways.ts'
import { namespaceLabels } from '../translate/namespace.ts'

export interface TrustAnchorsOptions {
  readonly client: KubernetesClient
  readonly snapshot: () => Snapshot
  /** The roots that count now, as `ca.crt` has them. */
  readonly roots: () => string
  readonly counters?: ReflectorCounters
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Log
  /** Ends the work: this operator leads no more, or ends. */
  readonly signal: AbortSignal
}

/** Keeps the ConfigMaps that pods have the roots of the mesh from. One in a cluster: the leader's. */
export interface TrustAnchors {
  /** Namespaces or roots may have changed. */
  touch(): void
  /** Each ConfigMap that there is to be, with the roots in it: a root that pods cannot learn of yet must not sign. */
  members(): readonly Member[]
  /** Resolves when the signal has ended it and nothing runs any more. */
  readonly done: Promise<void>
}

/** Milliseconds until what is not known yet is asked for again. */
const NOT_YET_MS = 200

/**
 * A ConfigMap in each namespace whose pods have sidecars, and in ours for gateways. One that somebody changes or deletes is
 * put right. Where a namespace has left the mesh it stays: pods that are there still mount it.
 */
export function keepTrustAnchors(options: TrustAnchorsOptions): TrustAnchors {
  const { client, snapshot, roots, counters, clock, random, log, signal } = options
  const there = new Map<string, unknown>()
  /** By namespace, why the last attempt to write there failed. */
  const troubles = new Map<string, string>()

  const namespaces = () =>
    snapshot()
      .ofKind('Namespace')
      .filter(({ metadata: { name, deletionTimestamp } }) => {
        if (deletionTimestamp !== undefined) return false
        return (
          name === SYSTEM_NAMESPACE || isOptedIn(namespaceLabels(name, snapshot().get('Namespace', undefined, name)))
        )
      })
      .map(({ metadata }) => metadata.name)

  const reflector = runReflector<unknown>({
    client,
    paths: [resourcePath({ apiVersion: 'v1', plural: 'configmaps' })],
    fieldSelector: `metadata.name=${TRUST_ANCHORS_CONFIG_MAP}`,
    project: (object) => recordOf(object['data'])[TRUST_ANCHORS_KEY] ?? null,
    apply(changes) {
      for (const change of changes) {
        const { namespace = '' } = change.name
        if (change.type === 'set') there.set(namespace, change.object)
        else there.delete(namespace)
        queue.add(namespace)
      }
    },
    clock,
    random,
    log: log.child({ 'hauberk.kind': 'ConfigMap' }),
    ...(counters && { counters }),
    signal,
  })

  const queue = createWorkQueue({
    async work(namespace): Promise<number | undefined> {
      if (!reflector.hasSynced()) return NOT_YET_MS
      const text = roots()
      if (there.get(namespace) === text || !namespaces().includes(namespace)) {
        troubles.delete(namespace)
        return undefined
      }
      await applyObject(client, configMap(namespace, text), {
        plural: 'configmaps',
        fieldManager: 'hauberk-operator',
        force: true,
        signal,
      })
      troubles.delete(namespace)
      // What is there the watch alone says: another's change may have been told before our own answer came.
      log.info('the roots were given to a namespace', { 'orchestrator.namespace': namespace })
      return undefined
    },
    onFailure(namespace, err) {
      troubles.set(namespace, troubleOf(err))
      log.warn('the roots could not be given to a namespace', { err, 'orchestrator.namespace': namespace })
    },
    clock,
    random,
    signal,
  })

  const touch = () => {
    const text = roots()
    for (const namespace of namespaces()) if (there.get(namespace) !== text) queue.add(namespace)
  }
  touch()
  return {
    touch,
    members: () =>
      namespaces().map((namespace) =>
        placeMember(
          `ConfigMap ${namespace}/${TRUST_ANCHORS_CONFIG_MAP}`,
          there.get(namespace),
          troubles.get(namespace),
        ),
      ),
    done: Promise.all([queue.done, reflector.done]).then(() => undefined),
  }
}

/** Characters of what the API server said that are shown. */
const MAX_SAID = 256

/** Whoever made one that is immutable took it from us: a new one is ours. */
function troubleOf(error: unknown): string {
  const said = error instanceof Error ? error.message.slice(0, MAX_SAID) : String(error)
  const isRefused = error instanceof KubernetesError && error.status === 422
  return isRefused ? `it refuses to be changed: delete it, and it is made anew. ${said}` : `it was not written: ${said}`
}

function configMap(namespace: string, roots: string) {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      namespace,
      name: TRUST_ANCHORS_CONFIG_MAP,
      labels: { 'app.kubernetes.io/part-of': 'hauberk', 'app.kubernetes.io/managed-by': 'hauberk-operator' },
    },
    data: { [TRUST_ANCHORS_KEY]: roots },
  }
}
