import type { ChildProcess } from 'node:child_process'
import { parseDecision } from '../../cli/dev/decision.ts'
import { SIDECAR_CONTAINER } from '../../contract/pod.ts'
import { SYSTEM_NAMESPACE } from '../../operator/translate/gateways.ts'
import type { DecisionBook } from '../world/decisions.ts'
import type { ClusterObject, Kubectl } from './kubectl.ts'

/** The one container of a gateway's pod. */
const GATEWAY_CONTAINER = 'gateway'

/** Milliseconds between two looks for pods that are new. */
const LOOK_EVERY_MS = 2_000

export interface DecisionLogs {
  /** Looks for new pods now. */
  look(): Promise<void>
  stop(): void
}

/** Reads the log of every sidecar and gateway in these namespaces into a book, from now on. */
export async function followDecisions(
  kubectl: Kubectl,
  book: DecisionBook,
  namespaces: () => readonly string[],
): Promise<DecisionLogs> {
  const followed = new Map<string, ChildProcess>()
  let isStopped = false
  let isFirst = true
  const follow = ({ metadata }: ClusterObject, since: string) => {
    const { namespace = '', name } = metadata
    const key = `${namespace}/${name}/${metadata.uid}`
    if (followed.has(key)) return
    const args = ['logs', '-f', '-n', namespace, name, '-c', proxyContainer(namespace), since]
    const child = kubectl.follow(args, (line) => {
      const decision = parseDecision(line)
      if (decision !== undefined) book.add(decision)
    })
    followed.set(key, child)
    // A container that was started again has a log of its own.
    child.once('close', () => followed.delete(key))
  }
  const look = async () => {
    const since = isFirst ? '--since=1s' : '--since=10s'
    const lists = await Promise.all(
      namespaces().map((namespace) => kubectl.list(['pods', '-n', namespace]).catch(() => [])),
    )
    for (const pod of lists.flat()) if (hasRunningSidecar(pod) && !isStopped) follow(pod, since)
    isFirst = false
  }
  await look()
  const timer = setInterval(() => void look().catch(() => {}), LOOK_EVERY_MS)
  return {
    look,
    stop() {
      isStopped = true
      clearInterval(timer)
      for (const child of followed.values()) child.kill()
    },
  }
}

/** The container of a pod that is the sidecar, or the gateway. */
export function proxyContainer(namespace: string): string {
  return namespace === SYSTEM_NAMESPACE ? GATEWAY_CONTAINER : SIDECAR_CONTAINER
}

function hasRunningSidecar({ metadata, status }: ClusterObject): boolean {
  const statuses = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])] as {
    readonly name: string
    readonly state?: { readonly running?: unknown }
  }[]
  return statuses.some(
    ({ name, state }) => name === proxyContainer(metadata.namespace ?? '') && state?.running !== undefined,
  )
}
