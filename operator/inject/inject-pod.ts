import { decode } from '../../contract/codec.ts'
import { MAX_POD_SIDECAR_BYTES, POD_CONTRACT_VERSION, PodSidecar } from '../../contract/pod.ts'
import { fail, type Issue, issue, ok, type Result, under } from '../../model/result.ts'
import { workloadIdFor } from '../../model/workload-id.ts'
import { ownerName } from '../translate/workloads.ts'
import { INJECT_LABEL, INJECTED_ANNOTATION } from './annotations.ts'
import type { InjectionContext } from './context.ts'
import { annotationPath, readExclusions } from './exclusions.ts'
import { exceptionFor, judgePod } from './judge-pod.ts'
import { readKeystores } from './keystores.ts'
import type { ContainerObject, PodMetadata, PodObject } from './pod-object.ts'
import { podSecurityIssue } from './pod-security.ts'
import { rewriteProbes } from './probes.ts'
import { type RestoredPod, restorePod } from './restore-pod.ts'
import {
  type ContainerParts,
  initContainer,
  OWN_POD_NAME,
  sidecarContainer,
  sidecarVariable,
  sidecarVolumes,
  type Told,
} from './sidecar-containers.ts'
import { readWorkers } from './workers.ts'

/** What becomes of a pod. */
export interface Injection {
  readonly pod: PodObject
  /** False for a pod that whoever owns the mesh lets be without a sidecar. */
  readonly isInjected: boolean
  /** What is as it should not be, and allowed. */
  readonly warnings: readonly Issue[]
}

/**
 * Puts the sidecar into a pod: first the container that writes the rules of capture, then the sidecar, then whatever the
 * pod brings. Pure but for `makeProbeKey`; the pod that is handed in is not changed.
 *
 * To inject a pod again gives the same pod, be it with the same settings or not with those of the first time: what the
 * first time put in is taken out before. Fails with every reason for which a pod cannot be in the mesh, paths from the root
 * of the pod.
 */
export function injectPod(pod: PodObject, context: InjectionContext): Result<Injection> {
  const { pod: bare, kept, issues: restoreIssues } = restorePod(pod)
  if (restoreIssues.length > 0) return fail(...restoreIssues)

  const left = leftAlone(bare, context)
  if (left !== undefined) return left

  const { exclude, issues: exclusionIssues } = readExclusions(bare.metadata?.annotations ?? {}, context)
  const workers = readWorkers(bare.metadata?.annotations ?? {})
  const keystores = readKeystores(bare.metadata?.annotations ?? {}, bare.spec.volumes ?? [])
  const security = podSecurityIssue(context.namespace)
  const probeKey = kept.probeKey ?? context.makeProbeKey()
  const { pod: rewritten, probes, issues: probeIssues } = rewriteProbes(bare, probeKey)
  const workload = workloadOf(bare.metadata ?? {}, context.namespace.name)
  const found = [
    ...(security === undefined ? [] : [security]),
    ...judgePod(bare, context),
    ...exclusionIssues,
    ...(workers.ok ? [] : workers.issues),
    ...(keystores.ok ? [] : keystores.issues),
    ...probeIssues,
    ...(workload.ok ? [] : workload.issues),
  ]
  const errors = found.filter(({ severity }) => severity === 'error')
  if (errors.length > 0 || !workload.ok || !workers.ok || !keystores.ok) return fail(...errors)

  const { trustDomain, operator, metrics, drainSeconds, decisionLog, logLevel } = context.settings
  const told: Told = {
    contract: POD_CONTRACT_VERSION,
    workload: workload.value,
    role: 'sidecar',
    trustDomain,
    serviceAccount: bare.spec.serviceAccountName || bare.spec.serviceAccount || 'default',
    operator: { ...operator },
    probeKey,
    probes: [...probes],
    exclude,
    metrics,
    ...(workers.value !== undefined && { workers: workers.value }),
    ...(keystores.value !== undefined && { keystores: true }),
    drainSeconds,
    decisionLog,
    logLevel,
  }
  const untold = whyUntold(told)
  if (untold !== undefined) return fail(untold)
  const parts = {
    settings: context.settings,
    told,
    ...(keystores.value !== undefined && { keystores: keystores.value }),
  }
  const injected = withSidecar(withPreStop(rewritten, context.settings.preStopSeconds), parts, kept)
  return ok({ pod: injected, isInjected: true, warnings: found })
}

/** Why a sidecar would not take what it is told. All of it that a pod's author wrote is in its probes and hooks. */
function whyUntold(told: Told): Issue | undefined {
  const text = sidecarVariable(told).replaceAll(OWN_POD_NAME, 'pod')
  const bytes = new TextEncoder().encode(text).length
  const fix = 'shorten paths and headers of probes, or have fewer of them'
  if (bytes > MAX_POD_SIDECAR_BYTES) {
    const message = `what the sidecar would have to be told of probes and hooks has ${bytes} bytes, and it takes ${MAX_POD_SIDECAR_BYTES}`
    return issue('malformed-probe', 'spec', message, fix)
  }
  const read = decode(PodSidecar, text)
  if (read.ok) return undefined
  const [found] = read.issues
  const message = `the sidecar would not take what it would be told: ${[found?.path, found?.message].filter(Boolean).join(' ')}`
  return issue('malformed-probe', 'spec', message, fix)
}

/** The injection of a pod that is to have no sidecar; undefined for every other one. */
function leftAlone(pod: PodObject, { namespace, optOuts }: InjectionContext): Result<Injection> | undefined {
  const { labels = {}, annotations = {} } = pod.metadata ?? {}
  const places = [
    { value: labels[INJECT_LABEL], path: `metadata.labels["${INJECT_LABEL}"]` },
    { value: annotations[INJECT_LABEL], path: annotationPath(INJECT_LABEL) },
  ]
  const odd = places.find(({ value }) => value !== undefined && value !== 'disabled' && value !== 'enabled')
  if (odd !== undefined) {
    const message = `'${odd.value}' is neither enabled nor disabled`
    return fail(
      issue('malformed-annotation', odd.path, message, 'leave it out: every pod of this namespace is injected'),
    )
  }
  const asking = places.find(({ value }) => value === 'disabled')
  if (asking !== undefined) {
    const allowed = optOuts.allowing('SkipInjection', namespace.name)
    if (allowed !== undefined) return alone(pod, 'opted-out', asking.path, allowed)
    const message = 'keeps the pod from the mesh, which nobody has allowed here'
    const fix = `leave it out, or ${exceptionFor('SkipInjection', namespace.name)}`
    return fail(issue('opt-out-refused', asking.path, message, fix))
  }
  if (pod.spec.hostNetwork !== true) return undefined
  const allowed = optOuts.allowing('HostNetwork', namespace.name)
  if (allowed !== undefined) return alone(pod, 'opted-out', 'spec.hostNetwork', allowed)
  const message = 'a pod with the network of its node cannot have a sidecar'
  const fix = `leave it out, or ${exceptionFor('HostNetwork', namespace.name)}`
  return fail(issue('host-network', 'spec.hostNetwork', message, fix))
}

function alone(pod: PodObject, code: string, path: string, allowedBy: string): Result<Injection> {
  const message = `the pod has no sidecar, as ${allowedBy} in optOuts of MeshConfig default allows`
  return ok({ pod, isInjected: false, warnings: [{ ...issue(code, path, message), severity: 'warning' }] })
}

/** The name that translation will know the pod's workload by. That of a bare pod may not be known yet. */
function workloadOf(metadata: PodMetadata, namespace: string): Result<string> {
  // A name that the API server makes is there when the pod is reviewed, and not yet when it is injected.
  const isMadeUp = (metadata.generateName ?? '') !== '' || (metadata.name ?? '') === ''
  const resource = { metadata: { ...metadata, name: isMadeUp ? OWN_POD_NAME : (metadata.name ?? '') } }
  const owner = ownerName(resource)
  if (owner === OWN_POD_NAME) return ok(`${namespace}/${OWN_POD_NAME}`)
  const id = workloadIdFor(namespace, owner)
  return id.ok ? id : fail(...id.issues.map((found) => under('metadata', found)))
}

/**
 * Has containers that may serve go on for a while after they were told to end: callers learn of it meanwhile (F19). Pods
 * that run to completion serve nobody.
 */
function withPreStop(pod: PodObject, preStopSeconds: number): PodObject {
  const { restartPolicy = 'Always', terminationGracePeriodSeconds = 30, containers } = pod.spec
  // The app needs most of the grace period for itself.
  const seconds = Math.min(Math.floor(preStopSeconds), Math.floor(terminationGracePeriodSeconds / 3))
  if (seconds < 1 || restartPolicy !== 'Always') return pod
  return {
    ...pod,
    spec: {
      ...pod.spec,
      containers: containers.map((container): ContainerObject => {
        if (container.lifecycle?.preStop !== undefined) return container
        return { ...container, lifecycle: { ...container.lifecycle, preStop: { sleep: { seconds } } } }
      }),
    },
  }
}

function withSidecar(
  pod: PodObject,
  parts: ContainerParts,
  { initResources, sidecarResources }: RestoredPod['kept'],
): PodObject {
  const { metadata = {}, spec } = pod
  return {
    ...pod,
    metadata: {
      ...metadata,
      annotations: { ...metadata.annotations, [INJECTED_ANNOTATION]: String(POD_CONTRACT_VERSION) },
    },
    spec: {
      ...spec,
      initContainers: [
        initContainer({ ...parts, ...(initResources !== undefined && { resources: initResources }) }),
        sidecarContainer({ ...parts, ...(sidecarResources !== undefined && { resources: sidecarResources }) }),
        ...(spec.initContainers ?? []),
      ],
      volumes: [...(spec.volumes ?? []), ...sidecarVolumes(parts.settings)],
    },
  }
}
