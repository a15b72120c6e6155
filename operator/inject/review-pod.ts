import { INIT_CONTAINER, SIDECAR_CONTAINER } from '../../contract/pod.ts'
import { type Issue, issue } from '../../model/result.ts'
import { isSame } from '../../model/same.ts'
import type { InjectionContext } from './context.ts'
import { injectPod } from './inject-pod.ts'
import { judgePod } from './judge-pod.ts'
import { containersOf, isReservedName } from './pod-containers.ts'
import type { ContainerObject, PodObject } from './pod-object.ts'
import { restorePod } from './restore-pod.ts'
import { CREDENTIALS_VOLUME, STATE_VOLUME } from './sidecar-containers.ts'

/**
 * Judges a pod as it is about to be stored, after every other webhook (T28): it must be as injection makes it. Errors are
 * refusals.
 */
export function reviewPod(pod: PodObject, context: InjectionContext): readonly Issue[] {
  const injection = injectPod(pod, context)
  if (!injection.ok) return injection.issues
  const { pod: wanted, isInjected, warnings } = injection.value
  return isInjected ? [...warnings, ...differences(wanted, pod)] : warnings
}

/**
 * Judges a change of a pod, ephemeral containers included: it may not make the pod worse. What the pod was allowed to be
 * when it was created (by an operator before this one, or before the namespace opted in) it may go on to be, or nobody could
 * take a finalizer off.
 */
export function reviewPodChange(pod: PodObject, before: PodObject, context: InjectionContext): readonly Issue[] {
  // A pod without a sidecar has nothing that one could get round.
  if (!before.spec.initContainers?.some(({ name }) => name === SIDECAR_CONTAINER)) return []
  const known = new Set(standing(before, context).map(keyOf))
  return [...standing(pod, context).filter((found) => !known.has(keyOf(found))), ...changesOfOurs(pod, before, context)]
}

function standing(pod: PodObject, context: InjectionContext): readonly Issue[] {
  return judgePod(restorePod(pod).pod, context)
}

function keyOf({ code, path, message }: Issue): string {
  return `${code} ${path} ${message}`
}

/** Our containers stay as they are; only their image may become the one that is injected now. */
function changesOfOurs(pod: PodObject, before: PodObject, { settings }: InjectionContext): readonly Issue[] {
  const now = new Map(
    containersOf(pod).map(({ container, list, path }) => [`${list} ${container.name}`, { container, path }]),
  )
  return containersOf(before).flatMap(({ container: former, list, path }) => {
    if (!isReservedName(former.name)) return []
    const there = now.get(`${list} ${former.name}`)
    if (there === undefined) return [notAsInjected(path, `${former.name} is gone`)]
    const { image, resources: _now, ...rest } = there.container
    const { image: formerImage, resources: _then, ...formerRest } = former
    if (image !== formerImage && image !== settings.image) {
      return [notAsInjected(`${there.path}.image`, `is ${image}, not ${settings.image}`)]
    }
    return isSame(rest, formerRest) ? [] : [notAsInjected(there.path, `${former.name} is not as it was`)]
  })
}

function notAsInjected(path: string, message: string): Issue {
  return issue(
    'not-as-injected',
    path,
    message,
    'what changes pods after the webhook hauberk-inject has to leave containers and volumes of the mesh as they are',
  )
}

/** What another webhook, or the pod's author, has made of what injection makes. */
function differences(wanted: PodObject, pod: PodObject): readonly Issue[] {
  const found: Issue[] = []
  for (const [i, name] of [INIT_CONTAINER, SIDECAR_CONTAINER].entries()) {
    const path = `spec.initContainers[${i}]`
    const expected = wanted.spec.initContainers?.[i]
    const actual = pod.spec.initContainers?.[i]
    if (actual?.name !== name || expected === undefined) found.push(notAsInjected(path, `is not ${name}`))
    else
      found.push(
        ...differencesOfOurs(expected, actual).map((at) => notAsInjected(`${path}.${at}`, 'is not as it was injected')),
      )
  }
  for (const name of [STATE_VOLUME, CREDENTIALS_VOLUME]) {
    const [expected, actual] = [wanted, pod].map(({ spec }) => spec.volumes?.find((volume) => volume.name === name))
    if (!isSame(expected, actual)) found.push(notAsInjected('spec.volumes', `${name} is not as it was injected`))
  }
  const byPath = new Map(containersOf(wanted).map(({ container, list }) => [`${list} ${container.name}`, container]))
  for (const { container, list, path } of containersOf(pod)) {
    if (isReservedName(container.name)) continue
    const expected = byPath.get(`${list} ${container.name}`)
    for (const at of ['startupProbe', 'readinessProbe', 'livenessProbe'] as const) {
      if (!isSame(expected?.[at], container[at]))
        found.push(notAsInjected(`${path}.${at}`, 'does not go through the sidecar'))
    }
    for (const at of ['postStart', 'preStop'] as const) {
      const handler = container.lifecycle?.[at]
      // A preStop that somebody has taken out again is nobody's loss but the app's.
      if (handler !== undefined && !isSame(expected?.lifecycle?.[at], handler)) {
        found.push(notAsInjected(`${path}.lifecycle.${at}`, 'does not go through the sidecar'))
      }
    }
  }
  return found
}

/** Fields that make another program of a container, or another thing of its end. */
const OVERRIDES = [
  'command',
  'envFrom',
  'volumeDevices',
  'workingDir',
  'stdin',
  'tty',
  'restartPolicy',
  'restartPolicyRules',
  'lifecycle',
  'startupProbe',
  'readinessProbe',
  'livenessProbe',
] as const

/** What an API server or a policy engine may add to a `securityContext` without loosening it. */
const CONFINING: ReadonlySet<string> = new Set(['appArmorProfile', 'procMount', 'seLinuxOptions'])

/** Where the API server mounts the token of the pod's service account, in every container. */
const API_TOKEN_PATH = '/var/run/secrets/kubernetes.io/serviceaccount'

/**
 * Names of the fields in which one of our containers is not what it should be. Resources are whoever's (a LimitRange, an
 * autoscaler): too few of them close the pod and open nothing. Fields that are not known here are the API server's own
 * defaults.
 */
function differencesOfOurs(expected: ContainerObject, actual: ContainerObject): readonly string[] {
  const { resources: _resources, securityContext, volumeMounts, ...rest } = expected
  const wrong = Object.keys(rest).filter((field) => !isSame(rest[field], actual[field]))
  wrong.push(...OVERRIDES.filter((field) => isSet(actual[field]) && !Object.hasOwn(expected, field)))
  const context = Object.fromEntries(
    Object.entries(actual.securityContext ?? {}).filter(
      ([name, value]) => !CONFINING.has(name) || value === 'Unmasked',
    ),
  )
  if (!isSame(securityContext, context)) wrong.push('securityContext')
  const mounts = (actual.volumeMounts ?? []).filter(({ mountPath }) => mountPath !== API_TOKEN_PATH)
  if (!isSame(volumeMounts ?? [], mounts)) wrong.push('volumeMounts')
  return wrong
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0) && value !== ''
}
