import { SYSTEM_NAMESPACE } from '../../operator/translate/gateways.ts'
import { CommandError, EXIT } from '../exit-code.ts'
import { findWorkload } from '../workload-name.ts'
import type { Cluster } from './cluster.ts'
import { concerns, type MeshedPod, meshedPodOf } from './meshed-pod.ts'
import { nameOf, type Pod, type Service } from './objects.ts'
import { type Look, readAll, seenOr } from './read.ts'

/** A pod with a sidecar, and what Services find it by. */
export interface LabelledPod extends MeshedPod {
  readonly labels: Readonly<Record<string, string>>
}

/**
 * Pods with a sidecar and of gateways: of one namespace, those that serve its Gateways among them, or of all. Ends the
 * command where they may not be read.
 */
export async function listMeshedPods(
  { client }: Pick<Cluster, 'client'>,
  namespace: string | undefined,
): Promise<readonly LabelledPod[]> {
  const place = { apiVersion: 'v1', plural: 'pods', kind: 'Pod' }
  const [own, system] = await Promise.all([
    readAll<Pod>(client, { ...place, namespace }),
    namespace === undefined ? NOTHING : readAll<Pod>(client, { ...place, namespace: SYSTEM_NAMESPACE }),
  ])
  const pods = new Map([...seenOrEnd(own, 'the pods'), ...seenOr(system, [])].map((pod) => [nameOf(pod), pod]))
  return [...pods.values()].flatMap((pod) => {
    const meshed = meshedPodOf(pod)
    return meshed === undefined || !concerns(meshed, namespace)
      ? []
      : [{ ...meshed, labels: pod.metadata.labels ?? {} }]
  })
}

const NOTHING = { kind: 'absent' } as const

/** The value of what was seen. Ends the command where it was not. */
export function seenOrEnd<T>(look: Look<T>, what: string): T {
  if (look.kind === 'seen') return look.value
  const why = look.kind === 'failed' ? look.why : 'the API server does not know them'
  throw new CommandError(EXIT.failure, `${what} cannot be read: ${why}`)
}

/** A pod whose sidecar can be asked for a workload. */
export type WorkloadPod = LabelledPod & { readonly workload: string }

/**
 * The pods that somebody means by a word: those of a workload (`shop/orders`, `orders`, `gateway`), a pod by its name, or those
 * that a Service finds; `pod/NAME` and `service/NAME` say which. Ends the command when that is nobody, or several workloads.
 */
export async function findPods(
  cluster: Pick<Cluster, 'client'>,
  word: string,
  all: readonly LabelledPod[],
): Promise<readonly [WorkloadPod, ...WorkloadPod[]]> {
  const known = all.filter((pod): pod is WorkloadPod => pod.workload !== undefined)
  const [, kind, name = word] = /^(pods?|po|services?|svc|deployments?|deploy)\/(.+)$/.exec(word) ?? []
  const isPod = kind?.startsWith('po') === true
  const isService = kind?.startsWith('s') === true
  const [first, ...rest] = [
    ...(isService ? [] : known.filter((pod) => pod.name === name || `${pod.namespace}/${pod.name}` === name)),
  ]
  if (first !== undefined) return [first, ...rest]
  if (isPod) throw new CommandError(EXIT.failure, `there is no pod ${name} with a sidecar`)
  const isWorkload = known.some(({ workload }) => workload === name || workload.endsWith(`/${name}`))
  if (isService || (!isWorkload && name !== 'gateway')) {
    const found = await podsOfService(cluster, name, known)
    const [served, ...others] = found
    if (served !== undefined) {
      findWorkload(served.workload, found)
      return [served, ...others]
    }
    if (isService) throw new CommandError(EXIT.failure, `there is no Service ${name} that leads to pods with a sidecar`)
  }
  const { workload } = findWorkload(name, new Map(known.map((pod) => [pod.workload, pod])).values())
  const [one, ...more] = known.filter((pod) => pod.workload === workload)
  if (one === undefined) throw new CommandError(EXIT.failure, `${workload} has no pod`)
  return [one, ...more]
}

async function podsOfService(
  { client }: Pick<Cluster, 'client'>,
  word: string,
  pods: readonly WorkloadPod[],
): Promise<readonly WorkloadPod[]> {
  const [first = '', second] = word.split('/')
  const [namespace, name] = second === undefined ? [undefined, first] : [first, second]
  const place = { apiVersion: 'v1', plural: 'services', kind: 'Service', namespace }
  const services = seenOr(await readAll<Service>(client, { ...place, fieldSelector: `metadata.name=${name}` }), [])
  return services.flatMap(({ metadata, spec }) => {
    const selector = Object.entries(spec?.selector ?? {})
    if (selector.length === 0) return []
    return pods.filter(
      (pod) => pod.namespace === metadata.namespace && selector.every(([label, value]) => pod.labels[label] === value),
    )
  })
}

/** For whoever finds nothing: it may be elsewhere. */
export function elsewhere(namespace: string | undefined): string {
  return namespace === undefined ? '' : ` in namespace ${namespace}; -A looks at all namespaces`
}
