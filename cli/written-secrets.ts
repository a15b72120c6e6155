import { type Resource, resourceKey } from '../model/resource.ts'
import { type Issue, under } from '../model/result.ts'
import { inlineSecrets } from '../operator/inject/inline-secrets.ts'
import { exceptionFor } from '../operator/inject/judge-pod.ts'
import { optOutsOf } from '../operator/inject/opt-outs.ts'
import { readPodObject } from '../operator/inject/pod-object.ts'
import { MESH_CONFIG_NAME } from '../operator/resources/mesh-config.ts'
import type { Snapshot } from '../operator/store/snapshot.ts'

/** Secrets that stand in Deployments of the files, as the webhook for pods would find them in what they make. */
export function writtenSecrets(snapshot: Snapshot): readonly Issue[] {
  const optOuts = optOutsOf(snapshot.get('MeshConfig', undefined, MESH_CONFIG_NAME))
  return snapshot.ofKind('Deployment').flatMap((deployment) => {
    const { name, namespace = 'default' } = deployment.metadata
    const allowed = optOuts.allowing('InlineSecrets', namespace)
    return found(deployment).map((each): Issue => {
      const resource = resourceKey('Deployment', namespace, name)
      if (allowed !== undefined) return { ...each, resource, severity: 'warning' }
      return { ...each, resource, fix: `${each.fix}, or ${exceptionFor('InlineSecrets', namespace)}` }
    })
  })
}

function found({ spec }: Resource): readonly Issue[] {
  const { template } = (spec ?? {}) as { readonly template?: unknown }
  const pod = readPodObject(template)
  return pod.ok ? inlineSecrets(pod.value).map((each) => under('spec.template', each)) : []
}
