import { randomBytes } from 'node:crypto'
import { fail, issue, type Result, under } from '../../model/result.ts'
import type { InjectionContext, InjectorSettings } from '../inject/context.ts'
import { injectPod } from '../inject/inject-pod.ts'
import { optOutsOf } from '../inject/opt-outs.ts'
import { type PodObject, readPodObject } from '../inject/pod-object.ts'
import { reviewPod, reviewPodChange } from '../inject/review-pod.ts'
import { MESH_CONFIG_NAME } from '../resources/mesh-config.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { SYSTEM_NAMESPACE } from '../translate/gateways.ts'
import { namespaceLabels } from '../translate/namespace.ts'
import { type AdmissionHandler, type AdmissionRequest, judged } from './admission-review.ts'
import { jsonPatch } from './json-patch.ts'
import type { AdmissionMetrics } from './metrics.ts'

/** What the webhooks for pods need to know. */
export interface PodHandlersOptions {
  /** For the opt-outs of MeshConfig, and labels of namespaces. */
  readonly snapshot: () => Snapshot
  readonly settings: InjectorSettings
  readonly metrics: Pick<AdmissionMetrics, 'injections'>
}

/** The pods that everything else hangs on, our own included, are not for the mesh to refuse, whatever a webhook configuration says. */
const UNTOUCHED_NAMESPACES: ReadonlySet<string> = new Set([
  SYSTEM_NAMESPACE,
  'kube-node-lease',
  'kube-public',
  'kube-system',
])

/** Answers with the patch that puts the sidecar into a new pod. */
export function createInjectHandler(options: PodHandlersOptions): AdmissionHandler {
  const { injections } = options.metrics
  return (request) => {
    if (UNTOUCHED_NAMESPACES.has(request.namespace) || request.operation !== 'CREATE') return judged([])
    const read = podOf(request, 'object')
    const injection = read.ok ? injectPod(read.value, contextOf(request, options)) : read
    if (!read.ok || !injection.ok) {
      injections.handle({ outcome: 'refused' }).add()
      return judged(injection.ok ? [] : injection.issues)
    }
    const { pod, isInjected, warnings } = injection.value
    injections.handle({ outcome: isInjected ? 'injected' : 'left-alone' }).add()
    return { allowed: true, patch: isInjected ? jsonPatch(read.value, pod) : [], warnings }
  }
}

/** Answers whether a pod may be stored as every webhook has left it, and whether it may be changed (T28). */
export function createPodReviewHandler(options: PodHandlersOptions): AdmissionHandler {
  return (request) => {
    if (UNTOUCHED_NAMESPACES.has(request.namespace)) return judged([])
    if (request.operation !== 'CREATE' && request.operation !== 'UPDATE') return judged([])
    const context = contextOf(request, options)
    const pod = podOf(request, 'object')
    if (!pod.ok) return judged(pod.issues)
    if (request.operation === 'CREATE') {
      // Warnings were given when the pod was injected.
      return judged(reviewPod(pod.value, context).filter(({ severity }) => severity === 'error'))
    }
    const before = podOf(request, 'oldObject')
    return judged(before.ok ? reviewPodChange(pod.value, before.value, context) : before.issues)
  }
}

function contextOf({ namespace }: AdmissionRequest, { snapshot, settings }: PodHandlersOptions): InjectionContext {
  const now = snapshot()
  return {
    settings,
    namespace: { name: namespace, labels: namespaceLabels(namespace, now.get('Namespace', undefined, namespace)) },
    optOuts: optOutsOf(now.get('MeshConfig', undefined, MESH_CONFIG_NAME)),
    makeProbeKey: () => randomBytes(24).toString('base64url'),
  }
}

function podOf({ kind, ...request }: AdmissionRequest, which: 'object' | 'oldObject'): Result<PodObject> {
  if (kind.group !== '' || kind.kind !== 'Pod') {
    return fail(issue('not-a-resource', '', `is a ${kind.kind}, and this webhook is for pods`, 'mend its rules'))
  }
  const read = readPodObject(request[which])
  return read.ok || which === 'object' ? read : fail(...read.issues.map((found) => under('before', found)))
}
