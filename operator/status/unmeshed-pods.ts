import type { Resource } from '../../model/resource.ts'
import { INJECT_LABEL } from '../inject/annotations.ts'
import { optOutsOf } from '../inject/opt-outs.ts'
import { MESH_CONFIG_NAME, type OptOut } from '../resources/mesh-config.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { SYSTEM_NAMESPACE } from '../translate/gateways.ts'
import type { Translation } from '../translate/translate.ts'

/** A pod without a sidecar in a namespace whose pods are to have one. */
export interface UnmeshedPod {
  readonly namespace: string
  readonly name: string
  readonly uid?: string
  /** The entry of MeshConfig `optOuts` that lets it be so; absent: nothing does, and somebody must act. */
  readonly allowedBy?: string
}

/**
 * Pods that are not protected though their namespace asks for it: made before it did, or while nobody could refuse them, or
 * by whoever may pass the webhook by.
 */
export function unmeshedPods(translation: Translation, snapshot: Snapshot): readonly UnmeshedPod[] {
  const optOuts = optOutsOf(snapshot.get('MeshConfig', undefined, MESH_CONFIG_NAME))
  const found: UnmeshedPod[] = []
  for (const { name: namespace, labels, pods } of translation.memory.namespaces?.facts.values() ?? []) {
    if (namespace === SYSTEM_NAMESPACE || !isOptedIn(labels)) continue
    for (const { key, meshed, leaving } of [...pods.values()].flat()) {
      if (meshed || leaving) continue
      const name = key.slice(namespace.length + 1)
      const pod = snapshot.get('Pod', namespace, name)
      const asked = pod && optOutOf(pod)
      const allowedBy = asked && optOuts.allowing(asked, namespace)
      const uid = pod?.metadata.uid
      found.push({ namespace, name, ...(uid !== undefined && { uid }), ...(allowedBy !== undefined && { allowedBy }) })
    }
  }
  return found.sort((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1))
}

/** What a pod asks for by which it has no sidecar. */
function optOutOf({ metadata, spec }: Resource): OptOut | undefined {
  const { labels = {}, annotations = {} } = metadata
  if (labels[INJECT_LABEL] === 'disabled' || annotations[INJECT_LABEL] === 'disabled') return 'SkipInjection'
  return (spec as { readonly hostNetwork?: unknown } | undefined)?.hostNetwork === true ? 'HostNetwork' : undefined
}

/** Whether the pods of a namespace are to have sidecars. */
export function isOptedIn(labels: Readonly<Record<string, string>>): boolean {
  return labels[INJECT_LABEL] === 'enabled'
}
