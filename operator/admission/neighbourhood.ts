import { parseLabelSelector } from '../../model/match/labels.ts'
import type { LabelSelector, Resource, TargetRef } from '../../model/resource.ts'
import { KINDS } from '../resources/kinds.ts'
import { type Snapshot, type StoredSnapshot, snapshotOf } from '../store/snapshot.ts'
import { namespaceLabels } from '../translate/namespace.ts'

/** Namespaces in which a MeshSecurityPolicy is tried; the first by name. What is wrong with it is so in each. */
const MAX_NAMESPACES = 8

/**
 * A snapshot of all that may say something about one policy, with the policy in it as it is to be: what answers a question
 * of the API server costs what a namespace holds, and not what the cluster does.
 */
export function neighbourhoodOf(resource: Resource, snapshot: Snapshot): StoredSnapshot {
  const namespaces = namespacesAround(resource, snapshot)
  const atGateways = namespaces.length > 0 && reachesGateways(resource)
  const around = KINDS.flatMap(({ kind, namespaced }): readonly Resource[] => {
    if (kind === 'Namespace') {
      if (atGateways) return snapshot.ofKind(kind)
      return namespaces.flatMap((name) => snapshot.get(kind, undefined, name) ?? [])
    }
    if (kind === 'Gateway' && atGateways) return snapshot.ofKind(kind)
    if (!namespaced) return snapshot.ofKind(kind)
    return namespaces.flatMap((namespace) => snapshot.inNamespace(kind, namespace))
  })
  return snapshotOf([...around, resource])
}

function namespacesAround({ kind, metadata, spec }: Resource, snapshot: Snapshot): readonly string[] {
  if (metadata.namespace !== undefined) return [metadata.namespace]
  if (kind !== 'MeshSecurityPolicy') return []
  const { namespaceSelector = {} } = (spec ?? {}) as { readonly namespaceSelector?: LabelSelector }
  const selects = parseLabelSelector(namespaceSelector)
  if (!selects.ok) return []
  return snapshot
    .namespaces()
    .filter((name) => selects.value(namespaceLabels(name, snapshot.get('Namespace', undefined, name))))
    .slice(0, MAX_NAMESPACES)
}

function reachesGateways({ spec }: Resource): boolean {
  const { targetRefs = [], roles = [] } = (spec ?? {}) as {
    readonly targetRefs?: readonly TargetRef[]
    readonly roles?: readonly string[]
  }
  return roles.includes('Gateway') || targetRefs.some(({ kind }) => kind !== 'Service' && kind !== 'Pod')
}
