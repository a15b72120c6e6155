import { decode } from '../../contract/codec.ts'
import { POD_ENV, PodSidecar, SIDECAR_CONTAINER } from '../../contract/pod.ts'
import { spiffeIdFor } from '../../model/spiffe-id.ts'
import { gatewayOf } from '../../operator/gateways/labels.ts'
import { GATEWAY_CONTAINER } from '../../operator/gateways/objects.ts'
import { SYSTEM_NAMESPACE } from '../../operator/translate/gateways.ts'
import type { ContainerState, Pod } from './objects.ts'

/** A pod with a sidecar, or of a gateway. */
export interface MeshedPod {
  readonly namespace: string
  readonly name: string
  /** `namespace/name`; undefined when what its sidecar is told cannot be read. */
  readonly workload: string | undefined
  readonly role: 'sidecar' | 'gateway'
  /** The Gateway (`namespace/name`) that a gateway's pod is kept for. */
  readonly gateway?: string
  /** The container of the sidecar, or of the gateway. */
  readonly container: string
  /** Who it should be. */
  readonly spiffeId: string | undefined
  readonly image: string | undefined
  /** Whether the sidecar runs, so that it can be asked. */
  readonly isRunning: boolean
  /** Of the sidecar's container, where the kubelet has said something. */
  readonly state: ContainerState | undefined
}

/** Pods that are going, or that have come to their end, are none. */
export function meshedPodOf({ metadata, spec = {}, status = {} }: Pod): MeshedPod | undefined {
  if (!isAlive({ metadata, status })) return undefined
  // In our own namespace only: elsewhere a label is its tenant's.
  const gateway = metadata.namespace === SYSTEM_NAMESPACE ? gatewayOf(metadata.labels) : undefined
  const isSidecar = ({ name }: { readonly name: string }) =>
    name === (gateway === undefined ? SIDECAR_CONTAINER : GATEWAY_CONTAINER)
  const container = [...(spec.initContainers ?? []), ...(spec.containers ?? [])].find(isSidecar)
  if (container === undefined) return undefined
  const states = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])]
  const state = states.find(isSidecar)
  const text = container.env?.find(({ name }) => name === POD_ENV.sidecar)?.value
  const told = text === undefined ? undefined : decode(PodSidecar, text)
  const { namespace = '', name } = metadata
  const id = told?.ok ? spiffeIdFor(told.value.trustDomain, namespace, told.value.serviceAccount) : undefined
  return {
    namespace,
    name,
    workload: told?.ok ? told.value.workload : undefined,
    role: gateway === undefined ? 'sidecar' : 'gateway',
    ...(gateway !== undefined && { gateway }),
    container: container.name,
    spiffeId: id?.ok ? id.value : undefined,
    image: container.image,
    isRunning: state?.state?.running !== undefined,
    state,
  }
}

/** Whether a pod is of a namespace, or serves a Gateway of it. */
export function concerns({ namespace, gateway }: MeshedPod, wanted: string | undefined): boolean {
  return wanted === undefined || namespace === wanted || gateway?.startsWith(`${wanted}/`) === true
}

export function isAlive({ metadata, status }: Pick<Pod, 'metadata' | 'status'>): boolean {
  if (metadata.deletionTimestamp !== undefined) return false
  return status?.phase !== 'Succeeded' && status?.phase !== 'Failed'
}
