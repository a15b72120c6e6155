import { fail, issue, ok, type Result } from '../../model/result.ts'
import { KEYSTORES_ANNOTATION } from './annotations.ts'
import { annotationPath } from './exclusions.ts'
import { isReservedName } from './pod-containers.ts'
import type { VolumeObject } from './pod-object.ts'

/**
 * The volume that a pod wants its identity in; undefined where it does not ask. Only memory that ends with the pod will do:
 * the files hold a private key.
 */
export function readKeystores(
  annotations: Readonly<Record<string, string>>,
  volumes: readonly VolumeObject[],
): Result<string | undefined> {
  const name = annotations[KEYSTORES_ANNOTATION]
  if (name === undefined) return ok(undefined)
  const volume = volumes.find((known) => known.name === name)
  const { medium } = (volume?.['emptyDir'] ?? {}) as { readonly medium?: unknown }
  if (volume !== undefined && medium === 'Memory' && !isReservedName(name)) return ok(name)
  const message = volume === undefined ? `the pod has no volume '${name}'` : `the volume '${name}' is not in memory`
  const fix = 'name a volume of the pod with emptyDir: {medium: Memory}'
  return fail(issue('malformed-annotation', annotationPath(KEYSTORES_ANNOTATION), message, fix))
}
