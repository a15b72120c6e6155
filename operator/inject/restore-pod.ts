import { decode } from '../../contract/codec.ts'
import { INIT_CONTAINER, POD_ENV, PodSidecar, SIDECAR_CONTAINER } from '../../contract/pod.ts'
import { fail, type Issue, issue, type Result } from '../../model/result.ts'
import { INJECTED_ANNOTATION } from './annotations.ts'
import type { ResourceRequirements } from './context.ts'
import type { ContainerObject, PodObject, PodObjectSpec } from './pod-object.ts'
import { restoreProbes } from './probes.ts'
import { CREDENTIALS_VOLUME, OWN_POD_NAME, STATE_VOLUME } from './sidecar-containers.ts'

/** A pod as it was before it was injected, and what a new injection is to keep of the former one. */
export interface RestoredPod {
  readonly pod: PodObject
  /** Why it is not wholly what it was: probes that nobody knows any more. */
  readonly issues: readonly Issue[]
  readonly kept: {
    readonly probeKey?: string
    readonly sidecarResources?: ResourceRequirements
    readonly initResources?: ResourceRequirements
  }
}

/**
 * Takes out what injection put in. A pod that does not say to be injected stays as it is: whatever in it has a name of
 * ours then is for `judgePod` to refuse.
 */
export function restorePod(pod: PodObject): RestoredPod {
  const { metadata = {}, spec } = pod
  const { [INJECTED_ANNOTATION]: mark, ...annotations } = metadata.annotations ?? {}
  if (mark === undefined) return { pod, issues: [], kept: {} }

  const sidecar = spec.initContainers?.find(({ name }) => name === SIDECAR_CONTAINER)
  const init = spec.initContainers?.find(({ name }) => name === INIT_CONTAINER)
  const read = sidecar === undefined ? undefined : toldOf(sidecar)
  const told = read?.ok === true ? read.value : undefined

  const isOurs = ({ name }: { readonly name: string }) =>
    name === SIDECAR_CONTAINER || name === INIT_CONTAINER || name === STATE_VOLUME || name === CREDENTIALS_VOLUME
  const bare: PodObject = {
    ...pod,
    metadata: withOptional(metadata, 'annotations', Object.keys(annotations).length > 0 ? annotations : undefined),
    spec: without(without(spec, 'initContainers', isOurs), 'volumes', isOurs),
  }
  const { pod: restored, issues } = restoreProbes(bare, told?.probes ?? [])
  return {
    pod: restored,
    issues: read?.ok === false ? read.issues : issues,
    kept: {
      ...(told?.probeKey !== undefined && { probeKey: told.probeKey }),
      ...(sidecar?.resources !== undefined && { sidecarResources: sidecar.resources }),
      ...(init?.resources !== undefined && { initResources: init.resources }),
    },
  }
}

function toldOf({ env = [] }: ContainerObject): Result<PodSidecar> {
  const text = env.find(({ name }) => name === POD_ENV.sidecar)?.value ?? ''
  const decoded = decode(PodSidecar, text.replaceAll(OWN_POD_NAME, 'pod'))
  if (decoded.ok) return decoded
  const [found] = decoded.issues
  const problem = issue(
    'not-as-injected',
    'spec.initContainers',
    `${POD_ENV.sidecar} of ${SIDECAR_CONTAINER} cannot be read (${[found?.path, found?.message].filter(Boolean).join(' ')}), so that what the pod was before is not known`,
    'inject the pod as it was before',
  )
  return fail(problem)
}

function without(
  spec: PodObjectSpec,
  list: 'initContainers' | 'volumes',
  isOurs: (item: { readonly name: string }) => boolean,
): PodObjectSpec {
  const kept = (spec[list] ?? []).filter((item: { readonly name: string }) => !isOurs(item))
  return withOptional(spec, list, kept.length > 0 ? kept : undefined)
}

/** The object with a member set, or without it. */
function withOptional<T extends object>(value: T, name: keyof T, member: T[keyof T] | undefined): T {
  const { [name]: _before, ...rest } = value
  return (member === undefined ? rest : { ...rest, [name]: member }) as T
}
