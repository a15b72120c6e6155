import type { Metrics } from '../../runtime/metrics.ts'
import type { EventFields } from '../kubernetes/events.ts'
import type { UnmeshedPod } from '../status/unmeshed-pods.ts'

/** Counts pods that should have a sidecar, at each scrape. */
export function countUnmeshed(metrics: Metrics, find: () => readonly UnmeshedPod[]): void {
  const gauge = metrics.gauge({
    name: 'hauberk_unmeshed_pods',
    help: 'Pods without a sidecar in namespaces whose pods are to have one, but for those that MeshConfig lets be so.',
    labels: ['namespace'],
  })
  let counted: readonly string[] = []
  metrics.beforeScrape(() => {
    const byNamespace = Map.groupBy(
      find().filter(({ allowedBy }) => allowedBy === undefined),
      ({ namespace }) => namespace,
    )
    for (const namespace of counted) if (!byNamespace.has(namespace)) gauge.remove({ namespace })
    for (const [namespace, pods] of byNamespace) gauge.handle({ namespace }).set(pods.length)
    counted = [...byNamespace.keys()]
  })
}

/** Pods that are told of at most; the metric and the status have them all. */
const MAX_TOLD = 1_024

/** Tells each such pod's owner once, by an Event about the pod. */
export function createUnmeshedEvents(record: (event: EventFields) => void): (pods: readonly UnmeshedPod[]) => void {
  let told: ReadonlySet<string> = new Set()
  return (pods) => {
    const now = new Set<string>()
    for (const { namespace, name, uid, allowedBy } of pods) {
      if (allowedBy !== undefined || now.size >= MAX_TOLD) continue
      const key = `${namespace}/${name}/${uid ?? ''}`
      now.add(key)
      if (told.has(key)) continue
      record({
        regarding: { apiVersion: 'v1', kind: 'Pod', namespace, name, ...(uid !== undefined && { uid }) },
        type: 'Warning',
        reason: 'NotInjected',
        note: `Namespace ${namespace} is in the mesh, and this pod has no sidecar: nothing protects it. Restart it.`,
      })
    }
    told = now
  }
}
