import { TRUST_ANCHORS_KEY } from '../../../contract/pod.ts'
import { SYSTEM_NAMESPACE } from '../../../operator/translate/gateways.ts'
import { fingerprintsOf } from '../collect.ts'
import type { ClusterFacts } from '../facts.ts'
import { seen, seenOr } from '../read.ts'

/** How the roots of the mesh stand, as its leader says or as it has last written. */
export function authorityOf({ status, meshConfig }: Pick<ClusterFacts, 'status' | 'meshConfig'>) {
  if (!('silent' in status) && status.certificateAuthority !== undefined) return status.certificateAuthority
  return seen(meshConfig)?.status?.certificateAuthority
}

/** Fingerprints of the roots that everybody is to trust; undefined where nobody says. */
export function trustedRoots(facts: ClusterFacts): ReadonlySet<string> | undefined {
  const roots = authorityOf(facts)?.roots?.filter(({ use }) => use !== 'Leaving')
  if (roots !== undefined && roots.length > 0) return new Set(roots.map(({ fingerprint }) => fingerprint))
  const own = seenOr(facts.trustAnchors, []).find(({ metadata }) => metadata.namespace === SYSTEM_NAMESPACE)
  const found = own === undefined ? [] : fingerprintsOf(own.data?.[TRUST_ANCHORS_KEY] ?? '')
  return found.length === 0 ? undefined : new Set(found)
}
