import type { WorkloadConfig } from '../../contract/workload-config.ts'
import type { Resource } from '../../model/resource.ts'
import { snapshotOf } from '../../operator/store/snapshot.ts'
import { askSidecar, parseAsked } from '../cluster/ask.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { askConfig } from '../cluster/collect.ts'
import { findPods, type LabelledPod, listMeshedPods } from '../cluster/pods.ts'
import { readAll, seenOr } from '../cluster/read.ts'
import { CommandError, EXIT } from '../exit-code.ts'
import { pathOfRule, resourceOfOrigin } from '../origin.ts'
import type { Place } from './text.ts'

/** What a workload of a cluster obeys at the moment. */
export interface LiveConfig {
  readonly config: WorkloadConfig
  /** Pods whose sidecars are known, for the names of others. */
  readonly pods: readonly LabelledPod[]
}

/** Sidecars of one workload that are tried: one may just be starting. */
const MAX_TRIED = 3

/** Asks a sidecar of the workload, pod or Service that a word names for what it obeys. Ends the command where nobody tells. */
export async function liveConfigOf(cluster: Cluster, word: string, namespace: string | undefined): Promise<LiveConfig> {
  const pods = await listMeshedPods(cluster, namespace)
  const [first, ...others] = await findPods(cluster, word, pods)
  for (const pod of [first, ...others].filter(({ isRunning }) => isRunning).slice(0, MAX_TRIED)) {
    const config = await askConfig(cluster, pod)
    if (config !== undefined) return { config, pods }
  }
  const asked = await askSidecar(cluster, first, '/config')
  const why = asked.ok ? 'what it obeys is of another release' : asked.why
  throw new CommandError(EXIT.failure, `the sidecar of ${first.namespace}/${first.name} cannot be asked: ${why}`)
}

/** What the sidecar that made a decision remembers of it. Ends the command where none does. */
export async function liveDecision(cluster: Cluster, id: string, namespace: string | undefined): Promise<unknown> {
  const pods = (await listMeshedPods(cluster, namespace)).filter(({ isRunning }) => isRunning)
  let silent = 0
  const answers = await Promise.all(
    pods.map(async (pod) => {
      const asked = await askSidecar(cluster, pod, `/decision?id=${id}`)
      const answer = parseAsked<unknown>(asked)
      if (!answer.ok && !/no such decision/.test(answer.why)) silent += 1
      return answer.ok ? answer.value : undefined
    }),
  )
  const found = answers.find((answer) => answer !== undefined)
  if (found !== undefined) return found
  const message = `no sidecar remembers the decision ${id}: each remembers its newest 512 refusals by a policy, until its container is started again; what had no route or no endpoint, or was no request that may be read, is in the log of its container alone`
  const unasked = silent === 0 ? [] : [`${silent} of ${pods.length} sidecars did not answer`]
  throw new CommandError(EXIT.failure, [message, ...unasked].join('\n'))
}

/** Where rules stand in the policies of a cluster: the resource and the path in it. */
export async function placeInCluster({ client }: Cluster): Promise<Place> {
  const kinds = [
    ['SecurityPolicy', 'securitypolicies'],
    ['MeshSecurityPolicy', 'meshsecuritypolicies'],
  ] as const
  const looks = await Promise.all(
    kinds.map(([kind, plural]) => readAll<Resource>(client, { apiVersion: 'hauberk.dev/v1alpha1', plural, kind })),
  )
  const snapshot = snapshotOf(looks.flatMap((look) => seenOr(look, [])))
  return (origin, rule) => {
    const resource = resourceOfOrigin(origin)
    const [kind = '', ...names] = resource.split('/')
    const name = names.pop() ?? ''
    if (snapshot.get(kind, names[0], name) === undefined) return undefined
    return rule === undefined ? resource : `${resource} ${pathOfRule(snapshot, origin, rule)}`
  }
}
