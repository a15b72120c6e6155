import { TRUST_ANCHORS_CONFIG_MAP, TRUST_ANCHORS_KEY } from '../../../contract/pod.ts'
import { isSame } from '../../../model/same.ts'
import { INJECT_LABEL } from '../../../operator/inject/annotations.ts'
import { SYSTEM_NAMESPACE } from '../../../operator/translate/gateways.ts'
import { formatRemaining } from '../../output/remaining.ts'
import { fingerprintsOf } from '../collect.ts'
import { type ClusterFacts, isInScope } from '../facts.ts'
import { nameOf } from '../objects.ts'
import { seenOr } from '../read.ts'
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
  warn,
} from './check.ts'
import { authorityOf, trustedRoots } from './roots.ts'

const DAY_MS = 86_400_000

/** Time that a root should have left: to replace it takes as long as the slowest pod. */
const ROOT_WARNING_MS = 30 * DAY_MS

const ROTATE = 'hauberk ca rotate --wait'

export const CERTIFICATES: CheckSection = {
  title: 'Certificate authority',
  checks: [
    { id: 'ca-root', title: 'the root is good for long', judge: judgeRoot },
    { id: 'ca-issuing', title: 'the issuing certificate is renewed in time', judge: judgeIssuing },
    { id: 'ca-rotation', title: 'no replacement of a root is stuck', judge: judgeRotation },
    { id: 'trust-anchors', title: 'every namespace has the roots of the mesh', judge: judgeAnchors },
  ],
}

function judgeRoot(facts: ClusterFacts): Judgement {
  const roots = authorityOf(facts)?.roots?.filter(({ use }) => use === 'Signing' || use === 'Next')
  if (roots === undefined || roots.length === 0) return skipped('nobody says which roots the mesh has')
  const { nowMs } = facts
  const problems = roots.flatMap(({ fingerprint, notAfter, use }): Problem[] => {
    const untilMs = Date.parse(notAfter)
    const name = `root ${fingerprint.slice(0, 12)} (${use})`
    if (untilMs <= nowMs) return [error(undefined, `${name} has expired: nobody trusts anybody`, ROTATE)]
    if (untilMs - nowMs >= ROOT_WARNING_MS) return []
    return [warn(undefined, `${name} ends in ${formatRemaining(untilMs, nowMs)}`, ROTATE)]
  })
  const [signing] = roots
  return judged(problems, signing && `${formatRemaining(Date.parse(signing.notAfter), nowMs)} left`)
}

/** The part of its life that an issuing certificate has left when the next one has long been made. */
const ISSUING_LEFT = 0.1

function judgeIssuing({ sidecars, nowMs }: ClusterFacts): Judgement {
  const issuers = new Map(sidecars.flatMap((each) => each.issuers).map((row) => [row.serial, row]))
  if (issuers.size === 0) return skipped('no sidecar shows one')
  const problems = [...issuers.values()].flatMap(({ name, notBefore, notAfterMs, problem }): Problem[] => {
    if (problem !== undefined) return [error(undefined, `${name}: ${problem}`, 'see the log of the leading operator')]
    const lifeMs = notAfterMs - Date.parse(notBefore)
    if (notAfterMs - nowMs > ISSUING_LEFT * lifeMs) return []
    const message = `${name} ends in ${formatRemaining(notAfterMs, nowMs)}, and sidecars still get certificates from it`
    return [warn(undefined, message, 'see the log of the leading operator')]
  })
  const ends = Math.max(...[...issuers.values()].map(({ notAfterMs }) => notAfterMs))
  return judged(problems, `${formatRemaining(ends, nowMs)} left`)
}

function judgeRotation(facts: ClusterFacts): Judgement {
  const authority = authorityOf(facts)
  if (authority === undefined) return skipped('nobody says how the roots stand')
  const { phase = 'stable', waitingFor = [], waiting = waitingFor.length, problem } = authority
  const problems: Problem[] = []
  if (problem !== undefined) {
    problems.push(
      error('MeshConfig/default', `the root that is wanted cannot be had: ${problem}`, 'see docs/identity.md'),
    )
  }
  if (phase !== 'stable') {
    const who = waiting === 0 ? 'nobody is waited for' : `${waiting} to go: ${waitingFor.slice(0, 5).join(', ')}`
    const fix = 'who does not follow has lost its operator or runs an older release: restart its pod'
    problems.push(
      waiting === 0
        ? info(undefined, `a root is being replaced: ${phase}; ${who}`)
        : warn(undefined, `a root is being replaced: ${phase}; ${who}`, fix),
    )
  }
  return judged(problems, phase)
}

function judgeAnchors(facts: ClusterFacts): Judgement {
  const trusted = trustedRoots(facts)
  if (trusted === undefined) return skipped('nobody says which roots the mesh has')
  return ifSeen(facts.trustAnchors, 'ConfigMap with roots', (anchors) => {
    const wanted = seenOr(facts.namespaces, [])
      .filter(({ metadata: { name, labels, deletionTimestamp } }) => {
        const isMeshed = labels?.[INJECT_LABEL] === 'enabled' || name === SYSTEM_NAMESPACE
        return isMeshed && deletionTimestamp === undefined && isInScope(facts, name)
      })
      .map(({ metadata: { name } }) => name)
    const problems = wanted.flatMap((namespace): Problem[] => {
      const found = anchors.find(({ metadata }) => metadata.namespace === namespace)
      const resource = `ConfigMap/${namespace}/${TRUST_ANCHORS_CONFIG_MAP}`
      const fix = 'the leading operator writes it; see its log'
      if (found === undefined) return [error(resource, 'is not there: pods of the namespace cannot start', fix)]
      const has = fingerprintsOf(found.data?.[TRUST_ANCHORS_KEY] ?? '')
      if (isSame([...new Set(has)].sort(), [...trusted].sort())) return []
      const name = nameOf(found)
      return [error(resource, `${name} holds other roots than the mesh has: new pods may refuse the operator`, fix)]
    })
    return judged(problems, counted(wanted.length, 'namespace'))
  })
}
