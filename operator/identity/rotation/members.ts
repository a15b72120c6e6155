import { SIDECAR_CONTAINER } from '../../../contract/pod.ts'
import type { WorkloadId } from '../../../model/workload-id.ts'
import { parseTrustBundle } from '../../../model/x509/bundle.ts'
import type { Acknowledgements, SidecarStanding } from '../../push/acknowledgements.ts'
import type { Translation } from '../../translate/translate.ts'
import type { Authority } from '../authority.ts'
import { fingerprintOf } from '../root.ts'
import type { ServerIdentity } from '../server-identity.ts'
import type { Member } from './advance.ts'
import type { BundleHistory } from './bundle-history.ts'

export interface MembersOptions {
  readonly translation: Pick<Translation, 'configs' | 'pods'>
  /** What the sidecars of every operator said. */
  readonly acknowledgements: Pick<Acknowledgements, 'of'>
  readonly history: BundleHistory
  /**
   * Whether a meshed pod (`namespace/name`) that is not connected is one to wait for: it runs, and is not about to go. One
   * that was never started has no certificate, and gets a newest one when it is.
   */
  readonly isExpected: (pod: string) => boolean
  /** The pods of a gateway (`namespace/name`), which are no workload's; none on a laptop. */
  readonly gatewayPods: (gateway: WorkloadId) => readonly string[]
}

/** Every sidecar and gateway that is connected, or should be. */
export function membersOf({
  translation,
  acknowledgements,
  history,
  isExpected,
  gatewayPods,
}: MembersOptions): readonly Member[] {
  const members: Member[] = []
  for (const [workload, { role }] of translation.configs) {
    // A pod counts once, by its newest session: an older one may be of a process that is gone.
    const byPod = new Map(acknowledgements.of(workload).map((sidecar) => [sidecar.pod, sidecar]))
    for (const sidecar of byPod.values()) members.push(memberOf(workload, sidecar, history))
    const meshed = (translation.pods.get(workload) ?? []).flatMap((pod) => (pod.meshed ? [pod.key] : []))
    const pods = role === 'gateway' ? gatewayPods(workload) : meshed
    const absent = pods.filter((pod) => !byPod.has(pod) && isExpected(pod))
    for (const pod of absent) members.push({ name: `pod ${pod}`, trusts: undefined, root: undefined, trouble: SILENT })
    if (role === 'gateway' && byPod.size === 0 && absent.length === 0) {
      members.push({ name: `gateway ${workload}`, trusts: undefined, root: undefined })
    }
  }
  return members
}

/** This operator, as others see it. */
export function operatorMember(name: string, authority: Authority, identity: Pick<ServerIdentity, 'root'>): Member {
  return {
    name: `operator ${name}`,
    trusts: new Set(authority.trustBundle().roots.map(fingerprintOf)),
    root: identity.root,
  }
}

/** A container of that name makes a pod one of the mesh, whoever put it there. */
const SILENT = `no operator hears from its container ${SIDECAR_CONTAINER}: mend the pod, or delete it`

/** A place that says whom to trust, by the PEM of its roots. What holds none, or is not there, says nothing. */
export function placeMember(name: string, pems: unknown, trouble?: string): Member {
  const bundle = typeof pems === 'string' ? parseTrustBundle(pems) : undefined
  const trusts = bundle?.ok ? new Set(bundle.value.roots.map(fingerprintOf)) : undefined
  return { name, trusts, root: 'none', ...(trouble !== undefined && { trouble }) }
}

function memberOf(workload: WorkloadId, { pod, root, documents }: SidecarStanding, history: BundleHistory): Member {
  const version = documents.config?.acknowledged
  return {
    name: `pod ${pod}`,
    trusts: version === undefined ? undefined : history.trustedWith(workload, version),
    root,
  }
}
