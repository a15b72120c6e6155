import type { ContainerObject, PodObject } from './pod-object.ts'

/** A container of a pod, and where it stands in it. */
export interface PlacedContainer {
  readonly container: ContainerObject
  readonly list: ContainerList
  /** `spec.initContainers[0]`. */
  readonly path: string
}

export const CONTAINER_LISTS = ['initContainers', 'containers', 'ephemeralContainers'] as const
export type ContainerList = (typeof CONTAINER_LISTS)[number]

/** Every container of a pod, in the order in which they start. */
export function containersOf({ spec }: PodObject): readonly PlacedContainer[] {
  return CONTAINER_LISTS.flatMap((list) =>
    (spec[list] ?? []).map((container, i) => ({ container, list, path: `spec.${list}[${i}]` })),
  )
}

/** Names that are ours alone, of containers and volumes. */
export function isReservedName(name: string): boolean {
  return name.startsWith('hauberk-')
}
