import { randomBytes } from 'node:crypto'
import { resourceKey } from '../../model/resource.ts'
import { type Issue, under } from '../../model/result.ts'
import { jsonPatch } from '../../operator/admission/json-patch.ts'
import type { InjectorSettings } from '../../operator/inject/context.ts'
import { injectPod } from '../../operator/inject/inject-pod.ts'
import type { OptOuts } from '../../operator/inject/opt-outs.ts'
import { type PodObject, readPodObject } from '../../operator/inject/pod-object.ts'
import { SYSTEM_NAMESPACE } from '../../operator/translate/gateways.ts'
import type { ManifestResource } from './manifest.ts'
import { podTemplateOf } from './pod-template.ts'

/** What pods are injected with where no cluster says it. */
export interface OfflineContext {
  readonly settings: InjectorSettings
  /** Of resources that name none. */
  readonly namespace: string
  readonly optOuts: OptOuts
  /** What the files say of a namespace. */
  labelsOf(namespace: string): Readonly<Record<string, string>>
}

/** Namespaces whose pods are never injected. */
const SYSTEM_NAMESPACES: ReadonlySet<string> = new Set([SYSTEM_NAMESPACE, 'kube-system'])

/**
 * Injects the pod that a resource is or makes, in its file. A resource without one stays as it is. Gives what is wrong, and
 * what is allowed though it should not be, each with its place.
 */
export function injectResource(resource: ManifestResource, context: OfflineContext): readonly Issue[] {
  const template = podTemplateOf(resource.value)
  if (template === undefined) return []
  const { kind, metadata } = resource.value as {
    readonly kind: string
    readonly metadata?: { readonly name?: string; readonly namespace?: string }
  }
  const namespace = metadata?.namespace ?? context.namespace
  if (SYSTEM_NAMESPACES.has(namespace)) return []
  const prefix = template.path.join('.')
  const told = (issues: readonly Issue[]) =>
    issues.map((found): Issue => {
      const placed = under(prefix, found)
      const key = resourceKey(kind, namespace, metadata?.name ?? '')
      return { ...placed, resource: key, location: resource.locate(placed.path) }
    })

  const written = template.path.reduce<unknown>(memberOf, resource.value)
  const read = readPodObject(written)
  if (!read.ok) return told(read.issues)
  // The name of the workload is the owner's. It is in what is injected, and not in what is printed.
  const { owner } = template
  const pod: PodObject =
    owner === undefined ? read.value : { ...read.value, metadata: { ...read.value.metadata, ownerReferences: [owner] } }
  const injection = injectPod(pod, {
    settings: context.settings,
    namespace: { name: namespace, labels: context.labelsOf(namespace) },
    optOuts: context.optOuts,
    makeProbeKey: () => randomBytes(24).toString('base64url'),
  })
  if (!injection.ok) return told(injection.issues)
  if (injection.value.isInjected) resource.edit(template.path, jsonPatch(pod, injection.value.pod))
  return told(injection.value.warnings)
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined
}
