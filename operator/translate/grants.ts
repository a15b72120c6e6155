import type { Resource } from '../../model/resource.ts'
import { readReferenceGrant } from '../resources/reference-grant.ts'
import type { Snapshot } from '../store/snapshot.ts'

/** Who refers to what across a border of namespaces. */
export interface CrossReference {
  readonly from: { readonly group: string; readonly kind: string; readonly namespace: string }
  readonly to: { readonly group: string; readonly kind: string; readonly namespace: string; readonly name: string }
}

/**
 * Whether a reference may be followed (T29): within a namespace always; across, only if a ReferenceGrant in the
 * namespace of the target says so. One that cannot be read grants nothing.
 */
export function isGranted(snapshot: Snapshot, { from, to }: CrossReference): boolean {
  if (from.namespace === to.namespace) return true
  return snapshot.inNamespace('ReferenceGrant', to.namespace).some((grant) => grants(grant, { from, to }))
}

function grants(resource: Resource, { from, to }: CrossReference): boolean {
  const read = readReferenceGrant(resource)
  if (!read.ok) return false
  const { spec } = read.value
  return (
    spec.from.some(
      ({ group, kind, namespace }) => group === from.group && kind === from.kind && namespace === from.namespace,
    ) &&
    spec.to.some(
      ({ group, kind, name }) => group === to.group && kind === to.kind && (name === undefined || name === to.name),
    )
  )
}
