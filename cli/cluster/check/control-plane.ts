import { OPERATOR_SERVICE_ACCOUNT, SYSTEM_NAMESPACE } from '../../../operator/translate/gateways.ts'
import type { ClusterFacts } from '../facts.ts'
import { conditionOf, nameOf, type Pod } from '../objects.ts'
import { operatorPodsOf } from '../operator-pods.ts'
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

const DEPLOYMENT = `Deployment/${SYSTEM_NAMESPACE}/${OPERATOR_SERVICE_ACCOUNT}`
const LEASE = `Lease/${SYSTEM_NAMESPACE}/${OPERATOR_SERVICE_ACCOUNT}`
const INSTALL = `helm install hauberk charts/hauberk -n ${SYSTEM_NAMESPACE} --create-namespace --wait`
const LOOK = `kubectl -n ${SYSTEM_NAMESPACE} describe pods -l app.kubernetes.io/name=${OPERATOR_SERVICE_ACCOUNT}`

export const CONTROL_PLANE: CheckSection = {
  title: 'Operator',
  checks: [
    {
      id: 'operator-installed',
      title: 'the operator is installed',
      judge({ deployment }) {
        if (deployment.kind === 'absent') {
          return judged([error(DEPLOYMENT, 'is not there: no mesh is installed in this cluster', INSTALL)])
        }
        return ifSeen(deployment, 'operator', ({ metadata: { labels } }) =>
          judged([], labels?.['app.kubernetes.io/version']),
        )
      },
    },
    { id: 'operator-ready', title: 'every replica of the operator is ready', judge: judgeReady },
    { id: 'operator-replicas', title: 'the operator can lose a replica', judge: judgeReplicas },
    {
      id: 'operators-answer',
      title: 'every operator answers',
      judge({ operators }) {
        if (operators.length === 0) return skipped('no operator runs')
        const problems = operators.flatMap(({ pod, readiness }) =>
          readiness.ok
            ? []
            : [error(`Pod/${SYSTEM_NAMESPACE}/${pod}`, `is not ready to serve: ${readiness.why}`, LOOK)],
        )
        return judged(problems, counted(operators.length, 'operator'))
      },
    },
    { id: 'leader', title: 'one operator leads', judge: judgeLeader },
    {
      id: 'mesh-status',
      title: 'the leader knows the mesh',
      judge({ status, operators }) {
        if (operators.length === 0) return skipped('no operator runs')
        if ('silent' in status) {
          const message = `cannot be asked: ${status.silent}; sidecars go on as they are`
          return judged([
            error(DEPLOYMENT, message, `kubectl -n ${SYSTEM_NAMESPACE} logs deploy/${OPERATOR_SERVICE_ACCOUNT}`),
          ])
        }
        const { resources, workloads } = status
        return judged([], `${counted(workloads.length, 'workload')}, ${counted(resources.length, 'resource')}`)
      },
    },
    { id: 'metrics-read', title: 'somebody reads the metrics', judge: judgeMetricsRead },
    { id: 'versions', title: 'operator, sidecars and this program are of one release', judge: judgeVersions },
    { id: 'mesh-config', title: 'there is a MeshConfig', judge: judgeMeshConfig },
  ],
}

/** Many times longer than anybody waits between two readings. */
const UNREAD_MS = 15 * 60_000

function judgeMetricsRead({ status, nowMs }: ClusterFacts): Judgement {
  if ('silent' in status) return skipped('the operator is silent')
  const { operator } = status
  if (operator === undefined) return skipped('the operator is of a release that does not say')
  const { metrics } = operator
  const fix = 'see metrics and alerts of the chart, and docs/monitoring.md'
  if (metrics === undefined) {
    const message = 'lets nobody read its metrics: whoever attacks the mesh does so unseen'
    return judged([warn(DEPLOYMENT, message, fix)])
  }
  const { since, readAt } = metrics
  const unreadMs = nowMs - (readAt ?? since)
  if (unreadMs < UNREAD_MS) return judged([], readAt === undefined ? 'not yet' : undefined)
  const message = `nobody has read its metrics for ${Math.round(unreadMs / 60_000)} minutes: whoever attacks the mesh does so unseen`
  return judged([warn(DEPLOYMENT, message, fix)])
}

function judgeReady({ deployment, pods }: ClusterFacts): Judgement {
  return ifSeen(deployment, 'operator', ({ spec, status = {} }) => {
    const wanted = spec?.replicas ?? 1
    const { readyReplicas = 0, updatedReplicas = 0 } = status
    const detail = `${readyReplicas}/${wanted}`
    if (wanted === 0) {
      const message = 'has 0 replicas: nobody is injected, nobody is given a certificate, and pods cannot start'
      return judged([error(DEPLOYMENT, message, 'scale it to 2')], detail)
    }
    const waiting = operatorPodsOf(seenOr(pods, [])).flatMap(whyNotReady)
    if (readyReplicas < wanted) {
      const why = waiting.length > 0 ? `: ${some(waiting)}` : ''
      const problem = readyReplicas === 0 ? error : warn
      return judged([problem(DEPLOYMENT, `${readyReplicas} of ${wanted} replicas are ready${why}`, LOOK)], detail)
    }
    return updatedReplicas < wanted
      ? judged(
          [warn(DEPLOYMENT, `is rolling out: ${updatedReplicas} of ${wanted} replicas are of its newest template`)],
          detail,
        )
      : judged([], detail)
  })
}

function whyNotReady(pod: Pod): readonly string[] {
  const { status = {} } = pod
  if (conditionOf(pod, 'Ready')?.status === 'True') return []
  const states = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])]
  const waiting = states.flatMap(({ state }) => state?.waiting?.reason ?? [])
  const unscheduled = conditionOf(pod, 'PodScheduled')
  const why = waiting[0] ?? (unscheduled?.status === 'False' ? unscheduled.message : undefined)
  return [`${pod.metadata.name} ${why ?? 'is not ready'}`]
}

function judgeReplicas({ deployment, disruptionBudget }: ClusterFacts): Judgement {
  return ifSeen(deployment, 'operator', ({ spec }) => {
    const replicas = spec?.replicas ?? 1
    const problems: Problem[] = []
    if (replicas === 1) {
      const message = 'has one replica: while it is away, pods cannot be made and certificates are not renewed'
      problems.push(warn(DEPLOYMENT, message, 'set operator.replicas to 2 or more'))
    }
    if (disruptionBudget.kind === 'absent' && replicas > 1) {
      const message = 'has no PodDisruptionBudget: a drain may take all of its replicas at once'
      problems.push(warn(DEPLOYMENT, message, 'see operator.podDisruptionBudget of the chart'))
    }
    return judged(problems)
  })
}

/** A Lease is a few seconds old while its holder is well. */
const LEASE_PATIENCE = 2

function judgeLeader({ lease, pods, deployment, nowMs }: ClusterFacts): Judgement {
  if (seen(deployment) === undefined) return skipped('the operator is not installed')
  if (lease.kind === 'absent') return judged([error(LEASE, 'is not there: no operator has led yet', LOOK)])
  return ifSeen(lease, 'Lease', ({ spec = {} }) => {
    const { holderIdentity: holder = '', renewTime, leaseDurationSeconds = 15 } = spec
    if (holder === '') return judged([error(LEASE, 'nobody holds it: no operator writes statuses', LOOK)])
    const ageMs = renewTime === undefined ? Number.POSITIVE_INFINITY : nowMs - Date.parse(renewTime)
    const problems: Problem[] = []
    if (ageMs > LEASE_PATIENCE * leaseDurationSeconds * 1_000) {
      const message = `was last renewed by ${holder} at ${renewTime ?? 'no time'}: nobody leads, and statuses are old`
      problems.push(error(LEASE, message, LOOK))
    }
    const isThere = operatorPodsOf(seenOr(pods, [])).some(({ metadata: { name } }) => holder.startsWith(name))
    if (pods.kind === 'seen' && !isThere) {
      problems.push(warn(LEASE, `${holder}, who holds it, is gone; another takes it within ${leaseDurationSeconds} s`))
    }
    return judged(problems, holder)
  })
}

function judgeVersions({ release, deployment, status }: ClusterFacts): Judgement {
  const operator = seen(deployment)?.metadata.labels?.['app.kubernetes.io/version']
  if (operator === undefined) return skipped('the operator does not say its release')
  const problems: Problem[] = []
  if (operator !== release) {
    const message = `this program is ${release} and the operator ${operator}: it may not know all that there is`
    problems.push(warn(DEPLOYMENT, message, `use the hauberk of ${operator}`))
  }
  const older = ('silent' in status ? [] : status.workloads).flatMap(({ workload, sidecars }) =>
    sidecars.filter((sidecar) => sidecar.release !== operator).map((sidecar) => [workload, sidecar.release] as const),
  )
  for (const [workload, group] of Map.groupBy(older, ([name]) => name)) {
    const releases = [...new Set(group.map(([, version]) => version))].join(', ')
    const message = `has sidecars of ${releases}: they are served in the words that they know`
    problems.push(warn(`Workload/${workload}`, message, 'restart its pods: kubectl rollout restart'))
  }
  return judged(problems, operator)
}

function judgeMeshConfig({ meshConfig, deployment }: ClusterFacts): Judgement {
  if (seen(deployment) === undefined) return skipped('the operator is not installed')
  if (meshConfig.kind === 'absent') {
    const message =
      'there is no MeshConfig default: the built-in defaults hold, and nothing outside of the mesh may be called'
    return judged([info(undefined, message, 'apply one: samples/shop has one')])
  }
  return ifSeen(meshConfig, 'MeshConfig', (config) => {
    const { status, message = '' } = conditionOf(config, 'Accepted') ?? {}
    if (status === 'True') return judged([])
    const name = `MeshConfig/${nameOf(config)}`
    return judged([
      status === undefined
        ? warn(name, 'no operator has read it yet')
        : error(name, `is not accepted: ${message}`, 'the strictest values hold for what cannot be read'),
    ])
  })
}
