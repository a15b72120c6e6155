import type { Resource } from '../../../model/resource.ts'
import { INJECT_LABEL } from '../../../operator/inject/annotations.ts'
import { EXCLUDE_ANNOTATIONS } from '../../../operator/inject/exclusions.ts'
import { optOutsOf } from '../../../operator/inject/opt-outs.ts'
import { podSecurityIssue } from '../../../operator/inject/pod-security.ts'
import { SYSTEM_NAMESPACE } from '../../../operator/translate/gateways.ts'
import { type ClusterFacts, isInScope } from '../facts.ts'
import { isAlive, meshedPodOf } from '../meshed-pod.ts'
import { type Named, nameOf, type Pod } from '../objects.ts'
import { seen, seenOr } from '../read.ts'
import {
  type CheckSection,
  counted,
  error,
  ifSeen,
  info,
  type Judgement,
  judged,
  type Problem,
  skipped,
  some,
  warn,
} from './check.ts'

export const PODS: CheckSection = {
  title: 'Namespaces and pods',
  checks: [
    {
      id: 'namespaces',
      title: 'some namespace is in the mesh',
      judge(facts) {
        return ifSeen(facts.namespaces, 'namespace', () => {
          const names = optedIn(facts).map(({ metadata }) => metadata.name)
          if (names.length > 0) return judged([], some(names))
          const place = facts.scope ?? 'NAMESPACE'
          const message = `no ${facts.scope === undefined ? 'namespace has' : `pod of ${place} is injected: it lacks`} the label ${INJECT_LABEL}: enabled`
          return judged([warn(undefined, message, `kubectl label namespace ${place} ${INJECT_LABEL}=enabled`)])
        })
      },
    },
    { id: 'pod-security', title: 'Pod Security lets pods be injected', judge: judgePodSecurity },
    { id: 'pods-injected', title: 'every pod of the mesh has a sidecar', judge: judgeInjected },
    { id: 'pods-ready', title: 'every pod of the mesh is ready', judge: judgePodsReady },
    { id: 'opt-outs', title: 'nothing is kept from the mesh', judge: judgeOptOuts },
  ],
}

function optedIn(facts: ClusterFacts): readonly Named[] {
  return seenOr(facts.namespaces, []).filter(
    ({ metadata: { name, labels } }) =>
      labels?.[INJECT_LABEL] === 'enabled' && name !== SYSTEM_NAMESPACE && isInScope(facts, name),
  )
}

function judgePodSecurity(facts: ClusterFacts): Judgement {
  const namespaces = optedIn(facts)
  if (namespaces.length === 0) return skipped('no namespace is in the mesh')
  const problems = namespaces.flatMap(({ metadata: { name, labels = {} } }): Problem[] => {
    const found = podSecurityIssue({ name, labels })
    return found === undefined ? [] : [error(`Namespace/${name}`, found.message, found.fix)]
  })
  return judged(problems)
}

/** Pods of the namespaces that are in the mesh, with who allows one to have no sidecar. */
function unmeshedPods(facts: ClusterFacts) {
  const names = new Set(optedIn(facts).map(({ metadata }) => metadata.name))
  const optOuts = optOutsOf(seen(facts.meshConfig) as unknown as Resource | undefined)
  return seenOr(facts.pods, [])
    .filter((pod) => names.has(pod.metadata.namespace ?? '') && isAlive(pod) && meshedPodOf(pod) === undefined)
    .map((pod) => {
      const wanted = optOutOf(pod)
      const allowedBy = wanted && optOuts.allowing(wanted, pod.metadata.namespace ?? '')
      return { pod, wanted, allowedBy }
    })
}

function optOutOf({ metadata: { labels = {}, annotations = {} }, spec }: Pod) {
  if (labels[INJECT_LABEL] === 'disabled' || annotations[INJECT_LABEL] === 'disabled') return 'SkipInjection'
  return spec?.hostNetwork === true ? 'HostNetwork' : undefined
}

function judgeInjected(facts: ClusterFacts): Judgement {
  return ifSeen(facts.pods, 'pod', (pods) => {
    if (optedIn(facts).length === 0) return skipped('no namespace is in the mesh')
    const problems = unmeshedPods(facts).flatMap(({ pod, wanted, allowedBy }): Problem[] => {
      if (allowedBy !== undefined) return []
      const asked =
        wanted === undefined
          ? 'was made before its namespace was in the mesh, or while nobody could refuse it'
          : `asks for ${wanted}, which no entry of optOuts allows`
      const { namespace = '', name } = pod.metadata
      const message = `has no sidecar and nothing protects it: it ${asked}`
      const fix = `have it made anew: kubectl -n ${namespace} delete pod ${name}, or rollout restart of what owns it`
      return [error(`Pod/${nameOf(pod)}`, message, fix)]
    })
    const meshed = pods.filter((pod) => isInScope(facts, pod.metadata.namespace) && meshedPodOf(pod) !== undefined)
    return judged(problems, counted(meshed.length, 'pod'))
  })
}

/** Of the applications: a sidecar that is not ready is told of by itself. */
function judgePodsReady(facts: ClusterFacts): Judgement {
  return ifSeen(facts.pods, 'pod', (pods) => {
    const names = new Set(optedIn(facts).map(({ metadata }) => metadata.name))
    const meshed = pods.filter((pod) => names.has(pod.metadata.namespace ?? '') && meshedPodOf(pod) !== undefined)
    if (meshed.length === 0) return skipped('no pod is in the mesh')
    const problems = meshed.flatMap((pod): Problem[] => {
      if ((pod.status?.conditions ?? []).some(({ type, status }) => type === 'Ready' && status === 'True')) return []
      const { namespace = '', name } = pod.metadata
      const message = `is not ready${whyNotReady(pod)}: requests for it are answered 503 no-endpoints where no other pod is`
      return [warn(`Pod/${nameOf(pod)}`, message, `kubectl -n ${namespace} describe pod ${name}`)]
    })
    return judged(problems, counted(meshed.length, 'pod'))
  })
}

function whyNotReady({ status }: Pod): string {
  const waits = (status?.containerStatuses ?? []).find(({ ready }) => ready !== true)
  if (waits === undefined) return ''
  const reason = waits.state?.waiting?.reason ?? waits.state?.terminated?.reason
  return reason === undefined ? ` (${waits.name})` : ` (${waits.name}: ${reason})`
}

function judgeOptOuts(facts: ClusterFacts): Judgement {
  return ifSeen(facts.pods, 'pod', (pods) => {
    if (optedIn(facts).length === 0) return skipped('no namespace is in the mesh')
    const skippedPods = unmeshedPods(facts).flatMap(({ pod, wanted, allowedBy }) =>
      allowedBy === undefined
        ? []
        : [info(`Pod/${nameOf(pod)}`, `has no sidecar (${wanted}), as optOuts ${allowedBy} of MeshConfig allows`)],
    )
    const names = new Set(optedIn(facts).map(({ metadata }) => metadata.name))
    const excluded = pods
      .filter((pod) => names.has(pod.metadata.namespace ?? '') && isAlive(pod))
      .flatMap((pod): Problem[] => {
        const found = Object.values(EXCLUDE_ANNOTATIONS).flatMap((annotation) => {
          const value = pod.metadata.annotations?.[annotation]
          return value === undefined || value.trim() === '' ? [] : [`${annotation}: ${value}`]
        })
        if (found.length === 0) return []
        return [info(`Pod/${nameOf(pod)}`, `keeps traffic from its sidecar: ${found.join('; ')}`)]
      })
    return judged([...skippedPods, ...excluded])
  })
}
