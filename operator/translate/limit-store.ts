import type { WorkloadConfig } from '../../contract/workload-config.ts'
import type { ServiceReference } from '../../model/backend-calls.ts'
import type { Origin } from '../../model/origin.ts'
import { fail, type Issue, issue, type Result, under } from '../../model/result.ts'
import { MESH_CONFIG_NAME } from '../resources/mesh-config.ts'
import type { FoundUpstream } from './backend-references.ts'
import type { References } from './references.ts'
import { sharesLimits } from './replicas.ts'

/** Where shared limits are counted, if MeshConfig says so. */
export interface LimitStoreSettings {
  readonly limitStore?: ServiceReference
}

/** The store of a workload's limits; undefined: it has none that replicas share, or there is no store. */
export function limitStoreOf(
  config: WorkloadConfig,
  settings: LimitStoreSettings,
  references: References,
): WorkloadConfig['limitStore'] {
  if (settings.limitStore === undefined || !sharesLimits(config)) return undefined
  const found = find(settings.limitStore, references)
  return found.ok ? { upstream: found.value.upstream } : undefined
}

/** Why limits cannot be counted where MeshConfig says. */
export function limitStoreIssues({ limitStore }: LimitStoreSettings, references: References): readonly Issue[] {
  if (limitStore === undefined) return []
  const found = find(limitStore, references)
  return found.ok ? [] : found.issues.map((each) => under('spec.rateLimitStore.redis.backendRef', each))
}

/** Who counts for all of them has to prove who it is, and to be told who asks. */
function find(reference: ServiceReference, references: References): Result<FoundUpstream> {
  const found = references.upstream({ ...reference, protocol: 'tcp' }, MESH)
  if (!found.ok || found.value.config.tls === 'mesh') return found
  const { name, namespace } = reference
  const message = `names Service ${namespace}/${name}, whose pods have no sidecar`
  return fail(issue('backend-not-resolved', '', message, 'give its pods a sidecar'))
}

const MESH: Origin = { kind: 'MeshConfig', name: MESH_CONFIG_NAME, generation: 0 }
