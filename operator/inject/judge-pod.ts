import { PORTS, SIDECAR_UID, TOKEN_AUDIENCE } from '../../contract/pod.ts'
import { type Issue, issue, under } from '../../model/result.ts'
import type { OptOut } from '../resources/mesh-config.ts'
import type { InjectionContext } from './context.ts'
import { inlineSecrets } from './inline-secrets.ts'
import { containersOf, isReservedName, type PlacedContainer } from './pod-containers.ts'
import type { PodObject, SecurityContext, VolumeObject } from './pod-object.ts'

/**
 * What makes a pod one that could get round its sidecar, or be taken for it (T08). Expects the pod without what injection
 * adds. Errors are refusals; a warning is what an admin-owned exception allows, by name.
 */
export function judgePod(pod: PodObject, { namespace, optOuts }: InjectionContext): readonly Issue[] {
  const exceptional = (optOut: OptOut, found: Issue): Issue => {
    const allowed = optOuts.allowing(optOut, namespace.name)
    if (allowed === undefined) return { ...found, fix: `${found.fix}, or ${exceptionFor(optOut, namespace.name)}` }
    return { ...found, severity: 'warning', fix: `it is allowed by ${allowed} in optOuts of MeshConfig default` }
  }
  return [
    ...ofSpec(pod, exceptional),
    ...twins(pod),
    ...containersOf(pod).flatMap((placed) => ofContainer(placed, exceptional)),
    ...inlineSecrets(pod).map((found) => exceptional('InlineSecrets', found)),
    ...(pod.spec.volumes ?? []).flatMap((volume, i) =>
      ofVolume(volume, exceptional).map((found) => under(`spec.volumes[${i}]`, found)),
    ),
  ]
}

/** What whoever owns the mesh would write. */
export function exceptionFor(optOut: OptOut, namespace: string): string {
  return `have ${optOut} allowed for namespace ${namespace} in optOuts of MeshConfig default`
}

type Exceptional = (optOut: OptOut, found: Issue) => Issue

/**
 * With these a container changes the rules of capture (NET_ADMIN), sends below them (NET_RAW), or is the node's root by
 * another name.
 */
const ESCAPING_CAPABILITIES: ReadonlySet<string> = new Set([
  'ALL',
  'NET_ADMIN',
  'NET_RAW',
  'SYS_ADMIN',
  'SYS_MODULE',
  'SYS_RAWIO',
  'DAC_READ_SEARCH',
  'BPF',
])

const OWN_PORTS: ReadonlyMap<number, string> = new Map(Object.entries(PORTS).map(([name, port]) => [port, name]))

function ofSpec({ spec }: PodObject, exceptional: Exceptional): readonly Issue[] {
  const issues: Issue[] = []
  const { hostPID, shareProcessNamespace, os, securityContext } = spec
  if (hostPID === true) {
    issues.push(
      exceptional(
        'Privileged',
        issue('shared-processes', 'spec.hostPID', 'lets containers see the processes of the node', 'leave it out'),
      ),
    )
  }
  if (shareProcessNamespace === true) {
    const message = 'lets containers see the processes of the sidecar'
    issues.push(
      exceptional('Privileged', issue('shared-processes', 'spec.shareProcessNamespace', message, 'leave it out')),
    )
  }
  if (os !== undefined && os.name !== 'linux') {
    issues.push(issue('unsupported-os', 'spec.os.name', `is ${os.name}: sidecars are for Linux`))
  }
  issues.push(...ofUser(securityContext).map((found) => under('spec.securityContext', found)))
  return issues
}

/** The API server refuses them too. Until it does, probes of two containers would be one. */
function twins(pod: PodObject): readonly Issue[] {
  const names = new Set<string>()
  return containersOf(pod).flatMap(({ container: { name }, path }) => {
    if (names.has(name)) return [issue('duplicate-container', `${path}.name`, `${name} is there twice`)]
    names.add(name)
    return []
  })
}

function ofContainer({ container, path }: PlacedContainer, exceptional: Exceptional): readonly Issue[] {
  const { name, ports = [], securityContext, volumeMounts = [], volumeDevices = [], targetContainerName } = container
  const issues: Issue[] = []
  if (isReservedName(name)) {
    issues.push(issue('reserved-name', 'name', `${name} is a name for containers of the mesh`, 'choose another name'))
  }
  for (const [i, { containerPort }] of ports.entries()) {
    const owner = OWN_PORTS.get(containerPort)
    if (owner === undefined) continue
    const message = `${containerPort} is the ${owner} port of the sidecar, which shares the pod's addresses`
    issues.push(issue('reserved-port', `ports[${i}].containerPort`, message, 'choose another port'))
  }
  for (const [list, mounts] of [
    ['volumeMounts', volumeMounts],
    ['volumeDevices', volumeDevices],
  ] as const) {
    for (const [i, mount] of mounts.entries()) {
      if (!isReservedName(mount.name)) continue
      const message = `${mount.name} is a volume of the sidecar alone`
      issues.push(issue('reserved-name', `${list}[${i}].name`, message, 'take the mount out'))
    }
  }
  if (targetContainerName !== undefined && isReservedName(targetContainerName)) {
    const message = `would see the processes of ${targetContainerName}`
    issues.push(issue('shared-processes', 'targetContainerName', message, 'target a container of the app'))
  }
  issues.push(...ofPrivileges(securityContext).map((found) => exceptional('Privileged', found)))
  issues.push(...ofUser(securityContext).map((found) => under('securityContext', found)))
  return issues.map((found) => under(path, found))
}

function ofPrivileges(securityContext: SecurityContext | undefined): readonly Issue[] {
  const issues: Issue[] = []
  const { privileged, windowsOptions, capabilities } = securityContext ?? {}
  const escapes = (at: string, what: string) =>
    issues.push(issue('escapes-capture', `securityContext.${at}`, `${what} could get round the sidecar`, 'take it out'))
  if (privileged === true) escapes('privileged', 'a privileged container')
  if (windowsOptions?.hostProcess === true) escapes('windowsOptions.hostProcess', 'a process of the host')
  for (const [i, added] of (capabilities?.add ?? []).entries()) {
    const name = added.toUpperCase().replace(/^CAP_/, '')
    if (ESCAPING_CAPABILITIES.has(name)) escapes(`capabilities.add[${i}]`, `a container with ${name}`)
  }
  return issues
}

/** What the sidecar's user sends is not captured: nobody else may be it. */
function ofUser(securityContext: SecurityContext | undefined): readonly Issue[] {
  const { runAsUser, runAsGroup, fsGroup, supplementalGroups = [] } = securityContext ?? {}
  const issues: Issue[] = []
  const taken = (at: string, what: string) =>
    issues.push(
      issue('reserved-uid', at, `${SIDECAR_UID} is the ${what} of the sidecar alone`, 'choose another number'),
    )
  if (runAsUser === SIDECAR_UID) taken('runAsUser', 'user')
  if (runAsGroup === SIDECAR_UID) taken('runAsGroup', 'group')
  if (fsGroup === SIDECAR_UID) taken('fsGroup', 'group')
  for (const [i, group] of supplementalGroups.entries()) {
    if (group === SIDECAR_UID) taken(`supplementalGroups[${i}]`, 'group')
  }
  return issues
}

function ofVolume({ name, projected, hostPath }: VolumeObject, exceptional: Exceptional): readonly Issue[] {
  const issues: Issue[] = []
  if (hostPath !== undefined) {
    // Any of them: what a symbolic link below one leads to is not known here. Pod Security cannot refuse it where it has to
    // let the init container's NET_ADMIN pass.
    const message = 'a directory of the node leads to what sidecars keep and to their tokens'
    issues.push(exceptional('Privileged', issue('escapes-capture', 'hostPath', message, 'take it out')))
  }
  if (isReservedName(name)) {
    issues.push(issue('reserved-name', 'name', `${name} is a name for volumes of the mesh`, 'choose another name'))
  }
  for (const [i, { serviceAccountToken }] of (projected?.sources ?? []).entries()) {
    if (serviceAccountToken?.audience !== TOKEN_AUDIENCE) continue
    const at = `projected.sources[${i}].serviceAccountToken.audience`
    const message = `a token for ${TOKEN_AUDIENCE} is what a certificate of the mesh is given for: it is the sidecar's alone`
    issues.push(issue('reserved-audience', at, message, 'take it out'))
  }
  return issues
}
