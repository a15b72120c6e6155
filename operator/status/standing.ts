import { spokenWith } from '../../contract/encode-for.ts'
import type { DocumentKind } from '../../contract/session.ts'
import { CONTRACT_VERSION, type WorkloadConfig } from '../../contract/workload-config.ts'
import type { SidecarStanding } from '../push/acknowledgements.ts'
import { messageOf } from '../push/desired.ts'
import type { Translation } from '../translate/translate.ts'
import type { WorkloadStanding } from './conditions.ts'

/** The pods of a workload that have not completed. */
export type WorkloadPods = NonNullable<ReturnType<Translation['pods']['get']>>

/**
 * Where the sidecars of a workload stand with its config.
 *
 * A pod counts once, by its newest session: an older one may be of a process that is gone. A pod that is being deleted
 * counts for as long as its sidecar is connected: what it still answers, it answers by what it obeys.
 */
export function standingOf(
  workload: string,
  config: WorkloadConfig | undefined,
  pods: WorkloadPods,
  /** The one that connected last at the end. */
  sessions: readonly SidecarStanding[],
  /** The document that is asked about. Default: the config. */
  document: { readonly kind: DocumentKind; readonly version: string | undefined } = {
    kind: 'config',
    version: config?.version,
  },
): WorkloadStanding {
  const { kind, version: wanted } = document
  const byPod = new Map(sessions.map((sidecar) => [sidecar.pod, sidecar]))
  const counted = pods.filter(({ key, leaving }) => !leaving || byPod.has(key))
  // On a laptop a gateway has no pods, and its replicas are known by their sessions; so it is until its pods are there.
  const isGateway = config?.role === 'gateway'
  const bySession = isGateway && counted.length === 0
  const sidecars = bySession ? [...byPod.values()] : counted.flatMap(({ key }) => byPod.get(key) ?? [])
  return {
    workload,
    selected: bySession ? Math.max(1, sidecars.length) : counted.length,
    acknowledged: sidecars.filter(({ documents }) => documents[kind]?.acknowledged === wanted).length,
    rejected: sidecars.filter(({ documents }) => documents[kind]?.refused?.version === wanted).length,
    unmeshed: isGateway ? 0 : counted.filter(({ meshed }) => !meshed).length,
    unsupported: unsupportedBy(sidecars, config),
  }
}

/** Origins of the policies in `config` that the oldest of these sidecars cannot be told of. */
function unsupportedBy(sidecars: readonly SidecarStanding[], config: WorkloadConfig | undefined): readonly string[] {
  const spoken = spokenWith(Math.min(CONTRACT_VERSION, ...sidecars.map(({ contract }) => contract)))
  if (config === undefined || spoken === undefined || spoken === CONTRACT_VERSION) return []
  return messageOf('config', config, spoken).unsupported
}
