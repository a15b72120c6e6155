import type { Member } from '../identity/rotation/advance.ts'
import type { ReplicaState } from '../replicas/replica-table.ts'
import { type Pod, readPod } from '../resources/pod.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { OPERATOR_SERVICE_ACCOUNT, SYSTEM_NAMESPACE } from '../translate/gateways.ts'

/**
 * Every operator there is, for the replacement of roots: this one, those that tell it, and those that run and do not (yet).
 */
export function operatorMembers(
  /** Of this operator's pod. */
  name: string,
  self: Member,
  replicas: readonly ReplicaState[],
  snapshot: Snapshot,
): readonly Member[] {
  const others = replicas.filter(({ replica }) => replica !== name)
  const known = new Set([name, ...others.map(({ replica }) => replica)])
  return [
    self,
    ...others.map(({ replica, self: said }) => memberOf(replica, said && new Set(said.trusts), said?.root)),
    ...runningOperators(snapshot)
      .filter((each) => !known.has(each))
      .map((each) => memberOf(each, undefined, undefined)),
  ]
}

function memberOf(name: string, trusts: Member['trusts'], root: Member['root']): Member {
  return { name: `operator ${name}`, trusts, root }
}

/** How many pods of the operator run, those that are about to go included: they still serve. */
export function liveOperators(snapshot: Snapshot): number {
  return snapshot.inNamespace('Pod', SYSTEM_NAMESPACE).filter((resource) => {
    const read = readPod(resource as Pod & typeof resource)
    if (!read.ok) return false
    const { spec, status } = read.value
    return spec.serviceAccountName === OPERATOR_SERVICE_ACCOUNT && status?.phase === 'Running'
  }).length
}

/** Names of the operator's pods that run and are not about to go. */
function runningOperators(snapshot: Snapshot): readonly string[] {
  return snapshot.inNamespace('Pod', SYSTEM_NAMESPACE).flatMap((resource) => {
    const read = readPod(resource as Pod & typeof resource)
    if (!read.ok || resource.metadata.deletionTimestamp !== undefined) return []
    const { spec, status } = read.value
    return spec.serviceAccountName === OPERATOR_SERVICE_ACCOUNT && status?.phase === 'Running'
      ? [resource.metadata.name]
      : []
  })
}
