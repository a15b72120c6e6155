import type { ResolveRequest } from '../apps/resolve.ts'
import { until } from '../world/until.ts'
import { clientApp, echoApp } from './apps.ts'
import type { ClusterWorld } from './cluster-world.ts'
import type { PodContainer } from './kubectl.ts'
import { ready } from './ready.ts'
import { scriptOf } from './script.ts'

/** After its API server was away the cluster's DNS may hear of new Services for a minute no more: client-go waits so long. */
const WITHIN_MS = 120_000

/** A client, and two replicas of a server that answers it: for load while something is done to the mesh. */
export async function loadedPair(
  { kubectl, namespace, inside, podOf }: ClusterWorld,
  name: string,
): Promise<{ readonly client: PodContainer; readonly url: string }> {
  await namespace(name)
  await kubectl.apply(await echoApp({ namespace: name, name: 'server', replicas: 2, callers: [`${name}/client`] }))
  await kubectl.apply(clientApp({ namespace: name, name: 'client' }))
  await ready(kubectl, name, ['server', 'client'])
  const url = `http://server.${name}/`
  const isUp = async () => (await inside(`${name}/client`).ask({ url })).status === 200
  await until('the server answers', isUp, { withinMs: WITHIN_MS, everyMs: 300 })

  // Each server of the cluster's DNS hears of a Service by itself, and says for 30 s that there is none if asked before.
  const client = { namespace: name, pod: (await podOf(`${name}/client`)).metadata.name, container: 'app' }
  const command = ['node', '--input-type=module', '--eval', await scriptOf('resolve')]
  const isKnown = async () => {
    const pods = await kubectl.list(['pods', '-n', 'kube-system', '-l', 'k8s-app=kube-dns'])
    const servers = pods.flatMap(({ status }) => (status?.podIP === undefined ? [] : [String(status.podIP)]))
    const request: ResolveRequest = { service: `server.${name}`, servers }
    const unaware = await kubectl.exec(client, command, { input: JSON.stringify(request) })
    return (JSON.parse(unaware) as readonly string[]).length === 0
  }
  await until('every server of the cluster’s DNS knows the server', isKnown, { withinMs: WITHIN_MS, everyMs: 500 })
  return { client: { ...client, pod: 'deploy/client' }, url }
}
