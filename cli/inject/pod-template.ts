import type { PodMetadata } from '../../operator/inject/pod-object.ts'

/** Where the pod is that a resource is, or makes. */
export interface PodTemplate {
  /** From the root of the resource; empty for a Pod. */
  readonly path: readonly string[]
  /** Who the API server would say to own its pods, as far as names of workloads go; undefined: the pod stands for itself. */
  readonly owner?: NonNullable<PodMetadata['ownerReferences']>[number]
}

const TEMPLATES: Readonly<Record<string, readonly string[]>> = {
  'v1 Pod': [],
  'v1 ReplicationController': ['spec', 'template'],
  'apps/v1 Deployment': ['spec', 'template'],
  'apps/v1 StatefulSet': ['spec', 'template'],
  'apps/v1 DaemonSet': ['spec', 'template'],
  'apps/v1 ReplicaSet': ['spec', 'template'],
  'batch/v1 Job': ['spec', 'template'],
  'batch/v1 CronJob': ['spec', 'jobTemplate', 'spec', 'template'],
}

/** The pod of a resource; undefined for kinds that have none. */
export function podTemplateOf(resource: unknown): PodTemplate | undefined {
  const { apiVersion, kind, metadata } = (resource ?? {}) as {
    readonly apiVersion?: unknown
    readonly kind?: unknown
    readonly metadata?: { readonly name?: unknown } | null
  }
  const key = `${apiVersion} ${kind}`
  const path = Object.hasOwn(TEMPLATES, key) ? TEMPLATES[key] : undefined
  if (path === undefined) return undefined
  if (path.length === 0) return { path }
  const name = typeof metadata?.name === 'string' ? metadata.name : ''
  return { path, owner: { apiVersion: String(apiVersion), kind: String(kind), name } }
}
