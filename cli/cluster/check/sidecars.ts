import { describeIssue } from '../../../model/result.ts'
import { isSame } from '../../../model/same.ts'
import { formatRemaining } from '../../output/remaining.ts'
import type { ClusterFacts, SidecarFacts } from '../facts.ts'
import { type CheckSection, counted, error, type Judgement, judged, type Problem, skipped, warn } from './check.ts'
import { trustedRoots } from './roots.ts'

export const SIDECARS: CheckSection = {
  title: 'Sidecars and gateways',
  checks: [
    { id: 'sidecars-ready', title: 'every sidecar runs and is ready', judge: judgeReady },
    { id: 'sidecars-answer', title: 'every sidecar answers', judge: judgeAnswers },
    { id: 'sidecar-certificates', title: 'every certificate is sound and renewed', judge: judgeCertificates },
    { id: 'sidecar-identities', title: 'every certificate is of the pod’s service account', judge: judgeIdentities },
    { id: 'sidecar-roots', title: 'every sidecar trusts the roots of the mesh', judge: judgeRoots },
    { id: 'sidecars-connected', title: 'every sidecar is connected to an operator', judge: judgeConnected },
    { id: 'sidecars-obey', title: 'every sidecar obeys the newest configuration', judge: judgeVersions },
    { id: 'limit-store', title: 'every sidecar with shared limits reaches their store', judge: judgeLimitStore },
  ],
}

const NOBODY = 'there is no sidecar'

function podOf({ pod: { namespace, name } }: SidecarFacts): string {
  return `Pod/${namespace}/${name}`
}

/** Starts of a sidecar's container after which somebody should look. */
const RESTARTS = 3

function judgeReady({ sidecars }: ClusterFacts): Judgement {
  if (sidecars.length === 0) return skipped(NOBODY)
  const problems = sidecars.flatMap((sidecar): Problem[] => {
    const { namespace, name, container, state, isRunning } = sidecar.pod
    const logs = `kubectl -n ${namespace} logs ${name} -c ${container}`
    if (!isRunning) {
      const waiting = state?.state?.waiting
      const why = [waiting?.reason, waiting?.message].filter(Boolean).join(': ') || 'it has not started'
      return [error(podOf(sidecar), `its sidecar does not run: ${why}`, `kubectl -n ${namespace} describe pod ${name}`)]
    }
    if (state?.ready === false) return [error(podOf(sidecar), 'its sidecar is not ready', logs)]
    const restarts = state?.restartCount ?? 0
    if (restarts < RESTARTS) return []
    return [warn(podOf(sidecar), `its sidecar was started ${restarts} times again`, `${logs} --previous`)]
  })
  return judged(problems, counted(sidecars.length, 'sidecar'))
}

function judgeAnswers({ sidecars }: ClusterFacts): Judgement {
  const running = sidecars.filter(({ pod }) => pod.isRunning)
  if (running.length === 0) return skipped(NOBODY)
  const problems = running.flatMap((sidecar): Problem[] =>
    sidecar.silent === undefined ? [] : [error(podOf(sidecar), `cannot be asked: ${sidecar.silent}`)],
  )
  return judged(problems)
}

/** Part of a certificate's life that is left when its renewal, at half of it, has failed for long. */
const RENEWAL_FAILED = 0.2

function judgeCertificates({ sidecars, nowMs }: ClusterFacts): Judgement {
  const rows = sidecars.flatMap((sidecar) => sidecar.certificates.map((row) => ({ sidecar, row })))
  if (rows.length === 0) return skipped('no sidecar shows one')
  const problems = rows.flatMap(({ sidecar, row: { name, problem, notBefore, notAfterMs } }): Problem[] => {
    const fix = 'see the log of its sidecar: it asks an operator for another one at half of its life'
    if (problem !== undefined) return [error(podOf(sidecar), `${name}: ${problem}`, fix)]
    if (notAfterMs - nowMs > RENEWAL_FAILED * (notAfterMs - Date.parse(notBefore))) return []
    const message = `${name} ends in ${formatRemaining(notAfterMs, nowMs)} and was not renewed at half of its life`
    return [warn(podOf(sidecar), message, fix)]
  })
  const first = Math.min(...rows.map(({ row }) => row.notAfterMs))
  return judged(problems, `${counted(rows.length, 'certificate')}, the first ends in ${formatRemaining(first, nowMs)}`)
}

function judgeIdentities({ sidecars }: ClusterFacts): Judgement {
  const known = sidecars.filter(({ pod, certificates }) => pod.spiffeId !== undefined && certificates.length > 0)
  if (known.length === 0) return skipped('no sidecar shows one')
  const problems = known.flatMap((sidecar): Problem[] => {
    const svid = sidecar.certificates.find(({ kind }) => kind === 'svid')
    if (svid === undefined || svid.name === sidecar.pod.spiffeId) return []
    const message = `shows ${svid.name} and should be ${sidecar.pod.spiffeId}: others refuse it`
    return [error(podOf(sidecar), message, 'have the pod made anew')]
  })
  return judged(problems)
}

function judgeRoots(facts: ClusterFacts): Judgement {
  const trusted = trustedRoots(facts)
  const asked = facts.sidecars.filter(({ roots }) => roots.length > 0)
  if (trusted === undefined) return skipped('nobody says which roots the mesh has')
  if (asked.length === 0) return skipped('no sidecar says what it trusts')
  const problems = asked.flatMap((sidecar): Problem[] => {
    if (isSame([...new Set(sidecar.roots)].sort(), [...trusted].sort())) return []
    const message = 'trusts other roots than the mesh has: it may refuse others, or take who is to be refused'
    return [warn(podOf(sidecar), message, 'while a root is replaced that passes; else see that it is connected')]
  })
  return judged(problems)
}

function judgeConnected(facts: ClusterFacts): Judgement {
  const { sidecars, status } = facts
  if ('silent' in status) return skipped('the operator does not say who is connected')
  if (sidecars.length === 0) return skipped(NOBODY)
  const untold = operatorsUntold(facts)
  const connected = new Set(status.workloads.flatMap((workload) => workload.sidecars.map(({ pod }) => pod)))
  const problems = sidecars.flatMap((sidecar): Problem[] => {
    const { namespace, name, workload, isRunning } = sidecar.pod
    if (!isRunning || connected.has(`${namespace}/${name}`)) return []
    const known = status.workloads.some((each) => each.workload === workload)
    if (known && untold.length > 0) {
      const message = `may be connected to ${untold.join(' or ')}, which has not told the leader whom it serves`
      return [warn(podOf(sidecar), message, 'that takes seconds after another operator leads: check again, or --wait')]
    }
    const why = known ? 'it goes on with what it was told last' : `no operator knows a workload ${workload ?? 'of it'}`
    const fix = known
      ? 'see its log, and that port 15012 of hauberk-operator can be reached from its node'
      : 'what owns the pod is to be a Deployment or the like; see docs/injection.md'
    return [error(podOf(sidecar), `is not connected to any operator: ${why}`, fix)]
  })
  return judged(problems, `${sidecars.length - problems.length}/${sidecars.length}`)
}

/** Operators whose sidecars the answer does not count, by pod: they connect to the leader anew, or nobody leads. */
function operatorsUntold({ status, operators }: ClusterFacts): readonly string[] {
  if ('silent' in status || status.operator === undefined) return []
  const { name, replicas } = status.operator
  const told = new Set([name, ...replicas.filter(({ self }) => self !== undefined).map(({ replica }) => replica)])
  return operators.map(({ pod }) => pod).filter((pod) => !told.has(pod))
}

function judgeVersions(facts: ClusterFacts): Judgement {
  const { status } = facts
  if ('silent' in status) return skipped('the operator does not say what it has sent')
  // With -n, the Gateways of the namespace as well: their pods are elsewhere.
  const looked = new Set(facts.sidecars.map(({ pod }) => pod.workload))
  const workloads = status.workloads.filter(({ workload }) => facts.scope === undefined || looked.has(workload))
  const problems = workloads.flatMap(({ workload, version, sidecars }) =>
    sidecars.flatMap(({ pod, acknowledged, refused }): Problem[] => {
      if (refused?.version === version) {
        const why = refused.issues.map(describeIssue).join('; ')
        const fix = 'a policy says what this sidecar does not understand: see its status, or restart the pod'
        return [
          error(`Pod/${pod}`, `refuses the newest configuration of ${workload} and obeys the one before: ${why}`, fix),
        ]
      }
      if (acknowledged === version) return []
      return [warn(`Pod/${pod}`, `has not acknowledged ${version.slice(0, 12)} of ${workload} yet`)]
    }),
  )
  const all = workloads.reduce((sum, { sidecars }) => sum + sidecars.length, 0)
  return judged(problems, `${all - problems.length}/${all}`)
}

function judgeLimitStore({ sidecars }: ClusterFacts): Judgement {
  const asking = sidecars.filter(({ limitStore }) => limitStore !== undefined)
  if (asking.length === 0) return judged([], 'none counts at one')
  const problems = asking.flatMap((sidecar): Problem[] => {
    if (sidecar.limitStore === 'answers') return []
    const message = 'gets no answer from the store of shared limits: it lets its share of them through, and no more'
    const fix = 'see that the Redis of MeshConfig rateLimitStore runs, and that its policy lets this workload in'
    return [warn(podOf(sidecar), message, fix)]
  })
  return judged(problems, `${asking.length - problems.length}/${asking.length}`)
}
