import { until } from '../world/until.ts'
import { clientApp, echoApp } from './apps.ts'
import type { ClusterWorld } from './cluster-world.ts'
import type { PodContainer } from './kubectl.ts'
import { ready } from './ready.ts'

/** A client, and two replicas of a server that answers it: for load while something is done to the mesh. */
export async function loadedPair(
  { kubectl, namespace, inside }: ClusterWorld,
  name: string,
): Promise<{ readonly client: PodContainer; readonly url: string }> {
  await namespace(name)
  await kubectl.apply(await echoApp({ namespace: name, name: 'server', replicas: 2, callers: [`${name}/client`] }))
  await kubectl.apply(clientApp({ namespace: name, name: 'client' }))
  await ready(kubectl, name, ['server', 'client'])
  const url = `http://server.${name}/`
  const isUp = async () => (await inside(`${name}/client`).ask({ url })).status === 200
  await until('the server answers', isUp, { withinMs: 30_000, everyMs: 300 })
  return { client: { namespace: name, pod: 'deploy/client', container: 'app' }, url }
}
