import type { Resource } from '../model/resource.ts'
import { GENERATE_ANNOTATION, parseGenerators } from './dev/generate.ts'

/** As long as a text that was made: what it is, nobody knows before it is. */
const PLACEHOLDER = btoa('made-when-the-mesh-starts-for-the-first-time')

const known = new WeakMap<Resource, Resource>()

/** The Secret as it will be once its values are made, for whoever asks what a mesh would make of it before there is one. */
export function withGenerated(resource: Resource): Resource {
  if (resource.kind !== 'Secret' || resource.data !== undefined || resource.stringData !== undefined) return resource
  const annotation = resource.metadata.annotations?.[GENERATE_ANNOTATION]
  const before = known.get(resource)
  if (annotation === undefined || before !== undefined) return before ?? resource
  const generators = parseGenerators(annotation)
  const keys = generators.ok ? [...generators.value.keys()] : []
  const filled = { ...resource, data: Object.fromEntries(keys.map((key) => [key, PLACEHOLDER])) }
  known.set(resource, filled)
  return filled
}
