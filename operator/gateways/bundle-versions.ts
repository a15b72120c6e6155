import type { Clock } from '../../runtime/clock.ts'
import type { KubernetesClient } from '../kubernetes/client.ts'
import { isNotFound } from '../kubernetes/errors.ts'
import { type KubernetesObject, recordOf } from '../kubernetes/object.ts'
import { resourcePath } from '../kubernetes/path.ts'
import { BUNDLE_VERSION_ANNOTATION, type BundleVersions, GATEWAY_API_CRDS, OPTIONAL_CRDS } from './class-status.ts'

/** Milliseconds after which they are read again. */
const RELOAD_MS = 600_000

/** Reads of which release Gateway API's definitions are; undefined while they cannot be read. */
export function createBundleVersions(
  client: KubernetesClient,
  clock: Clock,
  signal: AbortSignal,
): () => Promise<BundleVersions | undefined> {
  let last: { readonly at: number; readonly versions: BundleVersions | undefined } | undefined
  return async () => {
    const at = clock.monotonic()
    if (last === undefined || at - last.at >= RELOAD_MS) last = { at, versions: await read(client, signal) }
    return last.versions
  }
}

async function read(client: KubernetesClient, signal: AbortSignal): Promise<BundleVersions | undefined> {
  const versions = new Map<string, string | undefined>()
  try {
    for (const name of GATEWAY_API_CRDS) {
      const apiVersion = 'apiextensions.k8s.io/v1'
      const path = resourcePath({ apiVersion, plural: 'customresourcedefinitions', name })
      const found = await client.request<KubernetesObject>({ path, signal }).catch((error: unknown) => {
        // A kind that a cluster does not have is of no release.
        if (isNotFound(error) && OPTIONAL_CRDS.has(name)) return undefined
        throw error
      })
      if (found === undefined) continue
      const version = recordOf(found.metadata['annotations'])[BUNDLE_VERSION_ANNOTATION]
      versions.set(name, typeof version === 'string' ? version : undefined)
    }
    return versions
  } catch (error) {
    if (signal.aborted) throw error
    return undefined
  }
}
